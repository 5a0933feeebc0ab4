"""What a task's labels could be told by, without listening to what is said: length, level, bandwidth, source.

    python -m studies.shortcuts DATA_FOLDER --out docs/shortcuts.md

For every task of one label: at most 60 train and 30 held-out clips of each label, drawn evenly from the sources. One
number of each clip, cut at the train clips' quantiles into bins, says the label that is likeliest in its bin; so does
the source. The figure is the mean recall of the held-out clips, whose chance is one in the number of labels; of the
source, train and held-out clips may share it, so that it says whether labels have sources of their own.
`studies.confounds` asks the same of the silence around the speech. Takes about two minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the packed parquet files")
    parser.add_argument("--task", action="append", default=[], help="default: all that have data; repeatable")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table into a document, too")


def run(args: argparse.Namespace) -> None:
    from speechprompt.data.task_data import read_task
    from speechprompt.tasks.catalogue import TASKS
    from studies.measures.shortcuts import HEAD, INTRODUCTION, line

    lines = [list(HEAD), ["---"] * len(HEAD)]
    for name in args.task or list(TASKS):
        task = TASKS.get(name)
        if task is None or task.form.kind != "label":
            if args.task:
                raise SpeechPromptError(f"{name} is not a task of one label in speechprompt/tasks.")
            continue
        try:
            lines.append(line(task, read_task([args.folder], task)))
        except SpeechPromptError:
            if args.task:
                raise
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    print(table)
    if args.out:
        args.out.write_text(f"{INTRODUCTION}{table}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.shortcuts", sys.modules[__name__]))
