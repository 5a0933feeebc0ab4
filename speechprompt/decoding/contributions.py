"""What each unit contributed to a label: the verbalizer, taken apart.

The logit of label c is linear in what the LM says, z_c = sum over symbols v of W[c, v] · x_v, with x the
LM's logits (a fixed verbalizer is the W whose rows are one at their unit). Against the mean of all labels
that may be answered, with D[v] = W[c, v] - mean over labels of W[·, v] and m = mean of x over the units:

    z_c - mean z  =  sum over units u of D[u] · (x_u - m)    what unit u contributes
                   + sum over specials s of D[s] · (x_s - m)  the same of `</s>` and its like
                   + m · sum over v of D[v]                   what stays when all symbols are equally likely

Where a label has several units its logit is the log of the sum of theirs: the mean of their logits by the shares
that they have in that sum, which are the row of W, plus the entropy of the shares, which counts as level.

This holds exactly, so that nothing of the logit is left out. The logits are those before a prompt's temperature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from speechprompt.prompts.prompt import Prompt
from speechprompt.units import EOS, UNIT_OFFSET

TINY = 1e-300
SHOWN = 12  # units that are listed by number


@dataclass(frozen=True, eq=False)
class Contributions:
    """What one answered label is made of.

    units: float64 [n_units], what each adds to the label's logit above the mean label's; specials and level
    add the rest, see above. margin is the sum of all: the label's logit less the mean of the labels'.
    """

    margin: float
    units: np.ndarray = field(repr=False)
    specials: float
    level: float

    def top(self, n: int = SHOWN) -> list[int]:
        """The n units that weigh most, for or against, in that order."""
        return np.argsort(-np.abs(self.units), kind="stable")[:n].tolist()

    def to_dict(self) -> dict[str, Any]:
        """margin, units (the SHOWN heaviest, each unit and value), other_units (their sum), specials, level."""
        top = self.top()
        return {
            "margin": self.margin,
            "units": [{"unit": unit, "value": float(self.units[unit])} for unit in top],
            "other_units": float(self.units.sum() - self.units[top].sum()),
            "specials": self.specials,
            "level": self.level,
        }


def contributions(
    prompt: Prompt, logits: np.ndarray, label: int | None, first: int, end: int
) -> Contributions:
    """Take one step apart. logits: float [V], the LM's; the labels first … end - 1 may be answered there.

    label: the index of the one that was; None for the end of a sequence. In sequences the end counts among what may be
    answered, as the label after the last.
    """
    x = logits.astype(np.float64)
    weights, entropy = label_weights(prompt, x, len(prompt.labels) if label is None else label, first, end)
    level = x[UNIT_OFFSET:].mean()
    parts = weights * (x - level)
    return Contributions(
        margin=float(weights @ x + entropy),
        units=parts[UNIT_OFFSET:],
        specials=float(parts[:UNIT_OFFSET].sum()),
        level=float(level * weights.sum() + entropy),
    )


def likeliest(odds: np.ndarray) -> list[int]:
    """The SHOWN units with the highest odds (float [n_units]), highest first."""
    return np.argsort(-odds, kind="stable")[:SHOWN].tolist()


def label_weights(
    prompt: Prompt, x: np.ndarray, label: int, first: int, end: int
) -> tuple[np.ndarray, float]:
    """D float64 [V]: the row of a label less the mean row of the labels first … end - 1; the last may be the end.

    A fixed verbalizer's rows are the shares of the label's units by the logits x float64 [V], one where it has one
    unit; a learned one's those of its weight. Second the entropy of those shares, less the mean one.
    """
    n = len(prompt.labels)
    of_labels = slice(first, min(end, n))
    if prompt.verbalizer_weight is not None:  # never copied whole: a foreign one may be large
        weight = prompt.verbalizer_weight.numpy()
        total = weight[UNIT_OFFSET:][of_labels].sum(0, dtype=np.float64)
        if end > n:
            total += weight[EOS]
        return weight[EOS if label == n else UNIT_OFFSET + label] - total / (end - first), 0.0
    symbols = [*([UNIT_OFFSET + unit for unit in units] for units in prompt.label_units), [EOS]]
    weights, entropy = np.zeros(len(x)), 0.0
    for one in {*range(first, end), label}:
        factor = float(one == label) - (1 / (end - first) if first <= one < end else 0.0)
        shares = np.exp(x[symbols[one]] - x[symbols[one]].max())
        shares /= shares.sum()
        weights[symbols[one]] += factor * shares
        entropy -= factor * float((shares * np.log(shares + TINY)).sum())
    return weights, entropy
