"""Upload a prompt's folder, or a backbone's with its prompts, to the Hugging Face Hub.

  python -m speechprompt push prompts/mini/my_words owner/my-words
  python -m speechprompt push backbones/mine owner/my-backbone --public

The repository is made where it is not there, for you alone without --public. Log in with `hf auth login`. The card
is made anew from what the prompt says of itself, with its figures where the Hub looks for them.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a prompt or a backbone")
    parser.add_argument("repository", metavar="OWNER/NAME")
    parser.add_argument("--public", action="store_true", help="whoever finds it may have it")
    parser.add_argument(
        "--base-model",
        default="",
        metavar="OWNER/NAME",
        help="repository of the prompt's backbone, for its card",
    )
    parser.add_argument(
        "--example",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a recording to hear beside the card",
    )
    parser.add_argument(
        "--revision", metavar="BRANCH", help="of a prompt: a branch that is there (default: main)"
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.errors import SpeechPromptError
    from speechprompt.prompts import hub
    from speechprompt.prompts.prompt import PROMPT_JSON, Prompt
    from speechprompt.storage.bundled import BACKBONE_JSON

    if (args.folder / BACKBONE_JSON).is_file():
        from speechprompt.backbone import Backbone
        from speechprompt.storage import backbone_hub

        backbone = Backbone(args.folder)
        backbone.lm_config  # noqa: B018  # what is unsound is said before anything is uploaded
        address = backbone_hub.push(
            args.folder, backbone.prompts_folder, args.repository, private=not args.public
        )
    elif (args.folder / PROMPT_JSON).is_file():
        prompt = Prompt.load(args.folder)
        address = hub.push(
            prompt,
            args.repository,
            private=not args.public,
            base_model=args.base_model,
            revision=args.revision,
            examples=args.example,
        )
    else:
        raise SpeechPromptError(
            f"{args.folder.name} holds neither {PROMPT_JSON} nor {BACKBONE_JSON}: name the folder of a prompt or a "
            "backbone."
        )
    print(f"{address}{'' if args.public else ', for you alone'}")
