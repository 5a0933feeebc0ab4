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
import shutil
from contextlib import suppress
from pathlib import Path

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making.install import Installation
from speechprompt.making.sources import check_mirror, read_digests
from speechprompt.models.backbone_config import FETCHED
from speechprompt.storage.bundled import BACKBONE_JSON, find


def prepare(name: str, out: Path | None) -> Path:
    """The folder to install into: the bundled one, or `out`, which gets a copy of what is bundled."""
    bundled = find(name)
    if out is None:
        return bundled
    if not (out / BACKBONE_JSON).is_file():
        out.mkdir(parents=True, exist_ok=True)
        for part in (BACKBONE_JSON, "README.md"):
            if (bundled / part).is_file():
                shutil.copyfile(bundled / part, out / part)
        if name == "hubert-mini" and not (out / "unit_lm").exists():
            shutil.copytree(bundled / "unit_lm", out / "unit_lm")
    elif Backbone(out).name != name:
        raise SpeechPromptError(f"--out: {out.name} holds the backbone {Backbone(out).name}, not {name}.")
    return out


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
    given, mirror = read_digests(args.sha256), check_mirror(args.mirror)
    for option, file, takes in (
        ("--lm", args.lm, ("gslm", "pgslm")),
        ("--edges", args.edges, ("pgslm",)),
    ):
        if file is not None and args.backbone not in takes:
            raise SpeechPromptError(f"{option} is a file of {' and '.join(takes)}, not of {args.backbone}.")
    installation = Installation(prepare(args.backbone, args.out), given, mirror)
    backbone = Backbone(installation.folder)
    local_files = args.hubert or args.km or given
    here = "already here (delete its folder to install it anew)"
    others = [name for name in FETCHED if name != args.backbone]
    try:
        if backbone.has_encoder:
            print(f"encoder: {here}", flush=True)
        elif local_files or not any(installation.share_encoder(other) for other in others):
            installation.install_encoder(backbone.n_units, args.hubert, args.km)
            print("encoder: installed", flush=True)
        if args.backbone == "hubert-mini":
            pass  # its unit LM is bundled
        elif backbone.has_lm:
            print(f"unit LM: {here}", flush=True)
        else:
            if args.backbone == "pgslm":
                installation.install_prosody_lm(backbone.n_units, args.lm, args.edges)
            else:
                installation.install_lm(backbone.n_units, args.lm)
            print("unit LM: installed", flush=True)
        shutil.rmtree(installation.work, ignore_errors=True)
    finally:
        with suppress(OSError):  # it is kept where it holds a download to go on from
            installation.work.rmdir()
    print(f"Backbone {args.backbone} is complete; use it with --backbone {args.out or args.backbone}")
