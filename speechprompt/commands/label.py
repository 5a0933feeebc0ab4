"""Label every recording of a folder, parquet file or list.

A folder is searched through for recordings, by content as well as by name, unless it holds parquet files or is Kaldi's.
A parquet file has the columns audio (bytes of sound files, or structs of them) and id. A list (CSV, TSV, JSON lines)
names recordings below its folder. hf://datasets/OWNER/NAME is fetched. The output has one row for each, in their order:
id, seconds, TASK.label and TASK.score of every task, and error, which says why a recording has no labels.
A run that was stopped goes on when the same command is given again. In a CSV file, text that begins like a
formula (= + - @) gets an apostrophe before it.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from speechprompt.commands import add_model_arguments, complain, load_backbone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument(
        "--task", action="append", dest="tasks", default=[], metavar="T", help="repeatable; default: all"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help=".parquet, .csv or .jsonl")
    parser.add_argument(
        "--workers",
        type=int,
        default=max(1, min(4, (os.cpu_count() or 2) - 1)),
        help="processes that decode (default: one for each core but one, at most 4; 0: none)",
    )


def run(args: argparse.Namespace) -> int:
    from speechprompt.labelling.label import label

    began = time.perf_counter()
    try:
        backbone = load_backbone(args)
        done = label(backbone, args.tasks, args.source, args.out, args.workers)
    except KeyboardInterrupt:
        complain("stopped; the same command goes on from here.")
        return 130
    took = time.perf_counter() - began
    print(
        f"{done.rows} rows in {args.out}, {done.failed} of them without labels; {done.seconds / 60:.1f} minutes of"
    )
    print(f"sound in {took:.1f} s, {done.seconds / took:.0f} times real time.")
    if done.left_out:
        print(f"{done.left_out} other files in the folder are no recordings and have no row.")
    return 0
