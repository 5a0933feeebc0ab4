"""Label every recording of a folder, parquet file or list.

A folder is searched through for recordings, by content as well as by name, unless it holds parquet files or is Kaldi's.
A parquet file has the columns audio (bytes of sound files, or structs of them) and id. A list (CSV, TSV, JSON lines)
names recordings below its folder. hf://datasets/OWNER/NAME is fetched. The output has one row for each, in their order:
id, seconds, TASK.label and TASK.score of every task, and error, which says why a recording has no labels.
A run that was stopped goes on when the same command is given again. In a CSV file, text that begins like a
formula (= + - @) gets an apostrophe before it.

With --ray the workers of a cluster answer; SOURCE, and a backbone that is a folder, must lie under the same path on all
nodes. OUT may then be the name of a new folder, in which parquet files stay, in order.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from speechprompt.commands import add_model_arguments, complain, load_backbone
from speechprompt.errors import SpeechPromptError

if TYPE_CHECKING:  # torch takes seconds to import
    from speechprompt.labelling.label import Labelled


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
        default=None,
        help="processes that decode (default: one for each core but one, at most 4; with --ray one for each of its "
        "workers; 0: none)",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="of a Ray cluster; auto: the one that this machine belongs to; local: one that is started here "
        "(pip install 'speechprompt[ray]')",
    )
    parser.add_argument(
        "--ray-workers",
        type=int,
        metavar="N",
        help="each with its models (default: what the cluster has room for)",
    )
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="G",
        help="such as 0.25 where four share one; 0: none (default: 1 where the cluster has GPUs)",
    )


def run(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    try:
        done = label_with(args)
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


def label_with(args: argparse.Namespace) -> Labelled:
    """One machine or a cluster, as asked; SpeechPromptError for options of the other."""
    if args.ray is None:
        if args.ray_workers is not None or args.gpus_per_worker is not None:
            raise SpeechPromptError(
                "--ray-workers and --gpus-per-worker are for a cluster: say which with --ray."
            )
        from speechprompt.labelling.label import label

        workers = max(1, min(4, (os.cpu_count() or 2) - 1)) if args.workers is None else args.workers
        return label(load_backbone(args), args.tasks, args.source, args.out, workers)
    if args.device != "auto":
        raise SpeechPromptError(
            "--device is for one machine: with --ray, --gpus-per-worker says what workers take."
        )
    from speechprompt.labelling.cluster import label_on_ray
    from speechprompt.labelling.ray_cluster import Cluster

    decoders = 1 if args.workers is None else args.workers
    cluster = Cluster(args.ray, args.ray_workers, args.gpus_per_worker, decoders)
    return label_on_ray(args.backbone, args.tasks, args.source, args.out, cluster, args.dtype)
