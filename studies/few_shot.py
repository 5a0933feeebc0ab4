"""How well a new task is learnt from a few recordings of each label, against tuning from elsewhere.

    python -m studies.few_shot --data arabic_keywords.parquet --split test

Draws words and a few clips of each from the train split, teaches them as the app does, and answers all
clips of those words in another split, whose speakers are not those of the training. Bundled prompts that
were tuned on the same file are left aside, for what is taught must be new. Prints one table:
mean and standard deviation over the seeds, and the seconds of one teaching.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from speechprompt.answer_form import AnswerForm
from speechprompt.audio.augment import Simulation
from speechprompt.backbone import Backbone
from speechprompt.data import dataset
from speechprompt.data.dataset import Example
from speechprompt.evaluation.evaluate import evaluate, to_units, waveform_of
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks import TASKS
from speechprompt.teaching.teacher import TeachConfig, teach
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import tune

KEYWORDS = "keyword_spotting"
STEPS, TOKENS_PER_BATCH = 240, 1024  # of tuning with gradient steps


@dataclass
class Method:
    """One way to learn: examples, their labels and a seed -> a prompt; what came out."""

    name: str
    learn: Callable[[list[Example], list[str], int], Prompt]
    accuracy: list[float] = field(default_factory=list)
    estimate: list[float] = field(default_factory=list)  # what the prompt itself says, from its own clips
    seconds: list[float] = field(default_factory=list)


def taught(backbone: Backbone, config: TeachConfig) -> Callable[[list[Example], list[str], int], Prompt]:
    def learn(examples: list[Example], words: list[str], seed: int) -> Prompt:
        clips = {word: [waveform_of(e) for e in examples if e.labels[0] == word] for word in words}
        return teach(backbone, "Benchmark", clips, TeachConfig(**{**vars(config), "seed": seed})).prompt

    return learn


def tuned(backbone: Backbone, start: Prompt | None) -> Callable[[list[Example], list[str], int], Prompt]:
    """STEPS gradient steps, with a verbalizer that begins at random."""
    plan = TeachConfig()

    def learn(examples: list[Example], words: list[str], seed: int) -> Prompt:
        units = to_units(backbone, examples, plan.copies, Simulation(seed, plan.pauses).recording)
        truth = [words.index(e.labels[0]) for e in examples]
        data = [(u, (truth[i % len(truth)],)) for i, u in enumerate(units)]
        config = TuneConfig(
            prompt_length=start.length if start else 20,
            steps=STEPS,
            tokens_per_batch=TOKENS_PER_BATCH,
            check_every=STEPS,
            seed=seed,
        )
        form, tensors = AnswerForm(tuple(words)), {}
        if start is not None:
            tensors = {name: getattr(start, name) for name in ("key_prompts", "value_prompts", "separator")}
        found, _ = tune(backbone.lm, data, data[: len(words)], form, config, start=tensors, keep="last")
        sha256 = backbone.unit_lm_sha256
        return Prompt("benchmark", "Benchmark", form, backbone.name, sha256, **found)

    return learn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.parquet")
    parser.add_argument("--split", default="valid", help="what the answers are counted on (default: valid)")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--clips", type=int, default=5, help="of each word")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="names of methods, by their first letters, between commas")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    backbone = Backbone.load(args.backbone)
    for task in [t for t in backbone.prompts if t in TASKS and args.data.stem in TASKS[t].files]:
        del backbone.prompts[task]  # teaching starts from prompts; these were tuned on the very words
    methods = [
        Method("taught", taught(backbone, TeachConfig())),
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
        words = sorted(rng.sample(sorted({e.labels[0] for e in train}), args.words))
        examples = []
        for word in words:
            examples += rng.sample([e for e in train if e.labels[0] == word], args.clips)
        unseen = [e for e in held_out if e.labels[0] in words]
        for method in methods:
            began = time.perf_counter()
            prompt = method.learn(examples, words, seed)
            method.seconds.append(time.perf_counter() - began)
            method.accuracy.append(evaluate(backbone, prompt, unseen)["accuracy"])
            method.estimate.append(prompt.metrics.get("accuracy", float("nan")))
            print(f"seed {seed}: {method.name} {method.accuracy[-1]:.3f}", file=sys.stderr, flush=True)
    print(f"{args.words} words, {args.clips} clips of each, {args.seeds} seeds, answered on {args.split}\n")
    print("| | accuracy | its own estimate | seconds |\n|---|---|---|---|")
    for m in methods:
        spread = statistics.stdev(m.accuracy) if len(m.accuracy) > 1 else 0.0
        estimate = statistics.mean(m.estimate)
        own = "–" if estimate != estimate else f"{100 * estimate:.1f} %"
        accuracy = f"{100 * statistics.mean(m.accuracy):.1f} ± {100 * spread:.1f} %"
        print(f"| {m.name} | {accuracy} | {own} | {statistics.median(m.seconds):.1f} |")


if __name__ == "__main__":
    main()
