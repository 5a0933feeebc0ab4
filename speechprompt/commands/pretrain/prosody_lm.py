"""Train a prosody LM: next unit, its duration and its F0, from transcripts of all three (pGSLM).

Two steps, each skipped where its result is there already. With --data, speech is transcribed into the
--transcripts file by the --encoder (--transcripts-only ends there); then the LM is trained on that file,
from the start or from the weights of a plain unit LM of the same sizes (--init-from). A stopped training
resumes at its last epoch. The loss is that of Kharitonov et al. 2022: NLL of units + 0.5 · NLL of
durations + 0.5 · NLL of F0, per step.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.commands.pretrain import add_lm_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transcripts", type=Path, default=Path("runs/prosody.parquet"))
    parser.add_argument("--data", type=Path, help="folder of packed speech, to make the transcripts from")
    parser.add_argument("--encoder", type=Path, default=Path("backbones/mini/encoder"))
    parser.add_argument("--copies", type=int, default=1, help="simulated recordings of each train clip")
    parser.add_argument("--transcripts-only", action="store_true", help="end before the training")
    parser.add_argument("--out", type=Path, default=Path("runs/prosody-lm/unit_lm"), help="folder to write")
    parser.add_argument("--run", type=Path, default=Path("runs/prosody-lm"), help="checkpoint and log")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="UNIT_LM",
        help="plain unit_lm folder to start from, whose sizes it takes",
    )
    parser.add_argument("--n-units", type=int, default=500, help="number of units of the encoder")
    add_lm_arguments(parser, epochs=6, lr=1e-3)


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.pretrain.prosody_lm import pretrain

    pretrain(args)
