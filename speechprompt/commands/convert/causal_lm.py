"""Take a causal LM of transformers over units (OPT, Llama, Qwen2, Qwen3, GPT-2, Mistral) as a backbone's unit LM.

  python -m speechprompt convert causal-lm twist backbones/mine/unit_lm --offset 4 --units 500
  python -m speechprompt convert causal-lm slam backbones/mine/unit_lm --tokens "<Un{}>" --units 500

The folder is as on the Hub: config.json and model.safetensors in one file (no pickles, and no code that comes with a
model). Which tokens are units is said by the first one (--offset), or by how the tokenizer (tokenizer.json or
vocab.json) spells unit number {} (--tokens). Rows begin with --start and end with --end, by default what config.json
calls bos and eos. Then write backbones/mine/backbone.json, with the encoder whose units the LM knows.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with config.json and model.safetensors")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write: backbones/NAME/unit_lm")
    parser.add_argument("--units", type=int, required=True, metavar="K", help="how many units the LM knows")
    named = parser.add_mutually_exclusive_group(required=True)
    named.add_argument("--offset", type=int, metavar="N", help="token of unit 0, which the others follow")
    named.add_argument(
        "--tokens", metavar="PATTERN", help="how the tokenizer spells unit {}, such as '<Un{}>'"
    )
    parser.add_argument("--start", type=int, metavar="TOKEN", help="that begins a row (default: bos)")
    parser.add_argument("--end", type=int, metavar="TOKEN", help="that ends one (default: eos)")


def run(args: argparse.Namespace) -> None:
    from speechprompt.making.convert.causal_lm import convert

    convert(args.folder, args.out, args.units, args.offset, args.tokens, args.start, args.end)
    print(f"{args.out}: a unit LM over {args.units} units")
