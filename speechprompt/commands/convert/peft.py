"""Turn a prompt into an adapter of PEFT that transformers runs, and an adapter back into a prompt.

  python -m speechprompt convert peft prompts/mini/my_words adapter        a prompt's folder -> PEFT's
  python -m speechprompt convert peft adapter prompts/mini/my_words        and back, tuned there or not
  python -m speechprompt convert peft adapter prompts/mini/my_words --like prompts/mini/keyword_spotting

Deep prompts are PEFT's prefix tuning (their keys and values, as the unit LM's projections make them), input prompts
its prompt tuning. What an adapter has no place for, separator, verbalizer and labels, lies beside it in a prompt's
own files; for an adapter from elsewhere, --like names a prompt to take it from. PEFT counts positions from the first
prompt vector, so only prompts that count so too can go: `tune --positions after_prompt` makes such.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a prompt, or of an adapter")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--backbone", help="bundled name or folder (default: the one that the prompt names)")
    parser.add_argument(
        "--like",
        type=Path,
        metavar="DIR",
        help="prompt with the separator, verbalizer and labels of an adapter",
    )


def run(args: argparse.Namespace) -> None:
    import torch

    from speechprompt.backbone import Backbone
    from speechprompt.making.convert.peft import ADAPTER_JSON, ADAPTER_WEIGHTS, load_adapter, save_adapter
    from speechprompt.prompts.card import prompt_card
    from speechprompt.prompts.prompt import PROMPT_JSON, Prompt

    adapter = (args.folder / ADAPTER_JSON).is_file()
    source = args.like or args.folder
    if not (source / PROMPT_JSON).is_file():
        raise SpeechPromptError(
            f"{source.name} holds no {PROMPT_JSON}"
            + (
                ": name with --like a prompt to take separator, verbalizer and labels from."
                if adapter
                else "."
            )
        )
    prompt = Prompt.load(source)
    backbone = Backbone.load(args.backbone or prompt.backbone)
    if adapter:
        found = load_adapter(args.folder, backbone, prompt)
        found = replace(found, task=args.out.absolute().name) if args.like else found
        found.save(args.out, prompt_card(found), torch.float32)
        print(f"{args.out}: task {found.task}, prompt of length {found.length}")
    else:
        save_adapter(prompt, backbone, args.out)
        print(
            f"{args.out}: {ADAPTER_JSON} and {ADAPTER_WEIGHTS} for PEFT, on the unit LM of backbone {backbone.name}"
        )
