"""Turn a k-means file of the papers, such as HuBERT's km.bin, into centroids in safetensors.

  python -m speechprompt convert kmeans km.bin centroids.safetensors

km.bin is a scikit-learn KMeans or MiniBatchKMeans that joblib pickled. A pickle may run anything, so the
unpickler gets a class without behaviour in place of every class that such a file needs, and refuses every
other by name. Of the model only
the centroids matter, since a frame's unit is the nearest one (SpeechPrompt, section 2.1). They are
written as float32 [K, d] under the name `centroids`. A plain array of numpy (.npy) is read, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="km.bin", help="pickled by joblib, or .npy")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors", help="file to write")


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.convert.kmeans import convert

    centroids = convert(args.source, args.out)
    print(f"{args.out}: {centroids.shape[0]} centroids of {centroids.shape[1]} numbers, float32")
