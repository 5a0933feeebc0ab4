"""Train the `mini` encoder: masked prediction in two rounds with auxiliary CTC losses.

Round one predicts clusters of MFCC frames under a mask, as HuBERT does; round two predicts clusters of
the encoder's own features. Beside it, CTC on phones (where words are known) and on published HuBERT-100
transcripts pulls the middle layers towards what is said. The input is noisy, the targets are clean.
"""

from __future__ import annotations

import argparse

from speechprompt.commands.pretrain import add_run_arguments, training
from speechprompt.making.pretrain.config import MaskedTraining
from speechprompt.models.encoder_config import EncoderConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, "runs/encoder", steps=12_000, lr=8e-4)
    parser.add_argument("--dim", type=int, default=EncoderConfig.dim)
    parser.add_argument("--layers", type=int, default=EncoderConfig.n_layers)
    parser.add_argument("--second-round", type=float, default=0.4, help="share of the steps before it begins")


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.pretrain.encoder import Run
    from speechprompt.making.pretrain.encoder_run import run_stage

    run_stage(Run, args.data, training(MaskedTraining, args))
