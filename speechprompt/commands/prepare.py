"""Make a data file of a public corpus, as its authors distribute it.

CORPUS is one of those that --list shows, ROOT the folder that holds it, OUT.parquet what `tune`, `evaluate` and
`calibrate` read. Splits, labels and seeds are the papers' as far as their public code tells. Recordings longer than a
minute are cut to their first, and those that cannot be read are left out and counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speechprompt.data.corpora.catalogue import CORPORA, find
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corpus", nargs="?", metavar="CORPUS", help=", ".join(CORPORA))
    parser.add_argument("root", nargs="?", type=Path, metavar="ROOT")
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT.parquet")
    parser.add_argument(
        "--list", action="store_true", help="show what is looked for, splits and tasks of every corpus"
    )


def run(args: argparse.Namespace) -> int:
    from speechprompt.data.prepare import prepare

    if args.list:
        for name in CORPORA:
            corpus = find(name)
            print(f"{name}: {corpus.title}\n  looked for: {', '.join(corpus.needs)}")
            print(f"  splits: {corpus.splits}\n  tasks: {', '.join(corpus.tasks)}")
        return 0
    if args.out is None:
        raise SpeechPromptError("prepare takes CORPUS ROOT OUT.parquet; --list shows the corpora.")
    corpus = find(args.corpus)
    if args.out.suffix.lower() != ".parquet":
        raise SpeechPromptError(f"{args.out.name} must end in .parquet.")
    if not args.out.parent.is_dir():
        raise SpeechPromptError(f"The folder of {args.out.name} does not exist: make it first.")
    done = prepare(corpus.clips(args.root), args.out)
    rows = ", ".join(f"{n} {split}" for split, n in done.rows.items())
    print(f"{sum(done.rows.values())} recordings in {args.out} ({rows}); splits: {corpus.splits}.")
    if done.cut:
        print(f"{done.cut} of them are longer than a minute and were cut to their first.")
    if done.failed:
        print(f"{done.failed} recordings could not be read and have no row; the first: {done.reason}")
    for task in corpus.tasks:
        print(f"next: python -m speechprompt tune --task {task} --data {args.out}")
    return 0
