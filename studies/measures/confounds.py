"""Classifiers and prompts asked about the silence of clips: what the channel alone tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from speechprompt.audio import augment
from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.audio.pauses import EDGE, speech_span
from speechprompt.backbone import Backbone
from speechprompt.data import dataset
from speechprompt.data.dataset import Example
from speechprompt.decoding.generation import stream
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import waveform_of
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import Task
from speechprompt.tasks.labels import labels_of
from studies.measures.silence_classifier import balanced_accuracy, features, fit

SHORTEST = 0.15  # s of silence that a clip must have to be asked about
LONGEST = 1.0  # s of it that are heard, so that it is fast
FEWEST = 10  # held-out clips that a label needs
DRAWS = 3  # treatments of each clip that is treated at random
SPREAD = 3  # clips looked at for each that is kept: not all have silence


@dataclass(frozen=True)
class Clip:
    """One recording, float32 [T] at 16 kHz, where its speech starts and ends (samples), and its label."""

    waveform: np.ndarray
    start: int
    end: int
    label: str


def silence(waveform: np.ndarray, start: int, end: int) -> np.ndarray:
    """What a clip holds before and after its speech, one after the other, at most LONGEST."""
    margin = EDGE
    parts = [waveform[: max(0, start - margin)], waveform[end + margin :]]
    return np.concatenate(parts)[: int(LONGEST * SAMPLE_RATE)]


def enough(waveform: np.ndarray) -> bool:
    return len(waveform) >= SHORTEST * SAMPLE_RATE


def as_it_is(clip: Clip, rng: np.random.Generator) -> np.ndarray:
    return silence(clip.waveform, clip.start, clip.end)


def as_tuned(clip: Clip, rng: np.random.Generator) -> np.ndarray:
    """Silence of what a controlled task hears, drawn until there is any."""
    for _ in range(20):
        waveform, start, end = augment.placed(clip.waveform, rng)
        if enough(silence(waveform, start, end)):
            break
    return silence(augment.disguised(waveform, start, end, rng), start, end)


def disguised(clip: Clip, rng: np.random.Generator) -> np.ndarray:
    """The clip's own silence under the noise of the disguise, as it lies under the speech."""
    treated = augment.disguised(clip.waveform, clip.start, clip.end, rng)
    return silence(treated, clip.start, clip.end)


TREATMENTS: dict[str, Callable[[Clip, np.random.Generator], np.ndarray]] = {
    "as it is": as_it_is,
    "controlled, as tuned": as_tuned,
    "disguised, old silence": disguised,
}


def read_split(folder: Path, task: Task) -> tuple[list[Example], list[Example]]:
    """Train examples, and those of the other splits whose speakers are known and not in the train split."""
    train: list[Example] = []
    held_out: list[Example] = []
    for name in task.files:
        rows = dataset.read_rows(folder / f"{name}.parquet")
        trained = {row["speaker"] for row in rows if row["split"] == "train"} | {""}
        for row in rows:
            labels = labels_of(row, task.label_rule)
            if labels is None:
                continue
            example = Example(row["id"], row["split"], labels, row["audio"], None, name)
            if row["split"] == "train":
                train.append(example)
            elif row["speaker"] not in trained:
                held_out.append(example)
    return train, held_out


def with_silence(examples: Sequence[Example], n: int, seed: int) -> list[Clip]:
    """At most n clips of each label that have silence around their speech, drawn evenly from the files."""
    found: dict[Example, Clip] = {}
    for example in dataset.at_most(examples, n * SPREAD, seed):
        waveform = waveform_of(example)
        clip = Clip(waveform, *speech_span(waveform), example.labels[0])
        if enough(silence(waveform, clip.start, clip.end)):
            found[example] = clip
    return [found[example] for example in dataset.at_most(list(found), n, seed)]


