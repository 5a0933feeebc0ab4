"""Show the units that recordings become."""

from __future__ import annotations

import argparse
import json

from speechprompt.commands import add_model_arguments, complain, load_backbone
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object per file: ids, starts, lengths (frames)"
    )


def run(args: argparse.Namespace) -> int:
    from speechprompt.pipeline import SpeechPrompt

    sp = SpeechPrompt(load_backbone(args))
    failed = 0
    for file in args.files:
        try:
            found = sp.units(file)
        except SpeechPromptError as error:
            failed += 1
            complain(f"{file}: {error}" if len(args.files) > 1 else str(error))
            continue
        if args.json:
            print(json.dumps({"file": file, **found.to_dict()}))
        else:
            print(" ".join(map(str, found.ids)))
    return 2 if failed else 0
