"""Answer one or more tasks on recordings.

The recording becomes units once; all tasks are answered in one batch.
Reads WAV, FLAC, OGG, Opus and MP3 of 0.1 to 60 s.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from speechprompt.commands import add_model_arguments, complain, load_backbone
from speechprompt.errors import SpeechPromptError

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument(
        "--units",
        action="append",
        default=[],
        metavar="IDS",
        help='units instead of a file: "71 12 63"; repeatable',
    )
    parser.add_argument("--task", action="append", dest="tasks", metavar="T", help="repeatable; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON object per file")


def run(args: argparse.Namespace) -> int:
    from speechprompt.pipeline import SpeechPrompt
    from speechprompt.units import parse_units

    if not args.files and not args.units:
        raise SpeechPromptError("Give a recording, or --units.")
    sp = SpeechPrompt(load_backbone(args))
    failed = 0
    for name in (*args.files, *args.units):
        try:
            if name in args.files:
                answers = sp.classify(name, tasks=args.tasks)
            else:
                answers = sp.classify_units([parse_units(name)], tasks=args.tasks)[0]
        except SpeechPromptError as error:
            failed += 1
            complain(f"{name}: {error}" if len(args.files) + len(args.units) > 1 else str(error))
            continue
        if args.json:
            print(json.dumps({"file": name, "answers": [a.to_dict() for a in answers]}))
            continue
        for a in answers:
            print(f"{name}  {a.task}: {a.label or '(nothing)'} {a.score:.0%}  ({details_text(a)})")
    return 2 if failed else 0


def details_text(a: Answer) -> str:
    """What stood second, or the score of every step; and how the answer came about."""
    if len(a.steps) == 1:
        text = "then " + ", ".join(f"{label} {score:.0%}" for label, score in list(a.scores.items())[1:3])
    else:
        steps = [(f"{s.slot} " if a.slots else "") + f"{s.label or 'end'} {s.score:.0%}" for s in a.steps]
        text = "steps " + ", ".join(steps)
    if a.flagged:
        text = f"fits: {a.fits}; {a.reason.rstrip('.')}; {text}"
    return f"{text}; {len(a.units)} units heard, answered with {' '.join(map(str, a.generated)) or 'none'}"
