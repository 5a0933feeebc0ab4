"""Make a HuBERT of the Hub or of fairseq, with k-means centroids, the unit encoder of a backbone.

  python -m speechprompt convert hubert hubert-base-ls960 km.bin backbones/mine/encoder
  python -m speechprompt convert hubert mhubert-base-25hz mhubert_L11_km500.bin backbones/mine/encoder --layer 11

HUBERT is a folder as on the Hub (config.json and model.safetensors or pytorch_model.bin) or a checkpoint of fairseq.
Its layers up to --layer are kept, of which the centroids must be. Convolutions with one stride more than HuBERT-base's
give 25 frames a second instead of 50: then say "frame_rate": 25 in backbones/mine/backbone.json. Nothing of a pickle
is run, and a model that is otherwise unlike HuBERT-base is refused with the setting's name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.models.encoder_config import HUBERT_LAYER


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hubert", type=Path, metavar="HUBERT", help="folder as on the Hub, or fairseq's checkpoint"
    )
    parser.add_argument("km", type=Path, metavar="km.bin", help="centroids, pickled by joblib, or .npy")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write: backbones/NAME/encoder")
    parser.add_argument(
        "--layer",
        type=int,
        default=HUBERT_LAYER,
        help=f"whose output the centroids are of (default {HUBERT_LAYER})",
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.convert import kmeans
    from speechprompt.making.convert.hubert import from_fairseq, from_hub_folder
    from speechprompt.making.convert.unit_lm import check_out
    from speechprompt.units import FRAME_RATE

    check_out(args.out)
    centroids = kmeans.read(args.km)
    encoder = (from_hub_folder if args.hubert.is_dir() else from_fairseq)(args.hubert, centroids, args.layer)
    encoder.save(args.out)
    rate = FRAME_RATE // encoder.frames_of_20_ms
    print(f"{args.out}: {encoder.n_units} units of layer {args.layer}, {rate} frames a second")
