"""How bundled weights were made: options and help of `pretrain`; the work is done in making/pretrain."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from speechprompt.making.pretrain.config import EncoderTraining, LMTraining

Training = TypeVar("Training", bound=LMTraining | EncoderTraining)


def add_run_arguments(parser: argparse.ArgumentParser, folder: str, steps: int, lr: float) -> None:
    """Data, run folder and pace, as every training of the encoder takes them."""
    parser.add_argument("--data", type=Path, required=True, help="folder of packed parquet files")
    parser.add_argument("--run", type=Path, default=Path(folder), help="checkpoint and log; resumed if there")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")


def add_lm_arguments(
    parser: argparse.ArgumentParser,
    folder: str,
    epochs: int,
    lr: float,
    out: Path | None = None,
    n_units: int | None = None,
) -> None:
    """Folders, sizes and training of an LM, as every kind of it takes them; without a default one must be given."""
    parser.add_argument(
        "--n-units",
        type=int,
        required=n_units is None,
        default=n_units,
        help="number of units of the encoder",
    )
    parser.add_argument("--out", type=Path, required=out is None, default=out, help="unit_lm folder to write")
    parser.add_argument("--run", type=Path, default=Path(folder), help="checkpoint and log")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="UNIT_LM",
        help="plain unit_lm folder to begin with, whose sizes it takes",
    )
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--lr", type=float, default=lr)
    for name in ("tokens_per_batch", "dropout", "dim", "layers", "heads", "seed", "threads"):
        default = getattr(LMTraining, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)


def training(kind: type[Training], args: argparse.Namespace) -> Training:
    """What was given of the fields of a training."""
    return kind(**{one.name: getattr(args, one.name) for one in fields(kind)})
