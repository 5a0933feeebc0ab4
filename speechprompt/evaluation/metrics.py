"""How well answers fit the truth: accuracy with its interval, recall by class, slots, spelling errors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from torchaudio.functional import edit_distance

from speechprompt.prompts import confusion
from speechprompt.prompts.config import Metrics
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import names_slots
from speechprompt.tasks.catalogue import TASKS

Labels = tuple[str, ...]


def wilson_interval(correct: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson's score interval), both ends in 0..1."""
    if not n:
        return 0.0, 1.0
    p = correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def measure(
    prompt: Prompt, truth: Sequence[Labels], answers: Sequence[Labels], scores: Sequence[float] | None = None
) -> Metrics:
    """n, accuracy of whole answers, interval95, per_class {class: n, recall, precision}, confusions.

    confusions lists (truth, answer, count) of the mistakes, most frequent first, at most ten. One label:
    also unweighted_recall. Slots: also slot_accuracy {slot: share right}. Both, with at most
    confusion.MAX_SHOWN labels: also confusion, as confusion.count gives it. Slots in a sequence: also
    slot_f1, micro-averaged over (slot, value), the classes being the slots, and slot_character_error_rate, edits per
    character of the true values. Spelled: also character_error_rate and word_error_rate, edits per character or
    word of the truth. Where the task asks for it (Task.metric), also macro_f1, the mean of the labels' F1; f1 of the
    last of two labels; equal_error_rate, with `scores`, the probability of that label in each answer.
    """
    n = len(truth)
    correct = sum(t == a for t, a in zip(truth, answers, strict=True))
    mistakes = Counter(
        (prompt.form.text(t), prompt.form.text(a)) for t, a in zip(truth, answers, strict=True) if t != a
    )
    figures: dict[str, Any] = {
        "n": n,
        "accuracy": rate(correct, n),
        "interval95": [round(end, 4) for end in wilson_interval(correct, n)],
    }
    if prompt.form.kind == "label":
        figures["per_class"] = per_class(truth, answers, prompt.labels)
        recalls = [c["recall"] for c in figures["per_class"].values() if c["recall"] is not None]
        figures["unweighted_recall"] = round(sum(recalls) / len(recalls), 4) if recalls else 0.0
        figures |= asked_for(prompt, [t[0] for t in truth], [a[0] for a in answers], scores)
    elif prompt.form.kind == "slots":
        filled = [[f"{s}: {v}" for s, v in prompt.form.fill_slots(t).items()] for t in truth]
        found = [[f"{s}: {v}" for s, v in prompt.form.fill_slots(a).items()] for a in answers]
        classes = [f"{s}: {v}" for s, first, end in prompt.form.spans for v in prompt.labels[first:end]]
        figures["per_class"] = per_class(filled, found, classes)
        figures["slot_accuracy"] = {
            slot: rate(sum(t[i] == a[i] for t, a in zip(truth, answers, strict=True)), n)
            for i, slot in enumerate(prompt.form.slots)
        }
    elif names_slots(prompt.labels):
        figures |= slot_figures(
            [prompt.form.fill_slots(t) for t in truth], [prompt.form.fill_slots(a) for a in answers]
        )
    else:
        pairs = [("".join(t), "".join(a)) for t, a in zip(truth, answers, strict=True)]
        figures["character_error_rate"] = error_rate(pairs)
        figures["word_error_rate"] = error_rate([(t.split(), a.split()) for t, a in pairs])
        figures["per_class"] = {}
    if prompt.form.kind != "sequence" and len(prompt.labels) <= confusion.MAX_SHOWN:
        figures["confusion"] = confusion.count(
            map(prompt.form.indices, truth), map(prompt.form.indices, answers)
        )
    figures["confusions"] = [(t, a, count) for (t, a), count in mistakes.most_common(10)]
    return cast(Metrics, figures)


