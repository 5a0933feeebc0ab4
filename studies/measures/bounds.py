"""What plain classifiers of the encoder's features reach: bounds of what prompts can."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from speechprompt.backbone import Backbone
from speechprompt.data import dataset
from speechprompt.data.dataset import Example, at_most
from speechprompt.data.sounds import Sound
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import check_answers, evaluate, to_units, waveform_of
from speechprompt.evaluation.metrics import slot_figures
from speechprompt.models.log_mel import LogMel
from speechprompt.tasks.answer_form import slot_values
from speechprompt.tasks.catalogue import TASKS, task_of
from speechprompt.tuning.labelled import simulation_for
from speechprompt.tuning.recipe import labels_in_order
from speechprompt.units import Units
from studies.measures.accuracy import of_split, units_once
from studies.measures.classifiers import N_MELS, MelClassifier, UnitClassifier, answered, trained
from studies.measures.kept_units import KeptUnits


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
    units: Path | None = None,
) -> tuple[str, int, list[Bound]]:
    """(split, n, a row for each bound); SpeechPromptError for other tasks.

    extra: files whose train examples are learnt from too. copies: simulated recordings of each train clip,
    as tuning makes them but for pauses. per_label: at most so many train examples of each answer, 0 for all. units: the
    folder that keeps the units of recordings that are not simulated.
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
    kept = None if units is None else KeptUnits(backbone, units)

    def units_of(some: Sequence[Example]) -> list[Units]:
        return units_once(backbone, some, cached) if kept is None else [found for found, _ in kept.of(some)]

    asked = units_of(held_out)
    if copies:
        known = to_units(backbone, train, copies, simulation_for(TASKS[task], seed, 0.0).recording)
        truth *= len(known) // len(train)  # units that the data has itself are never simulated
    else:
        known = units_of(train)
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
