"""How often the bundled prompts are right: one table of all tasks, measured here and now.

    python -m studies.accuracy DATA_FOLDER --split test
    python -m studies.accuracy DATA_FOLDER --pauses 1.5

Measures every bundled prompt on the packed parquet files of its task (speechprompt/tasks names them),
through the same path as the app. A backbone whose encoder is not here is measured on files of units. A task
without that split is measured on valid, and the table says so; what cannot be measured has a row that says
why. Each backbone hears each recording once, however many prompts are asked about it. With --pauses every
recording begins and ends with so many seconds more of a quiet room, as one from a microphone does. Takes about
4 minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument("--split", default="test", help="default: test, or valid where there is none")
    parser.add_argument(
        "--pauses",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="of a quiet room before and after each recording (default 0)",
    )
    parser.add_argument("--backbone", action="append", default=[], help="default: all bundled; repeatable")
    parser.add_argument("--task", action="append", default=[], help="default: all; repeatable")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table into a document, too")
    parser.add_argument("--json", action="store_true", help="print one JSON array on the last line instead")


def run(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    from speechprompt.backbone import Backbone
    from speechprompt.storage.bundled import list_backbones
    from studies.measures.accuracy import INTRODUCTION, PAUSES, ROOM_DB, rows_of, table

    if not args.folder.is_dir():
        raise SpeechPromptError("DATA_FOLDER is no folder: give the one that holds the parquet files.")
    if args.out and not args.out.parent.is_dir():
        raise SpeechPromptError("The folder of --out is not there: make it first.")
    if not 0 <= args.pauses <= 10:
        raise SpeechPromptError("--pauses must be between 0 and 10 seconds.")
    backbones = [Backbone.load(name) for name in args.backbone or list_backbones()]
    for backbone in backbones:
        if not backbone.prompts and not backbone.refused:
            print(backbone.missing or f"Backbone {backbone.name} has no prompts.", file=sys.stderr)
    rows = rows_of(backbones, args.task, args.folder, args.split, args.pauses)
    if args.out:
        options = [
            ("--split", args.split),
            *([("--pauses", f"{args.pauses:g}")] if args.pauses else []),
            *(("--backbone", backbone.name) for backbone in backbones if args.backbone),
        ]
        options += [("--task", name) for name in args.task]
        command = "python -m studies.accuracy DATA_FOLDER " + " ".join(f"{o} {v}" for o, v in options)
        pauses = PAUSES.format(seconds=args.pauses, room=ROOM_DB) if args.pauses else ""
        head = INTRODUCTION.format(command=command, pauses=pauses)
        args.out.write_text(f"{head}{table(rows)}\n", encoding="utf-8")
    print(json.dumps([asdict(row) for row in rows]) if args.json else table(rows))


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.accuracy", sys.modules[__name__]))
