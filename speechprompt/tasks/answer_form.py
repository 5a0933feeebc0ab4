"""What is answered: one label, one for each slot, or a sequence; shared by tasks, prompts and the training of both."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import field
from itertools import accumulate
from typing import Annotated, Literal

from pydantic import Field

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.schema import LAX, look_alike, plain, schema

MAX_LABELS = 2000
MAX_LABEL_CHARACTERS = 80
MAX_SLOTS = 16
MAX_STEPS = 1500  # labels in one answer: what a minute of fast speech may spell
MAX_BEAMS = 16

Label = Annotated[str, plain(MAX_LABEL_CHARACTERS)]


@schema()
class AnswerForm:
    """The form of a task's answers (SpeechPrompt, section 3).

    kind: what the LM generates: one "label"; one label for each of `slots` (name -> how many of `labels` belong to
    it, in order); or a "sequence" of labels up to `</s>`, at most max_steps long, searched with `beams` hypotheses.
    labels: in the order of the verbalizer; of a task they may be empty where the data alone names them. joiner
    stands between the labels of an answer that is shown as text; a label `name=value` of a sequence fills the slot
    `name`. window: seconds that are answered at once, for an answer of one label; longer recordings are answered in
    stretches of it, by the mean of their logits. silence_label: what a recording of nothing is answered with, where
    the task has a label for it. SpeechPromptError when these do not hold together.
    """

    labels: Annotated[tuple[Label, ...], LAX, Field(max_length=MAX_LABELS)] = ()
    kind: Literal["label", "slots", "sequence"] = "label"
    slots: Annotated[
        dict[Annotated[str, plain(40)], Annotated[int, Field(ge=1)]], Field(max_length=MAX_SLOTS)
    ] = field(default_factory=dict)
    max_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 1
    beams: Annotated[int, Field(ge=1, le=MAX_BEAMS)] = 1
    joiner: Annotated[str, plain(8)] = ", "
    window: Annotated[float, Field(ge=0.5, le=60)] | None = None
    silence_label: Label | None = None

    def __post_init__(self) -> None:
        if self.kind != "sequence" and (self.max_steps > 1 or self.beams > 1):
            raise ValueError("only a sequence has max_steps and beams above 1")
        if bool(self.slots) != (self.kind == "slots") or not all(map(visible, self.slots)):
            raise ValueError(f"an answer in slots, and no other, names 1 to {MAX_SLOTS} slots")
        if self.window is not None and self.kind != "label":
            raise ValueError("a window is for answers of one label")
        if not self.labels:
            return
        if self.slots and sum(self.slots.values()) != len(self.labels):
            raise ValueError(f"the slots hold {sum(self.slots.values())} of {len(self.labels)} labels")
        for label in self.labels:  # spelled answers have the space for a letter
            if not visible(label) and (self.kind != "sequence" or label != " "):
                raise ValueError("every label must hold something that can be seen")
        for _, first, end in self.spans:  # slots may share a label such as "none"
            if alike := look_alike(self.labels[first:end]):
                one, other = alike
                raise ValueError(
                    f"the label {one!r} is there twice"
                    if one == other
                    else f"the labels {one!a} and {other!a} look alike"
                )
        if self.silence_label is not None and self.silence_label not in self.labels:
            raise ValueError("silence_label must be one of the labels, or null")

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
        if filled:
            return (self.joiner or ", ").join(f"{name}: {value}" for name, value in filled.items()).strip()
        return self.joiner.join(labels).strip()


def slot_values(labels: Sequence[str]) -> dict[str, str]:
    """Slot -> value of a sequence: of labels "slot=value", or of the letters between "<slot" and "slot>".

    Other labels are left out; a slot that is named twice adds up.
    """
    filled: dict[str, str] = {}
    opened, letters = "", ""
    for label in labels:
        name, equals, value = label.partition("=")
        if label.startswith("<"):
            opened, letters = label[1:], ""
            continue
        if opened and label == f"{opened}>":
            name, equals, value, opened = opened, "=", letters, ""
        elif opened:
            letters += label
        if equals and not opened:
            filled[name] = f"{filled[name]} {value}" if name in filled else value
    return filled


def names_slots(labels: Sequence[str]) -> bool:
    """Whether the labels of a sequence fill slots, see slot_values."""
    return any("=" in label or label.startswith("<") for label in labels)


def visible(name: str) -> bool:
    """Whether a name holds anything but spaces and characters without width."""
    return any(unicodedata.category(letter)[0] not in "CZ" for letter in name)
