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

3000 clips of a second or two take up to 5 minutes on two cores; longer clips and simulated ones take longer.
--clips is for a quick look.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from speechprompt.backbone import Backbone
from speechprompt.cli import run_command
from speechprompt.data import dataset
from speechprompt.data.dataset import Example, at_most
from speechprompt.data.sounds import Sound
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import check_answers, evaluate, to_units, waveform_of
from speechprompt.evaluation.metrics import slot_figures, wilson_interval
from speechprompt.models.log_mel import LogMel
from speechprompt.prompts.card import percent
from speechprompt.tasks.answer_form import slot_values
from speechprompt.tasks.catalogue import TASKS, task_of
from speechprompt.tuning.labelled import simulation_for
from speechprompt.tuning.recipe import labels_in_order
from speechprompt.units import Units
from studies.accuracy import of_split, units_once
from studies.classifiers import N_MELS, MelClassifier, UnitClassifier, answered, trained


@dataclass(frozen=True)
class Bound:
    """How many answers of one kind are right, None where none could be had; f1 of tasks that fill slots."""

    what: str
    hits: int | None = None
    f1: float | None = None
    remark: str = ""


def bound(
    what: str, answers: Sequence[set[int]], due: Sequence[tuple[int, ...]], labels: Sequence[str], remark: str
) -> Bound:
    """Answers, by the indices of their labels, against those that are due, where -1 is one nobody can answer."""
    truth = [set(one) for one in due]
    hits = sum(answer == true for answer, true in zip(answers, truth, strict=True))
    if not any("=" in label for label in labels):
        return Bound(what, hits, None, remark)
    named = [*labels, "?=?"]  # the last one is -1

    def filled(sets: Sequence[set[int]]) -> list[dict[str, str]]:
        return [slot_values([named[i] for i in sorted(one)]) for one in sets]

    return Bound(what, hits, slot_figures(filled(truth), filled(answers))["slot_f1"], remark)


def log_mels(examples: Sequence[Example]) -> list[Tensor]:
    """Log-mel frames float16 [2·(T // 320), N_MELS] of each recording, as the encoder's own front end makes them."""
    front = LogMel(N_MELS)
    with torch.inference_mode():
        return [
            front(torch.from_numpy(waveform_of(example))[None])[0].half()
            for example in tqdm(examples, desc="log-mels", unit="clip", mininterval=2)
        ]


def id_tensors(utterances: Sequence[Units]) -> list[Tensor]:
    return [torch.from_numpy(units.ids.astype("int64")) for units in utterances]


def bounds(
    backbone: Backbone,
    task: str,
    folder: Path,
    split: str,
    clips: int = 0,
    seed: int = 0,
    extra: Sequence[Path] = (),
    copies: int = 0,
    per_label: int = 0,
) -> tuple[str, int, list[Bound]]:
    """(split, n, a row for each bound); SpeechPromptError for other tasks.

    extra: files whose train examples are learnt from too. copies: simulated recordings of each train clip,
    as tuning makes them but for pauses. per_label: at most so many train examples of each answer, 0 for all.
    """
    # An order of labels that each stand once is fixed by the task, so their set is the answer.
    if task not in TASKS or not (TASKS[task].form.labels or TASKS[task].form.kind == "label"):
        raise SpeechPromptError(
            f"{task} is not a task of one label or of slots in speechprompt/tasks: bounds are for those alone."
        )
    many = TASKS[task].form.kind != "label"
    prompt = backbone.prompts.get(task)
    chosen = task_of(task, prompt.label_rule, prompt.labels) if prompt else TASKS[task]
    examples = read_task([folder], chosen, None, backbone.has_encoder)
    train = [example for example in examples if example.split == "train"]
    train += [example for file in extra for example in dataset.read(file, chosen.label_rule, "train")]
    measured, held_out = of_split(examples, split)
    if per_label:
        train = at_most(train, per_label, seed)
    if clips:
        rng = random.Random(seed)
        train, held_out = (rng.sample(part, min(clips, len(part))) for part in (train, held_out))
    labels = labels_in_order(TASKS[task], train)
    if len(labels) < 2:
        raise SpeechPromptError(
            f"The train split of {task} has fewer than two labels: nothing can be learnt."
        )
    if prompt:
        check_answers(prompt, held_out)
    truth = [tuple(map(labels.index, example.labels)) for example in train]
    # A label that the train split lacks is answered by nobody.
    due = [tuple(labels.index(one) if one in labels else -1 for one in e.labels) for e in held_out]
    (majority, _), *_ = Counter(truth).most_common()
    rows = [
        bound(
            "majority class", [set(majority)] * len(due), due, labels, ", ".join(labels[i] for i in majority)
        )
    ]

    cached: dict[bytes | Sound, Units] = {}  # an extra file may be given more than once
    asked = units_once(backbone, held_out, cached)
    if copies:
        known = to_units(backbone, train, copies, simulation_for(TASKS[task], seed, 0.0).recording)
        truth *= len(known) // len(train)  # units that the data has itself are never simulated
    else:
        known = units_once(backbone, train, cached)
    if any(example.audio is None for example in (*train, *held_out)):
        rows.append(Bound("log-mel classifier", remark="the data has units and no recordings"))
    elif copies:
        rows.append(Bound("log-mel classifier", remark="learns from clips as they are, without --as-tuned"))
    else:
        began = time.perf_counter()
        mels = log_mels(train)
        name = "log-mel classifier"
        model = trained(lambda: MelClassifier(len(labels)), mels, truth, seed, name, many)
        rows.append(bound(name, answered(model, log_mels(held_out), many), due, labels, spent(model, began)))
    began = time.perf_counter()
    name = "unit classifier"
    model = trained(
        lambda: UnitClassifier(backbone.n_units, len(labels)), id_tensors(known), truth, seed, name, many
    )
    rows.append(bound(name, answered(model, id_tensors(asked), many), due, labels, spent(model, began)))
    if prompt:
        figures = evaluate(backbone, prompt, held_out, asked)
        hits = round(figures["accuracy"] * figures["n"])
        remark = f"{prompt.n_parameters:,} parameters"
        rows.append(Bound("bundled prompt", hits, figures.get("slot_f1"), remark))
    else:
        rows.append(Bound("bundled prompt", remark="there is none"))
    return measured, len(held_out), rows


def spent(model: nn.Module, began: float) -> str:
    return f"{sum(p.numel() for p in model.parameters()):,} parameters, {time.perf_counter() - began:.0f} s"


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
    parser.add_argument("--clips", type=int, default=0, metavar="N", help="at most N of either split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=int, default=1, help="default 1: steps this small gain nothing from two"
    )


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    backbone = Backbone.load(args.backbone)
    chosen = (args.clips, args.seed, args.extra, args.as_tuned, args.per_label)
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
