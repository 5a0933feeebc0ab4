"""How well answers fit the truth: accuracy with its interval, recall by class, confusions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any


def wilson_interval(correct: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson's score interval), both ends in 0..1."""
    if not n:
        return 0.0, 1.0
    p = correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def measure(truth: Sequence[str], answers: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """n, accuracy, interval95, unweighted_recall, per_class {label: n, recall, precision}, confusions.

    confusions lists (truth, answer, count) of the mistakes, most frequent first, at most ten.
    """
    n = len(truth)
    pairs = Counter(zip(truth, answers, strict=True))
    correct = sum(count for (t, a), count in pairs.items() if t == a)
    of_truth, of_answer = Counter(truth), Counter(answers)
    per_class = {
        label: {
            "n": of_truth[label],
            "recall": round(pairs[label, label] / of_truth[label], 4) if of_truth[label] else None,
            "precision": round(pairs[label, label] / of_answer[label], 4) if of_answer[label] else None,
        }
        for label in labels
    }
    recalls = [c["recall"] for c in per_class.values() if c["recall"] is not None]
    mistakes = [(t, a, count) for (t, a), count in pairs.most_common() if t != a]
    return {
        "n": n,
        "accuracy": round(correct / n, 4) if n else 0.0,
        "interval95": [round(end, 4) for end in wilson_interval(correct, n)],
        "unweighted_recall": round(sum(recalls) / len(recalls), 4) if recalls else 0.0,
        "per_class": per_class,
        "confusions": mistakes[:10],
    }
