"""Transcribe recordings into the units of an encoder, for a unit LM to learn from.

  python -m speechprompt pretrain transcripts --data my_speech.parquet --out runs/my_units.parquet
  python -m speechprompt pretrain unit-lm --units runs/units.parquet runs/my_units.parquet --n-units 500 --out my_lm

The files have the columns id, split and audio, what is written the columns id, dataset, split and units. No labels
are read: more speech of the kind that prompts will hear makes a better unit LM.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE.parquet")
    parser.add_argument("--encoder", type=Path, default=Path("backbones/mini/encoder"))
    parser.add_argument("--copies", type=int, default=0, help="simulated recordings of each train clip")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=4)


def run(args: argparse.Namespace) -> None:
    import torch

    from speechprompt.making.pretrain.corpus import read_files
    from speechprompt.making.pretrain.transcripts import transcribe, write
    from speechprompt.models.encoder import UnitEncoder

    torch.set_num_threads(args.threads)
    clips = read_files(args.data, workers=args.threads)
    rows = transcribe(UnitEncoder.load(args.encoder), clips, args.copies, args.seed)
    print(f"{write(rows, args.out):,} units of {len(rows):,} recordings")
