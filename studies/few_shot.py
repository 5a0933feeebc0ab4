"""How well a new task is learnt from a few recordings of each label, against tuning from elsewhere.

    python -m studies.few_shot --data arabic_keywords.parquet --split test
    python -m studies.few_shot --data speech_commands.parquet --only taught --clips 0 --leave-out unknown silence

Draws words and a few clips of each from the train split, teaches them as the app does, and answers all
clips of those words in another split, whose speakers are not those of the training, and as many clips of other
words, which ought to be flagged. Bundled prompts that were tuned on the same file are left aside, for what is
taught must be new. Prints one table: mean and standard deviation over the seeds, the share of right answers and
of answers to other words that are flagged, and the seconds of one teaching. Takes minutes for each
seed, nearly all of them for what is tuned; `--only taught` takes seconds. With `--clips 0` the words are typed:
nothing is recorded, and espeak-ng speaks them (`--only taught`: what is tuned needs recordings).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.teaching.config import TeachConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.parquet")
    parser.add_argument("--split", default="valid", help="what the answers are counted on (default: valid)")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--clips", type=int, default=5, help="of each word")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--takes", type=int, default=TeachConfig.takes, help="spoken, of each word without clips"
    )
    parser.add_argument(
        "--leave-out", nargs="*", default=[], metavar="LABEL", help="labels that are no words"
    )
    parser.add_argument("--only", help="names of methods, by their first letters, between commas")


def run(args: argparse.Namespace) -> None:
    import random
    import statistics
    import time

    import torch

    from speechprompt.backbone import Backbone
    from speechprompt.data import dataset
    from speechprompt.tasks.catalogue import TASKS
    from studies.measures.few_shot import KEYWORDS, Method, flags, taught, tuned

    torch.set_num_threads(args.threads)
    backbone = Backbone.load(args.backbone)
    for task in [t for t in backbone.prompts if t in TASKS and args.data.stem in TASKS[t].files]:
        del backbone.prompts[task]  # teaching starts from prompts; these were tuned on the very words
    methods = [
        Method("taught", taught(backbone, TeachConfig(takes=args.takes))),
        Method("tuned from the keyword prompt", tuned(backbone, backbone.prompts.get(KEYWORDS))),
        Method("tuned from random", tuned(backbone, None)),
    ]
    if args.only:
        methods = [m for m in methods if m.name.startswith(tuple(args.only.split(",")))]
    rule = {"column": "label"}
    train, held_out = (dataset.read(args.data, rule, split) for split in ("train", args.split))
    backbone.encoder, backbone.lm  # noqa: B018 (loading is not part of a teaching)
    for seed in range(args.seeds):
        rng = random.Random(seed)
        words = sorted(rng.sample(sorted({e.labels[0] for e in train} - set(args.leave_out)), args.words))
        examples = []
        for word in words:
            examples += rng.sample([e for e in train if e.labels[0] == word], args.clips)
        unseen = [e for e in held_out if e.labels[0] in words]
        others = [e for e in held_out if e.labels[0] not in words]
        others = rng.sample(others, min(len(others), len(unseen)))
        for method in methods:
            began = time.perf_counter()
            prompt = method.learn(examples, words, seed)
            method.seconds.append(time.perf_counter() - began)
            right, flagged = flags(backbone, prompt, unseen)
            method.accuracy.append(statistics.mean(right))
            method.right_flagged.append(statistics.mean(f for f, r in zip(flagged, right, strict=True) if r))
            method.others_flagged.append(statistics.mean(flags(backbone, prompt, others)[1]))
            method.estimate.append(prompt.metrics.get("accuracy", float("nan")))
            print(f"seed {seed}: {method.name} {method.accuracy[-1]:.3f}", file=sys.stderr, flush=True)
    print(f"{args.words} words, {args.clips} clips of each, {args.seeds} seeds, answered on {args.split}\n")
    print(
        "| | accuracy | its own estimate | right flagged | other words flagged | seconds |\n|---|---|---|---|---|---|"
    )
    for m in methods:
        spread = statistics.stdev(m.accuracy) if len(m.accuracy) > 1 else 0.0
        estimate = statistics.mean(m.estimate)
        estimated = "–" if estimate != estimate else f"{100 * estimate:.1f} %"
        accuracy = f"{100 * statistics.mean(m.accuracy):.1f} ± {100 * spread:.1f} %"
        flagged_shares = [
            f"{100 * statistics.mean(shares):.1f} %" for shares in (m.right_flagged, m.others_flagged)
        ]
        cells = (m.name, accuracy, estimated, *flagged_shares, f"{statistics.median(m.seconds):.1f}")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.few_shot", sys.modules[__name__]))
