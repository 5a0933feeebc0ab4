"""Turn Whisper's encoder, as CTranslate2 or the Hub holds it, into a folder that units are fitted on.

  python -m speechprompt convert whisper model.bin.part1 model.bin.part2 whisper-base

The files are the parts of one model.bin of CTranslate2, in order (one file where it is whole). What is written are
config.json and model.safetensors with the names of transformers' WhisperModel: the encoder alone, in fp16.
`pretrain whisper-units --whisper whisper-base` reads that folder, or a copy of openai/whisper-base from the Hub.
No pickle is read, and every size is checked before it is believed.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "parts", type=Path, nargs="+", metavar="MODEL.BIN", help="the file, or its parts in order"
    )
    parser.add_argument("out", type=Path, help="folder to write")


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.convert.whisper import encoder_of, read_ctranslate2, save_hub_folder

    sizes, tensors = encoder_of(read_ctranslate2(args.parts))
    save_hub_folder(sizes, tensors, args.out)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    print(f"an encoder of {sizes.n_layers} layers, width {sizes.dim}, {numbers:,} numbers in {args.out}")
