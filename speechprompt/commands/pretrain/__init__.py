"""How bundled weights were made: options and help of `pretrain`; the work is done in making/pretrain."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_run_arguments(parser: argparse.ArgumentParser, folder: str, steps: int, lr: float) -> None:
    """Data, run folder and pace, as every training of the encoder takes them."""
    parser.add_argument("--data", type=Path, required=True, help="folder of packed parquet files")
    parser.add_argument("--run", type=Path, default=Path(folder), help="checkpoint and log; resumed if there")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")


def add_lm_arguments(parser: argparse.ArgumentParser, epochs: int, lr: float) -> None:
    """Sizes and training of an LM, as every kind of it takes them."""
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--tokens-per-batch", type=int, default=2560)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