def rate(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def per_class(
    truth: Sequence[Sequence[str]], answers: Sequence[Sequence[str]], classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """n, recall and precision of every class; the k-th label of an answer is held against the k-th true one."""
    pairs = Counter(p for t, a in zip(truth, answers, strict=True) for p in zip(t, a, strict=True))
    of_truth = Counter(label for labels in truth for label in labels)
    of_answer = Counter(label for labels in answers for label in labels)
    return {
        name: {
            "n": of_truth[name],
            "recall": rate(pairs[name, name], of_truth[name]) if of_truth[name] else None,
            "precision": rate(pairs[name, name], of_answer[name]) if of_answer[name] else None,
        }
        for name in classes
    }


def slot_figures(truth: Sequence[dict[str, str]], answers: Sequence[dict[str, str]]) -> dict[str, Any]:
    """slot_f1 over all (slot, value) pairs, and n, recall and precision of each slot."""
    of_truth = Counter(slot for filled in truth for slot in filled)
    of_answer = Counter(slot for filled in answers for slot in filled)
    right = Counter(slot for t, a in zip(truth, answers, strict=True) for slot in t if t[slot] == a.get(slot))
    table = {
        slot: {
            "n": of_truth[slot],
            "recall": rate(right[slot], of_truth[slot]),
            "precision": rate(right[slot], of_answer[slot]) if of_answer[slot] else None,
        }
        for slot in of_truth
    }
    total = sum(of_truth.values()) + sum(of_answer.values())
    values = [(t[slot], a.get(slot, "")) for t, a in zip(truth, answers, strict=True) for slot in t]
    return {
        "per_class": table,
        "slot_f1": rate(2 * sum(right.values()), total),
        "slot_character_error_rate": error_rate(values),
    }


def asked_for(
    prompt: Prompt, truth: Sequence[str], answers: Sequence[str], scores: Sequence[float] | None
) -> dict[str, float]:
    """The figure that the prompt's task is reported by, where it is not among the others; see measure."""
    metric = TASKS[prompt.task].metric if prompt.task in TASKS else "accuracy"
    if metric == "macro_f1":
        found = [f1(truth, answers, label) for label in prompt.labels if label in truth]
        return {metric: round(sum(found) / len(found), 4) if found else 0.0}
    if len(prompt.labels) != 2:
        return {}
    if metric == "f1":
        return {metric: f1(truth, answers, prompt.labels[1])}
    if metric == "equal_error_rate" and scores is not None:
        return {metric: equal_error_rate([t == prompt.labels[1] for t in truth], scores)}
    return {}


def f1(truth: Sequence[str], answers: Sequence[str], label: str) -> float:
    """Harmonic mean of precision and recall of one label, 0..1."""
    right = sum(t == a == label for t, a in zip(truth, answers, strict=True))
    return rate(2 * right, list(truth).count(label) + list(answers).count(label))


def equal_error_rate(positive: Sequence[bool], scores: Sequence[float]) -> float:
    """The share of errors at the threshold where both kinds are equally frequent, interpolated between two scores.

    positive: what is so in truth. scores: the higher, the more so. 0 where one of the two does not occur.
    """
    n_positive = sum(positive)
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return 0.0
    by_score: dict[float, list[int]] = {}
    for score, so in zip(scores, positive, strict=True):
        by_score.setdefault(score, [0, 0])[so] += 1
    accepted, missed = 1.0, 0.0  # negatives at or above the threshold, positives below it
    for score in sorted(by_score):
        negatives, positives = by_score[score]
        next_accepted, next_missed = accepted - negatives / n_negative, missed + positives / n_positive
        if next_accepted <= next_missed:
            share = (accepted - missed) / ((accepted - missed) + (next_missed - next_accepted))
            return round(missed + share * (next_missed - missed), 4)
        accepted, missed = next_accepted, next_missed
    return 1.0


def error_rate(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    """Edits (insertions, deletions, replacements) per symbol of the truth, over all (truth, answer) pairs."""
    return rate(sum(edit_distance(t, a) for t, a in pairs), sum(len(t) for t, _ in pairs))
