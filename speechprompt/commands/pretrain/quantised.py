"""Train the `mini` encoder on with its units in the loop, so that units keep what k-means would lose.

k-means on a trained network explains its features, not what is said: the words that a classifier still
finds in the features are often gone from the units. Here the blocks above the read-out layer hear only
the nearest of K centroids, and must still spell the phones, name the clusters and redraw the log-mel
frames of the clean recording. Gradients pass the choice as if it were not there (van den Oord et al., 2017, "Neural
Discrete Representation Learning"); the centroids follow the frames that chose them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.commands.pretrain import add_run_arguments, training
from speechprompt.making.pretrain.config import QuantisedTraining


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, "runs/quantised", steps=4000, lr=5e-4)
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/encoder/encoder.pt"))
    parser.add_argument("--layer", type=int, default=3, help="blocks below the units (default 3)")
    parser.add_argument("--units", type=int, default=500, help="number of centroids (default 500)")


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.pretrain.encoder_run import run_stage
    from speechprompt.making.pretrain.quantised import Run

    run_stage(Run, args.data, training(QuantisedTraining, args))
