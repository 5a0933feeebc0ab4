"""What is answered: one label, one for each slot, or a sequence; shared by tasks, prompts and the training of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from speechprompt.errors import SpeechPromptError


@dataclass(frozen=True)
class AnswerForm:
    """The form of a task's answers (SpeechPrompt, section 3).

    kind: what the LM generates: one "label"; one label for each of `slots` (name -> how many of `labels` belong to
    it, in order); or a "sequence" of labels up to `</s>`, at most max_steps long, searched with `beams` hypotheses.
    labels: in the order of the verbalizer; of a task they may be empty where the data alone names them. joiner
    stands between the labels of an answer that is shown as text; a label `name=value` of a sequence fills the slot
    `name`. window: seconds that are answered at once, for an answer of one label; longer recordings are answered in
    stretches of it, by the mean of their logits. silence_label: what a recording of nothing is answered with, where
    the task has a label for it.
    """

    labels: tuple[str, ...] = ()
    kind: Literal["label", "slots", "sequence"] = "label"
    slots: dict[str, int] = field(default_factory=dict)
    max_steps: int = 1
    beams: int = 1
    joiner: str = ", "
    window: float | None = None
    silence_label: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))

    @property
    def spans(self) -> list[tuple[str, int, int]]:
        """(slot, index of its first label, index after its last) in the order of the answer; ("", 0, all) without."""
        ends = accumulate(self.slots.values())
        found = [(name, end - size, end) for (name, size), end in zip(self.slots.items(), ends, strict=True)]
        return found or [("", 0, len(self.labels))]

    def span(self, step: int) -> tuple[str, int, int]:
        """Which of `spans` holds the labels that may be answered at a step."""
        return self.spans[step if self.slots else 0]

    @property
    def n_steps(self) -> int:
        """The most labels that an answer can have."""
        return len(self.slots) or self.max_steps

    def indices(self, labels: Sequence[str]) -> tuple[int, ...]:
        """Where the labels of an answer stand among `labels`; SpeechPromptError for one that its slot lacks."""
        if self.slots and len(labels) != len(self.slots):
            raise SpeechPromptError(f"An answer in {len(self.slots)} slots cannot have {len(labels)} labels.")
        found = []
        for step, label in enumerate(labels):
            _, first, end = self.span(step)
            if label not in self.labels[first:end]:
                raise SpeechPromptError(f"The task has no label {label[:80]!r} where the data has it.")
            found.append(self.labels.index(label, first, end))
        return tuple(found)

    def fill_slots(self, labels: Sequence[str]) -> dict[str, str]:
        """Slot -> value of an answer, for tasks that have slots; a slot that is named twice adds up."""
        if self.kind == "slots":
            return dict(zip(self.slots, labels, strict=True))
        return slot_values(labels)

    def text(self, labels: Sequence[str]) -> str:
        """An answer as people read it: the label, the spelled text, or what fills the slots."""
        filled = self.fill_slots(labels) if self.kind == "sequence" else {}
        return self.joiner.join([f"{name}: {value}" for name, value in filled.items()] or labels).strip()


def slot_values(labels: Sequence[str]) -> dict[str, str]:
    """Slot -> value of a sequence of labels "slot=value", others left out; a slot that is named twice adds up."""
    filled: dict[str, str] = {}
    for name, equals, value in (label.partition("=") for label in labels):
        if equals:
            filled[name] = f"{filled[name]} {value}" if name in filled else value
    return filled
