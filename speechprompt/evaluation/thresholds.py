"""From which score on a recording is doubted: thresholds for what fits.py looks at, chosen on labelled data.

A recording is doubted where the answer is too uncertain, speech too improbable, or the task's languages. Without
recordings that belong to no label each threshold leaves its share of the right answers below it. With them the shares
are divided so that most of these and of the wrong answers are doubted, and hardly any of the right ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.fits import Evidence, doubted_by_unit
from speechprompt.prompts.prompt import Prompt

KEPT_SHARE = 0.95  # of the right answers, at least so many stay unflagged
JUDGE_SHARE = 0.005  # of the right answers that each judge may flag, where nothing says that it is of use
RIGHT_SHARE = (
    0.04  # of the right answers, flagged at most; a point less than is wanted, as other data differs
)
WANTED_SHARE = (
    0.9  # of what is to be doubted; where that is reached, as few right answers as possible are flagged
)
JUDGE_WORTH = (
    0.02  # of what is to be doubted: a judge slows answers, and is asked where it finds so much more
)
SHARES = (
    None,
    0.0,
    0.002,
    0.005,
    0.01,
    0.015,
    0.02,
    0.03,
    0.04,
)  # that are tried for each; None: no threshold
STEP = 1e-6  # thresholds are rounded down to this


@dataclass(frozen=True, eq=False)
class Signals:
    """What thresholds are put on, of n recordings.

    of: "certainty", and "speech" and "language" where they are judged -> float [n], 0..1, the higher the better.
    outside: bool [n], what is doubted whatever the thresholds: the unit that was generated is none of a label, or the
    answer scores below what its label needs (Prompt.threshold_of).
    """

    of: Mapping[str, np.ndarray]
    outside: np.ndarray

    @classmethod
    def among(cls, prompt: Prompt, found: Sequence[tuple[RawAnswer, Evidence]]) -> Signals:
        """Of what PromptedLM.judged found for one prompt."""
        evidence = [one for _, one in found]
        of = {"certainty": np.array([one.certainty for one in evidence])}
        for name in ("speech", "language"):
            if evidence and getattr(evidence[0], name) is not None:
                of[name] = np.array([getattr(one, name) for one in evidence])
        doubted = [
            doubted_by_unit(prompt, raw, one) or one.certainty < prompt.threshold_of(raw.labels)
            for raw, one in found
        ]
        return cls(of, np.array(doubted, dtype=bool))

    def part(self, rows: np.ndarray) -> Signals:
        """Those of some rows, bool [n] or indices."""
        return Signals({name: values[rows] for name, values in self.of.items()}, self.outside[rows])

    def flagged(self, thresholds: Mapping[str, float]) -> np.ndarray:
        """bool [n]: where something is below its threshold."""
        below = [values < thresholds[name] for name, values in self.of.items()]
        return self.outside | np.any(below, axis=0)


def choose_thresholds(belonging: Signals, right: np.ndarray, negatives: Signals | None) -> dict[str, float]:
    """A threshold (0..1) for every signal. right: bool [n], which of the belonging are answered rightly."""
    names = list(belonging.of)
    known, wrong = belonging.part(right), belonging.part(~right)
    if negatives is None or not len(negatives.outside):
        shares = dict.fromkeys(names, JUDGE_SHARE)
        shares["certainty"] = 1 - KEPT_SHARE - JUDGE_SHARE * (len(names) - 1)
        return {name: below_most(known.of[name], shares[name]) for name in names}
    most = max(RIGHT_SHARE, mean(known.outside))
    best, thresholds = (-1.0, 0.0), dict.fromkeys(names, 0.0)
    tried = [{share: below_most(known.of[name], share) for share in SHARES}.values() for name in names]
    for values in product(*tried):
        chosen = dict(zip(names, values, strict=True))
        costs = mean(known.flagged(chosen))
        # A wrong answer is to be doubted like one to a recording of no label: neither is to be believed.
        gain = mean(np.concatenate([negatives.flagged(chosen), wrong.flagged(chosen)]))
        asked = sum(value > 0 for name, value in chosen.items() if name != "certainty")
        worth = min(gain, WANTED_SHARE) - JUDGE_WORTH * asked
        if costs <= most and (worth, -costs) > best:
            best, thresholds = (worth, -costs), chosen
    return thresholds


def mean(flags: np.ndarray) -> float:
    """The share of bool [n] that is set; 0 of none."""
    return float(flags.mean()) if len(flags) else 0.0


def below_most(values: np.ndarray, share: float | None) -> float:
    """The highest threshold below which at most a share of the values lies: float [n] -> 0..1; 0 for None."""
    if share is None or not len(values):
        return 0.0
    spared = np.sort(values)[math.floor(round(share * len(values), 6))]
    return max(0.0, round(math.floor(float(spared) / STEP) * STEP, 6))
