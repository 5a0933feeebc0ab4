"""What each part of the tuning recipe brings: one thing changed at a time, the same number of steps for all.

    python -m studies.ablation --data speech_commands.parquet
    python -m studies.ablation --run runs/ablation --only-table

Tunes a prompt for every row and seed and counts right answers on the valid split, which has no say in the
tuning: the last weights are counted, not the best. Recordings become units once. Every result is kept in the
run folder at once, so the same command goes on where it was stopped; what is there becomes docs/ablation.md
with its plot. A tuning of 600 steps takes 1 to 4 minutes on one thread, all rows with three seeds over an hour.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.commands import add_model_arguments
from speechprompt.errors import SpeechPromptError
from studies.ablation.rows import ROWS, done_before

PAGE = Path(__file__).parents[2] / "docs" / "ablation.md"
FINE_TUNING_RATE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="FILE.parquet")
    parser.add_argument(
        "--task", default="keyword_spotting", help="one of one label (default: keyword_spotting)"
    )
    parser.add_argument("--label-column", help="of a task that this package does not know (default: label)")
    add_model_arguments(parser, only_answers=False)
    parser.add_argument("--steps", type=int, default=600, help="of every tuning (default: 600)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=[row.name for row in ROWS], metavar="ROW", help="some rows"
    )
    parser.add_argument(
        "--fine-tuning-lr", type=float, default=FINE_TUNING_RATE, help="of the LM's own weights"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", type=Path, default=Path("runs/ablation"), help="units and results, kept")
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--only-table", action="store_true", help="write the page from the results so far")


def run(args: argparse.Namespace) -> None:
    from speechprompt.storage.folders import read_json
    from studies.ablation import page
    from studies.ablation.data import SETTINGS

    if not args.only_table:
        if args.data is None or not args.data.is_file():
            raise SpeechPromptError("Give the labelled recordings with --data FILE.parquet.")
        from speechprompt.tuning.checkpoint import run_folder
        from studies.ablation.measure import measure

        with run_folder(args.run):
            measure(args)
    results = done_before(args.run)
    if not results:
        raise SpeechPromptError("The run folder has no results yet: let the tuning go on, or give its --run.")
    settings = read_json(args.run, SETTINGS, "Ablation")
    page.write(args.out, settings, {row.name: row.title for row in ROWS}, results)
    print(f"the table is in {args.out}")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.ablation", sys.modules[__name__]))
