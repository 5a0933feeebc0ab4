"""Fit units on a layer of Whisper's encoder, and write the unit transcripts of all speech whose licence allows any use.

  python -m speechprompt convert whisper model.bin.part1 model.bin.part2 whisper-base
  python -m speechprompt pretrain whisper-units --data DATA --whisper whisper-base --out backbones/whisper-mini/encoder

A frame's hidden state is standardised, turned to its principal axes and divided by the square root of their standard
deviations, so that neither the few dimensions in which Whisper's values are huge nor the many that hold little
decide what is near; then k-means. With --axes speakers a frame is the mean of its neighbours too, and the axes are
those along which speakers differ most from each other, measured by how one speaker varies (Fisher's discriminant):
units of who speaks, not of what is said. Writes the `encoder/` folder of a backbone and, for `pretrain unit-lm`, a
parquet file with the columns id, dataset, split, units. Recordings lose long pauses at their ends, as all do that
are answered.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of packed parquet files")
    parser.add_argument(
        "--whisper", type=Path, required=True, help="what `convert whisper` wrote, or the Hub's"
    )
    parser.add_argument("--layer", type=int, default=4, help="layers to keep (default 4)")
    parser.add_argument("--features", type=int, default=96, help="principal axes to keep (default 96)")
    parser.add_argument("--units", type=int, default=1000, help="number of centroids (default 1000)")
    parser.add_argument(
        "--axes",
        choices=("principal", "speakers"),
        default="principal",
        help="what the features tell apart: what is said (default), or who says it",
    )
    parser.add_argument(
        "--smoothing",
        type=int,
        default=0,
        metavar="FRAMES",
        help="frames of 20 ms on each side that a feature is the mean of (default 0)",
    )
    parser.add_argument("--out", type=Path, required=True, help="encoder folder to write")
    parser.add_argument("--transcripts", type=Path, default=Path("runs/whisper_units.parquet"))
    parser.add_argument(
        "--copies", type=int, default=1, help="simulated recordings of each train clip (default 1)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)


def run(args: argparse.Namespace) -> None:
    import torch

    from speechprompt.making.convert.whisper import from_hub_folder
    from speechprompt.making.pretrain.transcripts import transcribe, write
    from speechprompt.making.pretrain.whisper_units import fit, read_open_speech, speech_frames
    from speechprompt.models.whisper import WhisperUnits

    torch.set_num_threads(args.threads)
    clips = read_open_speech(args.data, args.threads)
    if not (args.out / "encoder.json").is_file():  # a stopped run goes on with the units that it fitted
        plain = from_hub_folder(args.whisper, args.layer, smoothing=args.smoothing)
        points, speakers = speech_frames(plain, clips, args.seed, every=args.smoothing + 1)
        encoder = from_hub_folder(args.whisper, args.layer, args.features, args.units, args.smoothing)
        explained = fit(encoder, points, args.seed, speakers if args.axes == "speakers" else None)
        print(f"{args.units} units of layer {args.layer} explain {explained:.1%} of the variance")
        encoder.save(args.out)
    rows = transcribe(WhisperUnits.load(args.out), clips, args.copies, args.seed)
    print(f"{write(rows, args.transcripts):,} units of {len(rows):,} recordings")
