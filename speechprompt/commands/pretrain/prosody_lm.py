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

from speechprompt.commands.pretrain import add_lm_arguments, training
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.config import LMTraining


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transcripts", type=Path, default=Path("runs/prosody.parquet"))
    parser.add_argument("--data", type=Path, help="folder of packed speech, to make the transcripts from")
    parser.add_argument("--encoder", type=Path, default=Path("backbones/mini/encoder"))
    parser.add_argument("--copies", type=int, default=1, help="simulated recordings of each train clip")
    parser.add_argument("--transcripts-only", action="store_true", help="end before the training")
    out = Path("runs/prosody-lm/unit_lm")
    add_lm_arguments(parser, "runs/prosody-lm", epochs=6, lr=1e-3, out=out, n_units=500)


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.pretrain.prosody_lm import make_transcripts, pretrain

    file = args.transcripts
    if args.transcripts_only and args.data is None:
        raise SpeechPromptError("Transcripts are made from speech: give its folder with --data.")
    if args.data is not None and not file.is_file():
        make_transcripts(args.data, args.encoder, file, args.copies, args.seed, args.threads)
    if not args.transcripts_only:
        pretrain(file, args.out, args.n_units, training(LMTraining, args), args.init_from)
