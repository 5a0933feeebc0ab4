"""What a prompt could reach: plain classifiers trained on the same units, and on log-mel frames, beside it.

    python -m studies.bounds DATA_FOLDER --task emotion_german --split valid

The classifier on units (embedding, two-way GRU, mean and maximum over time) shows how much of the answer is
in the deduplicated units at all, whatever the unit LM makes of them; of a backbone that hears melody it is
given the units alone. The one on log-mel frames of the recording (two strided convolutions before the same)
shows what the encoder gave away. Both see every train clip of the task 12 times, undisturbed but for a tenth
that is dropped, and are read after the last pass; the majority class is that of the train split. Of a task that
fills slots, each label is decided on its own and an answer counts when all are right; F1 is that of the slots.

With --as-tuned the classifier on units learns from what tuning learns from: so many simulated recordings of each
clip too, and of a task whose channel is controlled none as it is (then no classifier sees log-mels). None has
pauses of its own (tune --pauses 0).

--units keeps units in a folder, and takes those that are there. 3000 clips of a second or two take up to 5 minutes on
two cores; longer clips and simulated ones take longer. --clips is for a quick look.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument(
        "--task", required=True, metavar="T", help="one that answers with one label or fills slots"
    )
    parser.add_argument(
        "--extra", type=Path, nargs="+", default=[], metavar="FILE.parquet", help="train examples to add"
    )
    parser.add_argument(
        "--as-tuned",
        type=int,
        default=0,
        metavar="COPIES",
        help="what tune calls --augment (default 0: clips as they are)",
    )
    parser.add_argument(
        "--per-label", type=int, default=0, metavar="N", help="as tune has it (default 0: all)"
    )
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--split", default="valid", help="what the answers are counted on (default: valid)")
    parser.add_argument(
        "--units",
        type=Path,
        metavar="FOLDER",
        help="keeps units, as studies.belongs does; default: nothing is kept",
    )
    parser.add_argument("--clips", type=int, default=0, metavar="N", help="at most N of either split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=int, default=1, help="default 1: steps this small gain nothing from two"
    )


def run(args: argparse.Namespace) -> None:
    import torch

    from speechprompt.backbone import Backbone
    from speechprompt.evaluation.metrics import wilson_interval
    from speechprompt.prompts.card_texts import percent
    from studies.measures.bounds import bounds

    torch.set_num_threads(args.threads)
    backbone = Backbone.load(args.backbone)
    chosen = (args.clips, args.seed, args.extra, args.as_tuned, args.per_label, args.units)
    split, n, rows = bounds(backbone, args.task, args.folder, args.split, *chosen)
    print(f"{args.task} on {backbone.name}, {n} utterances of the {split} split\n")
    print("| | accuracy | 95 % interval | F1 | |\n|---|---|---|---|---|")
    for row in rows:
        cells = ["–", "–"]
        if row.hits is not None:
            low, high = wilson_interval(row.hits, n)
            cells = [percent(row.hits / n), f"{100 * low:.1f}–{100 * high:.1f}"]
        print(f"| {row.what} | {cells[0]} | {cells[1]} | {percent(row.f1)} | {row.remark} |")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.bounds", sys.modules[__name__]))
