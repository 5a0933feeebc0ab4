"""Calibration: what makes a score mean what it says, and from which score on an answer is doubted.

One temperature divides the logits of a prompt's labels (Guo et al. 2017), so that answers with the score
s are right about a share s of the time; the order of the labels stays as it is. It is fitted to whole
answers: the slots of one answer are wrong together, and a temperature that suits each step makes their
product too low. Answers whose score lies below a threshold are flagged: they may be none of the labels.
Both are fitted on labelled data, mostly the valid split, and kept in the prompt. The score of a sequence
is that of a search among texts of any length, so sequences stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import torch

from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.forward import label_logits
from speechprompt.decoding.generation import stream
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.metrics import rate
from speechprompt.prompts.config import Calibration
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import Utterance

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

KEPT_SHARE = 0.95  # of the right answers, at least so many stay unflagged
TEMPERATURES = np.geomspace(0.1, 10, 401)  # those that are looked at, 1.2 % apart
BINS = 10  # of the expected calibration error
TINY = 1e-12  # a score is so far from 0 and 1 where its odds are taken
STEP = 1e-6  # thresholds are rounded down to this


def calibrate(
    lm: UnitLM,
    prompt: Prompt,
    utterances: Sequence[Utterance],
    truth: Sequence[Sequence[int]],
    split: str,
) -> Calibration:
    """Fit a prompt's temperature and threshold; returns what Prompt.calibration holds.

    truth: for each utterance the indices of its labels. The dict has temperature, threshold (0 when
    no answer is right), split, n, error_before and error_after (expected calibration error without and with the
    temperature), right_flagged and wrong_flagged (share of the right and of the wrong answers below
    the threshold, None where there are none). SpeechPromptError for sequences and without data.
    """
    if prompt.form.kind == "sequence":
        raise SpeechPromptError(
            f"Prompt {prompt.task} answers with sequences, whose scores are not calibrated."
        )
    if not len(utterances):
        raise SpeechPromptError(f"Prompt {prompt.task} cannot be calibrated without labelled utterances.")
    raw = list(stream(lm, replace(prompt, calibration=None), utterances))
    logits = [step_logits(prompt, answer) for answer in raw]
    right = np.array([answer.labels == list(labels) for answer, labels in zip(raw, truth, strict=True)])
    stacked = [np.stack(step) for step in zip(*logits, strict=True)]
    return fit_calibration(stacked, right, split, fit_threshold)


def fit_calibration(
    logits: Sequence[np.ndarray],
    right: np.ndarray,
    split: str,
    threshold_of: Callable[[np.ndarray], float],
) -> Calibration:
    """What Prompt.calibration holds (see calibrate), from label logits, float [n, C] of each step, and right, bool [n].

    threshold_of: fit_threshold, or careful_threshold where the right answers are few.
    """
    temperature = round(fit_temperature(logits, right), 4)
    before, after = (answer_scores(logits, t) for t in (1.0, temperature))
    threshold = threshold_of(after[right])
    flagged = after < threshold
    return {
        "temperature": temperature,
        "threshold": threshold,
        "split": split,
        "n": len(right),
        "error_before": round(expected_calibration_error(before, right), 4),
        "error_after": round(expected_calibration_error(after, right), 4),
        "right_flagged": rate(int(flagged[right].sum()), int(right.sum())) if right.any() else None,
        "wrong_flagged": rate(int(flagged[~right].sum()), int((~right).sum())) if not right.all() else None,
    }


def step_logits(prompt: Prompt, raw: RawAnswer) -> list[np.ndarray]:
    """Label logits of every step of an answer before any temperature, float64, a slot's own labels alone."""
    vocabulary = torch.from_numpy(raw.vocabulary_logits).double()
    weight = None if prompt.verbalizer_weight is None else prompt.verbalizer_weight.double()
    found = label_logits(vocabulary, weight, prompt.verbalizer_units).numpy()
    return [row[first:end] for row, (_, first, end) in zip(found, prompt.form.spans, strict=True)]


def fit_temperature(logits: Sequence[np.ndarray], right: np.ndarray) -> float:
    """The temperature whose scores foretell best (lowest log loss) whether an answer is right.

    logits: float [n, C] of each step; right: bool [n]. Looked for on a grid of TEMPERATURES. What is right is believed
    only (n + 1) of n + 2 times, as in Platt's scaling, or answers that are all right would ask for endless
    certainty.
    """
    doubt = 1 / (len(right) + 2)
    target = np.where(right, 1 - doubt, doubt)

    def loss(temperature: float) -> float:
        scores = np.clip(answer_scores(logits, temperature), 1e-12, 1 - 1e-12)
        return float(-(target * np.log(scores) + (1 - target) * np.log1p(-scores)).mean())

    return float(min(TEMPERATURES, key=loss))


def fit_threshold(right_scores: np.ndarray) -> float:
    """The highest threshold below which at most 1 - KEPT_SHARE of the right answers score: float [n] -> 0..1."""
    if not len(right_scores):
        return 0.0
    spared = np.sort(right_scores)[math.floor(round((1 - KEPT_SHARE) * len(right_scores), 6))]
    return round(math.floor(float(spared) / STEP) * STEP, 6)


def careful_threshold(right_scores: np.ndarray) -> float:
    """A threshold below which 1 - KEPT_SHARE of further right answers are expected, from few: float [n] -> 0..1.

    One more answer lies below the k-th lowest of n with a chance of k / (n + 1), so fewer than 19 have none that is
    low enough. The threshold is therefore no higher than a one-sided prediction bound for the log-odds of one more
    answer either, as if they were normally distributed; the fewer and the more scattered they are, the lower. 0 from
    fewer than two.
    """
    n = len(right_scores)
    if n < 2:
        return 0.0
    scores = np.sort(np.clip(right_scores, TINY, 1 - TINY))
    lowest = scores[max(1, math.floor(round((1 - KEPT_SHARE) * (n + 1), 6))) - 1]
    odds = np.log(scores) - np.log1p(-scores)
    bound = odds.mean() - student_quantile(n - 1) * odds.std(ddof=1) * math.sqrt(1 + 1 / n)
    return round(math.floor(min(float(lowest), 1 / (1 + math.exp(-bound))) / STEP) * STEP, 6)


def student_quantile(freedom: int) -> float:
    """The KEPT_SHARE quantile of Student's t, by four terms of its expansion (Abramowitz and Stegun, 26.7.5)."""
    z = NormalDist().inv_cdf(KEPT_SHARE)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def answer_scores(logits: Sequence[np.ndarray], temperature: float) -> np.ndarray:
    """Score of each whole answer at a temperature: the product over its steps, float [n]."""
    likeliest = [torch.from_numpy(step / temperature).log_softmax(-1).amax(1) for step in logits]
    return torch.stack(likeliest).sum(0).exp().numpy()


def expected_calibration_error(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean distance between score and share of right answers over BINS bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = [abs(float((scores[bins == b] - right[bins == b]).sum())) for b in range(BINS)]
    return sum(gaps) / len(scores)
