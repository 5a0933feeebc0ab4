"""What 16 bits change: units and answers in bfloat16 or float16 against those in float32.

    python -m studies.precision DATA_FOLDER
    python -m studies.precision DATA_FOLDER --dtype float16 --most 100

For every bundled prompt, on the valid split of its task (the packed parquet files that speechprompt/tasks
names): the share of frames of 20 ms whose unit is another, of answers that are others, and how many are right
in both. A backbone whose encoder is not here is measured on files of units, which the dtype leaves alone.
Takes 3 minutes on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument("--dtype", choices=("bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--device", default="auto", help="default: a GPU if there is one")
    parser.add_argument("--most", type=int, default=300, metavar="N", help="clips of each task (default 300)")
    parser.add_argument("--backbone", action="append", default=[], help="default: all bundled; repeatable")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table into a document, too")


def run(args: argparse.Namespace) -> None:
    import torch
    from tqdm import tqdm

    from speechprompt.backbone import Backbone
    from speechprompt.data.sounds import Sound
    from speechprompt.machine.device import choose_device
    from speechprompt.storage.bundled import list_backbones
    from speechprompt.units import Units
    from studies.measures.precision import INTRODUCTION, measured, table

    if args.most < 1:
        raise SpeechPromptError("--most must be 1 or more.")
    device = choose_device(args.device)
    pairs = [
        (Backbone.load(name, device), Backbone.load(name, device, getattr(torch, args.dtype)))
        for name in args.backbone or list_backbones()
    ]
    cached: list[tuple[dict[bytes | Sound, Units], dict[bytes | Sound, Units]]] = [({}, {}) for _ in pairs]
    work = [
        (pair, cache, task) for pair, cache in zip(pairs, cached, strict=True) for task in pair[0].prompts
    ]
    if not work:
        raise SpeechPromptError("None of these backbones has a prompt here.")
    rows = [measured(*item, args.folder, args.most) for item in tqdm(work, desc="prompts")]
    found = table(rows, args.dtype)
    if args.out:
        options = [f"--dtype {args.dtype}"] if args.dtype != "bfloat16" else []
        options += [f"--most {args.most}"] if args.most != 300 else []
        options += [f"--backbone {name}" for name in args.backbone]
        command = " ".join(["python -m studies.precision DATA_FOLDER", *options])
        head = INTRODUCTION.format(dtype=args.dtype, command=command, most=args.most)
        args.out.write_text(f"{head}{found}\n", encoding="utf-8")
    print(found)


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.precision", sys.modules[__name__]))
