"""Whether a task can be answered from silence: by microphone, room and noise instead of what is said.

    python -m studies.confounds FOLDER

FOLDER holds the packed parquet files. A clip's silence is what lies before and after its speech, where
the energy stays low (pauses.speech_span; 20 ms on either side of the speech are left out). From units
and mean log-mel spectrum of that silence alone, a plain classifier (multinomial logistic regression) is
trained on the train split and answers clips of speakers that it has never heard. Far above chance means
that the data's labels come with channels of their own. It is asked three times: of the clips as they
are; of what `tune` hears of a controlled task, silence included; and, harder than tuning, of the silence
of the clips themselves after the disguise alone, which shows what it leaves of the old noise under the
speech. Where the backbone has a prompt for the task, its answers to the untreated silence follow: chance
is good, and so is a prompt that always gives one answer. Takes a few minutes for each task.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.tasks.catalogue import TASKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the packed parquet files")
    parser.add_argument("--backbone", default="mini", help="bundled name or folder (default: mini)")
    parser.add_argument(
        "--task",
        action="append",
        choices=[task.name for task in TASKS.values() if task.channel == "controlled"],
        help="default: all controlled tasks; repeatable",
    )
    parser.add_argument(
        "--train", type=int, default=150, help="clips of each label to learn from (default 150)"
    )
    parser.add_argument(
        "--test", type=int, default=100, help="clips of each label to ask about (default 100)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line too")


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from studies.measures.confounds import measure, show

    names = args.task or [task.name for task in TASKS.values() if task.channel == "controlled"]
    backbone = Backbone.load(args.backbone)
    found = [measure(backbone, TASKS[name], args.folder, args.train, args.test, args.seed) for name in names]
    for figures in found:
        show(figures)
    if args.json:
        print(json.dumps({"backbone": backbone.name, "tasks": found}))


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.confounds", sys.modules[__name__]))
