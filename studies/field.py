"""How often the prompts are right about what strangers record, whom no corpus of theirs has.

    python -m studies.field DATA_FOLDER --backbone mini
    python -m studies.field DATA_FOLDER --task language_id --write

DATA_FOLDER holds field.parquet: recordings from many public sources with the columns task, label, source and audio,
of which nothing was learnt. Each is answered through the same path as the app. Within are those whose label the task
has; outside those of which it has none, which are right when the answer says that the recording may not fit, or
names the label for everything else. The interval is Wilson's of 95 %. Recordings of whoever speaks, and of languages
and sounds, are then cut to stretches from their middle, to see whether the answer goes by the length. --write keeps
the figures in the prompts' folders, beside those of their own test split. The last line is of all recordings within:
of their right and of their wrong answers, how many are flagged. --first asks the first backbone alone that has a task,
as the page asks one. Takes about two minutes for each backbone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds field.parquet")
    parser.add_argument("--backbone", action="append", default=[], help="default: mini; repeatable")
    parser.add_argument("--task", action="append", default=[], help="default: all; repeatable")
    parser.add_argument(
        "--first", action="store_true", help="ask each task of the first backbone that has it, not of all"
    )
    parser.add_argument("--write", action="store_true", help="keep the figures in the prompts' folders")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write figures and answers there, too")


def run(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    from speechprompt.backbone import Backbone
    from speechprompt.data import dataset
    from studies.measures import field

    rows = [
        row
        for row in dataset.read_rows(args.folder / f"{field.FIELD}.parquet")
        if isinstance(row.get("task"), str)
    ]
    lines, kept, everything = [field.HEAD, ["---"] * len(field.HEAD)], [], list[field.Heard]()
    names = args.backbone or ["mini"]
    backbones = [Backbone.load(name) for name in names]
    asked = field.tasks_of([list(backbone.prompts) for backbone in backbones], args.task, args.first)
    if unknown := sorted(set(args.task) - {task for tasks in asked for task in tasks}):
        raise SpeechPromptError(f"Of {', '.join(names)} none has a prompt for the task {unknown[0]!r}.")
    for backbone, chosen in zip(backbones, asked, strict=True):
        chosen = [task for task in chosen if field.rows_for(task, rows)]
        by_task: dict[str, list[field.Heard]] = {task: [] for task in chosen}
        for one in field.answers(backbone, chosen, rows):
            by_task[one.task].append(one)
        for task, heard in by_task.items():
            prompt, found = backbone.prompts[task], field.summary(heard)
            lines.append(field.line(prompt, found))
            everything += heard
            kept.append(
                {"task": task, "backbone": backbone.name, **found, "answers": [asdict(one) for one in heard]}
            )
            if args.write:
                field.write(backbone, prompt, heard)
    lines.append(field.line_of_all(everything))
    print("\n".join(f"| {' | '.join(cells)} |" for cells in lines))
    if args.json:
        args.json.write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.field", sys.modules[__name__]))
