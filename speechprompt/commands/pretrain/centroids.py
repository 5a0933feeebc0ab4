"""Fit the units: k-means on one layer of the trained encoder, or those that it learnt with its units in the
loop; and the unit transcripts of all speech.

Writes the `encoder/` folder of a backbone (network cut at that layer, centroids) and, for the unit LM,
a parquet file with the columns id, dataset, split, units.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of packed parquet files")
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/encoder/encoder.pt"))
    parser.add_argument("--layer", type=int, default=3, help="blocks to keep (default 3)")
    parser.add_argument("--units", type=int, default=500, help="number of centroids (default 500)")
    parser.add_argument("--out", type=Path, default=Path("backbones/mini/encoder"))
    parser.add_argument(
        "--transcripts", type=Path, default=Path("runs/units.parquet"), help="for the unit LM"
    )
    parser.add_argument("--copies", type=int, default=2, help="simulated recordings of each train clip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=4)


def run(args: argparse.Namespace) -> None:
    import torch

    from speechprompt.making.pretrain.centroids import cut, fit
    from speechprompt.making.pretrain.corpus import read_corpus
    from speechprompt.making.pretrain.transcripts import transcribe, write
    from speechprompt.models.encoder import UnitEncoder

    torch.set_num_threads(args.threads)
    clips = read_corpus(args.data, workers=args.threads)
    encoder, learnt = cut(args.checkpoint, args.layer, args.units)
    if not learnt:
        spoken = [c.waveform for c in clips if c.split == "train" and c.dataset != "sound_events"]
        explained = fit(encoder, spoken, args.seed)
        print(f"{args.units} units of layer {args.layer} explain {explained:.1%} of the variance")
    encoder.save(args.out)
    encoder = UnitEncoder.load(args.out)  # the units of the fp16 weights that ship
    rows = transcribe(encoder, clips, args.copies, args.seed)
    print(f"{write(rows, args.transcripts):,} units of {len(rows):,} recordings")
