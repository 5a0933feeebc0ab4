"""Turn a fairseq pGSLM (transformer_ulm: units, durations and F0) into a prosody LM folder of ours.

  python -m speechprompt convert prosody-lm discrete_prosody_shift_1_1.pt OUT --edges mean_norm_log_f0_seg_bin.th

Sizes, the mode (discrete or continuous streams) and which inputs are ignored are read from the
checkpoint's own settings and checked against its weights. --edges gives the values that cut
normalised log F0 into bins, which the checkpoint does not hold: without it a discrete model is
written that cannot hear recordings. Nothing of the files is run, and a model that would compute
something else in our classes is refused with the setting's name.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pt", help="fairseq transformer_ulm")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write: config.json, model.safetensors"
    )
    parser.add_argument(
        "--edges", type=Path, metavar="FILE.th", help="edges of the F0 bins (discrete models)"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="stored as; float32 loses nothing"
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.convert.prosody_lm import convert
    from speechprompt.making.convert.unit_lm import DTYPES
    from speechprompt.models import lm_config
    from speechprompt.units import UNIT_OFFSET

    lm = convert(args.checkpoint, args.out, args.edges, DTYPES[args.dtype])
    c, p = lm.config, lm.prosody
    print(
        f"{args.out}: {c.vocab_size - UNIT_OFFSET} units, {p.mode} durations and F0"
        f"{' (predicted, not heard)' if p.ignore_prosody_input else ''}, {c.num_layers} layers of width "
        f"{c.d_model}, {sum(t.numel() for t in lm.parameters()):,} parameters as {args.dtype}; "
        f"sha256 {lm_config.sha256(args.out)[:12]}"
    )
    if p.discrete and p.f0_edges is None and not p.ignore_f0_input:
        print("Without --edges it cannot hear recordings: convert it again with them.")