def ask_classifier(
    backbone: Backbone,
    treatment: Callable[[Clip, np.random.Generator], np.ndarray],
    train: Sequence[Clip],
    held_out: Sequence[Clip],
    labels: Sequence[str],
    seed: int,
) -> dict[str, float]:
    """Train on one part, ask about the other: balanced accuracy, its interval, and the accuracy in training."""
    draws = 1 if treatment is as_it_is else DRAWS
    data = []
    for part, clips in enumerate((train, held_out)):
        waveforms = [
            treatment(clip, np.random.default_rng([seed, part, draw, i]))
            for draw in range(draws)
            for i, clip in enumerate(clips)
        ]
        truth = torch.tensor([labels.index(clip.label) for clip in clips] * draws)
        data.append((features(backbone, waveforms), truth))
    (x, y), (z, truth) = data
    answer = fit(x, y, len(labels))
    found, half = balanced_accuracy(truth, answer(z), len(labels))
    half *= math.sqrt(draws)  # draws of one clip are not clips of their own
    in_training, _ = balanced_accuracy(y, answer(x), len(labels))
    return {"balanced_accuracy": found, "half_width95": half, "in_training": in_training}


def ask_prompt(
    backbone: Backbone, prompt: Prompt, clips: Sequence[Clip], labels: Sequence[str]
) -> dict[str, Any]:
    """What a prompt answers to untreated silence: balanced recall, and how often it gives each label."""
    utterances = backbone.listen([as_it_is(clip, np.random.default_rng(0)) for clip in clips])
    answers = [prompt.labels[raw.labels[0]] for raw in stream(backbone.lm, prompt, utterances)]
    truth = torch.tensor([labels.index(clip.label) for clip in clips])
    found = torch.tensor([labels.index(label) if label in labels else -1 for label in answers])
    recall, half = balanced_accuracy(truth, found, len(labels))
    answered = {label: answers.count(label) / len(answers) for label in prompt.labels}
    return {"balanced_accuracy": recall, "half_width95": half, "answered": answered}


def measure(
    backbone: Backbone, task: Task, folder: Path, n_train: int, n_test: int, seed: int
) -> dict[str, Any]:
    """All figures of one task."""
    task_train, task_held_out = read_split(folder, task)
    train = with_silence(task_train, n_train, seed)
    held_out = with_silence(task_held_out, n_test, seed + 1)
    named = task.form.labels
    counts = {label: sum(clip.label == label for clip in held_out) for label in named}
    labels = [label for label in named if counts[label] >= FEWEST]
    if len(labels) < 2:
        raise SpeechPromptError(f"{task.name}: too few clips have silence around their speech.")
    train, held_out = ([clip for clip in clips if clip.label in labels] for clips in (train, held_out))
    figures: dict[str, Any] = {
        "task": task.name,
        "labels": labels,
        "left_out": [label for label in named if label not in labels],
        "n_train": len(train),
        "n_held_out": {label: counts[label] for label in labels},
        "chance": 1 / len(labels),
        "classifier": {
            name: ask_classifier(backbone, treatment, train, held_out, labels, seed)
            for name, treatment in tqdm(TREATMENTS.items(), desc=task.name)
        },
    }
    if task.name in backbone.prompts:
        figures["prompt"] = ask_prompt(backbone, backbone.prompt(task.name), held_out, labels)
    return figures


def show(figures: dict[str, Any]) -> None:
    counts = ", ".join(f"{label} {n}" for label, n in figures["n_held_out"].items())
    print(f"\n{figures['task']}: {figures['n_train']} clips learnt, of others {counts}")
    if figures["left_out"]:
        print(f"left out, too few clips with silence: {', '.join(figures['left_out'])}")
    print("| silence | asked | balanced accuracy | in training | chance |")
    print("|---|---|---:|---:|---:|")
    rows = [(name, "classifier", row) for name, row in figures["classifier"].items()]
    if "prompt" in figures:
        rows.append(("as it is", "prompt", figures["prompt"]))
    for name, asked, row in rows:
        found = f"{row['balanced_accuracy']:.1%} ± {row['half_width95']:.1%}"
        learnt = f"{row['in_training']:.1%}" if "in_training" in row else ""
        print(f"| {name} | {asked} | {found} | {learnt} | {figures['chance']:.1%} |")
    if "prompt" in figures:
        shares = ", ".join(f"{label} {share:.0%}" for label, share in figures["prompt"]["answered"].items())
        print(f"the prompt's answers to silence: {shares}")
