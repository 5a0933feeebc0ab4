"""Turn a fairseq unit language model, such as the papers' GSLM, into a unit LM folder of ours.

  python -m speechprompt convert unit-lm checkpoint_best.pt --dict dict.txt backbones/gslm/unit_lm

Both files are in the archive that fairseq's GSLM example publishes (hubert100_lm.tgz). Sizes are read
from the checkpoint's own settings and checked against its weights. dict.txt says which row of the
checkpoint is which unit: it may be in any order (the CPC-100 one is sorted by frequency), in the
folder unit u always has the token id u + 4. Nothing of the checkpoint is run, and a model that would
compute something else in our classes is refused with the setting's name.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pt", help="fairseq transformer_lm")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write: config.json, model.safetensors"
    )
    parser.add_argument("--dict", type=Path, required=True, metavar="dict.txt", help="the LM's dictionary")
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="stored as; float32 loses nothing"
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.convert.unit_lm import DTYPES, convert, read_dict
    from speechprompt.models import lm_config
    from speechprompt.units import UNIT_OFFSET

    lm = convert(args.checkpoint, args.dict, args.out, DTYPES[args.dtype])
    c = lm.config
    padding = read_dict(args.dict).count(None)
    print(
        f"{args.out}: {c.vocab_size - UNIT_OFFSET} units, {c.num_layers} layers of width {c.d_model}, "
        f"{sum(p.numel() for p in lm.parameters()):,} parameters as {args.dtype}; "
        f"sha256 {lm_config.sha256(args.out)[:12]}"
        + (f"; {padding} rows that only pad the dictionary were left out" if padding else "")
    )
