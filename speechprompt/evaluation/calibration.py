"""Calibration: what makes a score mean what it says, and from which score on an answer is doubted.

One temperature divides the logits of a prompt's labels (Guo et al. 2017), so that answers with the score
s are right about a share s of the time; the order of the labels stays as it is. It is fitted to whole
answers: the slots of one answer are wrong together, and a temperature that suits each step makes their
product too low. The score of a sequence is that of a search among texts of any length; two numbers make a
probability of it that the whole is right (Platt 1999). Answers below a threshold are flagged: they may be none of the
labels (thresholds.py). All is fitted on labelled data, mostly the valid split, and kept in the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import torch

from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.fits import NO_JUDGES, Evidence, Judges
from speechprompt.decoding.forward import label_logits
from speechprompt.decoding.generation import STREAMED, PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.metrics import rate
from speechprompt.evaluation.thresholds import KEPT_SHARE, STEP, Signals, below_most, choose_thresholds
from speechprompt.prompts.config import Calibration
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import Utterance

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

TEMPERATURES = np.geomspace(0.1, 10, 401)  # those that are looked at, 1.2 % apart
BINS = 10  # of the expected calibration error
TINY = 1e-12  # a score is so far from 0 and 1 where its odds are taken
RIDGE, NEWTON_STEPS = 1.0, 50  # of the fit for sequences: it stays near the score itself where data is scarce


def calibrate(
    lm: UnitLM,
    prompt: Prompt,
    utterances: Sequence[Utterance],
    truth: Sequence[Sequence[int]],
    split: str,
    negatives: Sequence[Utterance] = (),
    judges: Judges = NO_JUDGES,
    doubt_below: float = 0.0,
    doubt_labels: Mapping[str, float] | None = None,
) -> Calibration:
    """Fit a prompt's temperature and thresholds; returns what Prompt.calibration holds.

    truth: for each utterance the indices of its labels. negatives: utterances of none of the labels. doubt_below: the
    least threshold (0..1) that is put on the probability of an answer; doubt_labels: label -> the same for answers
    with that label. The dict has
    temperature, threshold (of the probability of an answer among all that the LM could generate; 0 when no answer is
    right), split, n, error_before and error_after (expected calibration error without and with the temperature),
    right_flagged and wrong_flagged (share of the right and of the wrong answers that are flagged, None where there
    are none); where the judges have a say, the thresholds speech and language; with negatives their number, and the
    shares of them and of the utterances that are flagged. Sequences have temperature 1 and, in its place, slope and
    offset (see Prompt.believed). SpeechPromptError without data.
    """
    if not len(utterances):
        raise SpeechPromptError(f"Prompt {prompt.task} cannot be calibrated without labelled utterances.")
    plain = replace(prompt, calibration=None)
    prompted = PromptedLM(lm, [plain], judges)
    raw = [one for one, _ in judged(prompted, utterances)]
    right = np.array([answer.labels == list(labels) for answer, labels in zip(raw, truth, strict=True)])
    if prompt.form.kind == "sequence":
        found = fit_sequences(np.array([answer.score for answer in raw]), right, split)
    else:
        steps = [np.stack(step) for step in zip(*(step_logits(prompt, one) for one in raw), strict=True)]
        found = fit_calibration(steps, right, split, fit_threshold)
    if doubt_labels:
        found["labels"] = dict(doubt_labels)
    # Of the thresholds of all answers none is chosen yet.
    scored = replace(prompt, calibration={**found, "threshold": 0.0})
    prompted = PromptedLM(lm, [scored], judges)
    belonging = Signals.among(scored, judged(prompted, utterances))
    others = Signals.among(scored, judged(prompted, negatives)) if len(negatives) else None
    thresholds = choose_thresholds(belonging, right, others)
    thresholds["certainty"] = max(thresholds["certainty"], doubt_below)
    flagged = belonging.flagged(thresholds)
    found["threshold"] = thresholds["certainty"]
    if "speech" in thresholds:
        found["speech"] = thresholds["speech"]
    if "language" in thresholds:
        found["language"] = thresholds["language"]
    found["right_flagged"], found["wrong_flagged"] = shares_flagged(flagged, right)
    if others is not None:
        found["negatives"], found["negatives_flagged"] = len(negatives), rounded(others.flagged(thresholds))
        found["belonging_flagged"] = rounded(flagged)
    return found


def judged(prompted: PromptedLM, utterances: Sequence[Utterance]) -> list[tuple[RawAnswer, Evidence]]:
    """What the one prompt answers each utterance with, and what says whether it fits."""
    rows = []
    for at in range(0, len(utterances), STREAMED):
        rows += [row[0] for row in prompted.judged(utterances[at : at + STREAMED])]
    return rows


def rounded(flagged: np.ndarray) -> float:
    return round(float(flagged.mean()), 4)


def shares_flagged(flagged: np.ndarray, right: np.ndarray) -> tuple[float | None, float | None]:
    """The shares of the right and of the wrong answers that are flagged, None where there are none; bool [n] each."""
    return (
        rate(int(flagged[right].sum()), int(right.sum())) if right.any() else None,
        rate(int(flagged[~right].sum()), int((~right).sum())) if not right.all() else None,
    )


def fit_sequences(scores: np.ndarray, right: np.ndarray, split: str) -> Calibration:
    """Platt's scaling of the scores of whole sequences, float [n], by whether they are right, bool [n]."""
    odds = np.log(np.clip(scores, TINY, 1)) - np.log(np.clip(1 - scores, TINY, 1))
    doubt = 1 / (len(right) + 2)
    target = np.where(right, 1 - doubt, doubt)
    inputs, weights = np.stack([odds, np.ones(len(odds))], 1), np.array([1.0, 0.0])
    ridge = np.diag([RIDGE, RIDGE])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (p - target) + RIDGE * (weights - [1.0, 0.0])
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + ridge
        weights = weights - np.clip(np.linalg.solve(curvature, gradient), -1, 1)
    slope, offset = (
        round(float(np.clip(weights[0], 0.01, 100)), 4),
        round(float(np.clip(weights[1], -100, 100)), 4),
    )
    after = 1 / (1 + np.exp(-np.clip(slope * odds + offset, -700, 700)))
    return fitted(1.0, 0.0, split, scores, after, right) | {"slope": slope, "offset": offset}


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
    return fitted(temperature, threshold, split, before, after, right)


def fitted(
    temperature: float, threshold: float, split: str, before: np.ndarray, after: np.ndarray, right: np.ndarray
) -> Calibration:
    """What every calibration holds, from the scores of answers before and after it, float [n], and right, bool [n]."""
    right_flagged, wrong_flagged = shares_flagged(after < threshold, right)
    return {
        "temperature": temperature,
        "threshold": threshold,
        "split": split,
        "n": len(right),
        "error_before": round(expected_calibration_error(before, right), 4),
        "error_after": round(expected_calibration_error(after, right), 4),
        "right_flagged": right_flagged,
        "wrong_flagged": wrong_flagged,
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
    return below_most(right_scores, 1 - KEPT_SHARE)


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
