"""Get a prompt, or a backbone with its prompts, from the Hugging Face Hub into a folder.

  python -m speechprompt pull owner/my-words                          into prompts/BACKBONE/TASK
  python -m speechprompt pull owner/my-words@v2 --out my_words        a branch, tag or commit, into a folder
  python -m speechprompt pull owner/my-backbone --out somewhere       somewhere/backbones/NAME and somewhere/prompts

Only the files that a prompt or a backbone has are fetched, of bounded size, and no pickles; a prompt must have been
made for a unit LM that is here. What is there already is replaced by a whole prompt, or stays as it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("repository", metavar="OWNER/NAME[@REVISION]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument("--backbone", help="bundled name or folder (default: the one that the prompt names)")
    parser.add_argument("--revision", help="a branch, tag or commit (default: main)")


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from speechprompt.errors import SpeechPromptError
    from speechprompt.prompts import hub
    from speechprompt.storage import backbone_hub
    from speechprompt.storage.bundled import BACKBONE_JSON
    from speechprompt.storage.repository import Repository

    if BACKBONE_JSON in Repository(args.repository, args.revision).files:
        if args.out is None:
            raise SpeechPromptError(f"{args.repository} holds a backbone: say with --out where it shall lie.")
        backbone_hub.pull_to(args.repository, args.out, args.revision)
        (folder,) = (args.out / "backbones").iterdir()
        print(f"{folder}: use it with --backbone {folder}")
        return
    prompt = hub.pull(args.repository, args.revision)
    backbone = Backbone.load(args.backbone or prompt.backbone)
    backbone.check_fits(prompt)
    out = args.out or backbone.prompt_folder(prompt.task)
    hub.pull(args.repository, args.revision, folder=out)
    print(f"{out}: task {prompt.task}, {len(prompt.labels)} labels, for backbone {backbone.name}")
