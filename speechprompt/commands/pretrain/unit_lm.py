"""Train a unit LM: next-unit loss on unit transcripts, no labels (GSLM; SpeechPrompt, section 2.1).

Reads parquet files with the columns split and units. Begins anew, or goes on from the weights of another
unit LM (--init-from). A stopped run resumes at its last epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.commands.pretrain import add_lm_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--units", type=Path, nargs="+", required=True, help="parquet files of transcripts")
    parser.add_argument("--n-units", type=int, required=True, help="number of units of the encoder")
    parser.add_argument("--out", type=Path, required=True, help="unit_lm folder to write")
    parser.add_argument("--run", type=Path, default=Path("runs/unit-lm"), help="checkpoint and log")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="UNIT_LM",
        help="unit_lm folder to go on from, whose sizes it takes",
    )
    add_lm_arguments(parser, epochs=5, lr=1.5e-3)


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.pretrain.unit_lm import pretrain

    pretrain(args)
