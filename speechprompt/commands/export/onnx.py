"""Export a backbone and its prompts to ONNX: two graphs that run without Python, in a browser for one.

  python -m speechprompt export onnx mini web/public/models

OUT gets encoder.onnx (waveform -> units), unit_lm.onnx (units behind prompts -> logits; a new prompt needs no new
graph), the prompt folders as they are, and model.json, which names them all. Before that onnxruntime answers every
recording (by default the examples of a clone) beside the models: units must be equal and logits within 1e-4, or nothing
is written. A backbone of our own encoder and unit LM can be exported; HuBERT, Whisper, LMs of transformers and prosody
LMs cannot. It needs `pip install 'speechprompt[onnx]'`.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backbone", metavar="BACKBONE", help="bundled name or folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument(
        "--recordings",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="what is asked of both (default: the examples)",
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from speechprompt.making.export.onnx_folder import ENCODER_ONNX, LM_ONNX, example_recordings, export

    backbone = Backbone.load(args.backbone)
    found = export(backbone, args.out, args.recordings or example_recordings())
    for name in (ENCODER_ONNX, LM_ONNX):
        print(f"{args.out / name}: {(args.out / name).stat().st_size / 1e6:.1f} MB")
    print(
        f"{len(backbone.prompts)} prompts; on {found.recordings} recordings {found.frames} units are equal and "
        f"{found.answers} answers have logits within {found.difference:.1g}"
    )
