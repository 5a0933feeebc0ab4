"""Get the papers' own models and install them into a backbone of this package.

  python -m speechprompt fetch gslm          HuBERT-base, its 100 units (km100) and the unit LM of 151 M parameters
  python -m speechprompt fetch pgslm         the same encoder, and pGSLM's LM, which reads and predicts prosody too
  python -m speechprompt fetch hubert-mini   the same encoder, for our small unit LM, which is bundled

HuBERT-base comes from the Hub (facebook/hubert-base-ls960, at a fixed revision), all else from
dl.fbaipublicfiles.com. Run it again to go on after a broken connection; what is installed is skipped.
Files that are here already are taken with --hubert, --km, --lm and --edges instead. --mirror URL gets each file
from its path below another address, under the same digests. Nothing of a pickle is run.

A download must have the sha256 that is published for it. None is for hubert100_lm.tgz and the files of pGSLM: their
own is printed when first seen, noted in fetched.json beside the backbone once the file has been converted, and
enforced on later downloads. --sha256 NAME=HEX enforces another, also on a local file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.models.backbone_config import FETCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backbone", choices=FETCHED)
    parser.add_argument("--out", type=Path, metavar="DIR", help="backbone folder (default: the bundled one)")
    parser.add_argument(
        "--hubert",
        type=Path,
        metavar="PATH",
        help="local folder as facebook/hubert-base-ls960, or fairseq's hubert_base_ls960.pt",
    )
    parser.add_argument("--km", type=Path, metavar="km.bin", help="local file, or centroids as .npy")
    parser.add_argument(
        "--lm",
        type=Path,
        metavar="FILE",
        help="local hubert100_lm.tgz (gslm) or discrete_prosody_shift_1_1.pt (pgslm)",
    )
    parser.add_argument(
        "--edges", type=Path, metavar="FILE", help="local mean_norm_log_f0_seg_bin.th (pgslm)"
    )
    parser.add_argument(
        "--mirror",
        metavar="URL",
        help="get each file from its path below this address, such as "
        "URL/textless_nlp/gslm/hubert/km100/km.bin; the digests are the same",
    )
    parser.add_argument(
        "--sha256", action="append", metavar="NAME=HEX", help="digest that a file must have; repeatable"
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.fetch import fetch

    fetch(
        args.backbone,
        args.out,
        hubert=args.hubert,
        km=args.km,
        lm=args.lm,
        edges=args.edges,
        sha256=args.sha256,
        mirror=args.mirror,
    )
