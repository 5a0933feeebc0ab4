"""Train a unit LM: next-unit loss on unit transcripts, no labels (GSLM; SpeechPrompt, section 2.1).

Reads parquet files with the columns split and units. Begins anew, or goes on from the weights of another
unit LM (--init-from). A stopped run resumes at its last epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.commands.pretrain import add_lm_arguments, training
from speechprompt.making.pretrain.config import LMTraining


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--units", type=Path, nargs="+", required=True, help="parquet files of transcripts")
    add_lm_arguments(parser, "runs/unit-lm", epochs=5, lr=1.5e-3)


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.pretrain.unit_lm import pretrain

    pretrain(args.units, args.out, args.n_units, training(LMTraining, args), args.init_from)
