"""How answers grow label by label: of all that may come next the likeliest, in one hypothesis or several.

Knows nothing of the LM but its logits. Sequences may keep several hypotheses (beam search), slots and single
labels have one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from speechprompt.prompts.prompt import Prompt

END = -1  # in place of a label: the sequence ends here
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class RawAnswer:
    """One prompt's answer to one utterance, before units and labels get their names.

    labels: the S answered labels as indices; a sequence that ended by itself has one more step than
    labels. probabilities: float32 [steps, C], or [steps, C + 1] for a sequence, whose last column is
    the end; softmax over what the task may answer there, at the prompt's temperature.
    vocabulary_logits: float32 [steps, V], what the LM itself says.
    """

    labels: list[int]
    probabilities: np.ndarray
    vocabulary_logits: np.ndarray

    @property
    def score(self) -> float:
        """Probability of the whole answer: the product over its steps, the end among them."""
        steps = [*self.labels, *[END] * (len(self.probabilities) - len(self.labels))]
        return float(np.prod([row[label] for row, label in zip(self.probabilities, steps, strict=True)]))


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A beginning of one row's answer; steps holds (probabilities, vocabulary logits) of each label."""

    row: int
    parent: int  # of what it goes on from, among those alive before
    labels: tuple[int, ...] = ()
    log_probability: float = 0.0
    steps: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    @property
    def rank(self) -> float:
        """Mean log-probability of the steps, so that long answers are not punished for their length."""
        return self.log_probability / len(self.labels)

    def answer(self) -> RawAnswer:
        probabilities, logits = (np.stack(part) for part in zip(*self.steps, strict=True))
        return RawAnswer([label for label in self.labels if label != END], probabilities, logits)


class Search:
    """The answers of some rows while they grow; prompts: that of each row.

    label_logits(prompt, vocabulary logits [n, V]) -> [n, C], or [n, C + 1] with the end for a sequence.
    alive: the hypotheses that go on, whose order is that of the logits to come.
    """

    def __init__(self, prompts: Sequence[Prompt], label_logits: Callable[[Prompt, Tensor], Tensor]) -> None:
        self.prompts, self.label_logits = prompts, label_logits
        self.alive = [Hypothesis(row, row) for row in range(len(prompts))]
        self.finished: list[list[Hypothesis]] = [[] for _ in prompts]

    def extend(self, logits: Tensor) -> None:
        """Choose the next label of every hypothesis that is alive, by its vocabulary logits [n, V]."""
        vocabulary = logits.cpu().numpy()
        members: dict[Prompt, list[int]] = {}
        for i, hypothesis in enumerate(self.alive):
            members.setdefault(self.prompts[hypothesis.row], []).append(i)
        candidates: dict[int, list[Hypothesis]] = {}  # by row
        for prompt, indices in members.items():
            step = len(self.alive[indices[0]].labels)
            found = self.label_logits(prompt, logits[indices])
            if prompt.form.slots:
                _, first, end = prompt.form.span(step)
                found[:, :first] = found[:, end:] = -torch.inf
            scores = (found / prompt.temperature).log_softmax(-1).cpu().numpy()
            for i, row in zip(indices, scores, strict=True):
                hypothesis, steps = self.alive[i], (np.exp(row), vocabulary[i])
                for choice in np.argsort(-row, kind="stable")[: prompt.form.beams].tolist():
                    label = END if choice == len(prompt.labels) else choice
                    longer = replace(
                        hypothesis,
                        parent=i,
                        labels=(*hypothesis.labels, label),
                        log_probability=hypothesis.log_probability + float(row[choice]),
                        steps=(*hypothesis.steps, steps),
                    )
                    candidates.setdefault(hypothesis.row, []).append(longer)
        self.alive = []
        for row, choices in candidates.items():
            prompt = self.prompts[row]
            choices.sort(key=lambda h: -h.log_probability)
            at_end = [h.labels[-1] == END or len(h.labels) == prompt.form.n_steps for h in choices]
            kept = list(zip(choices, at_end, strict=True))[: prompt.form.beams]
            self.finished[row] += [h for h, ended in kept if ended]
            going = [h for h, ended in kept if not ended]
            if len(self.finished[row]) >= prompt.form.beams:
                # Where one label is all but certain, short answers of no account fill the beam before the
                # likely one has ended.
                best = max(h.rank for h in self.finished[row])
                going = [h for h in going if h.rank > best]
            self.alive += going

    def answers(self) -> list[RawAnswer]:
        """The best finished hypothesis of every row."""
        return [max(done, key=lambda h: h.rank).answer() for done in self.finished]
