"""The tasks that this package ships prompts for: what they are called and where their labels come from.

A task that is not here can be tuned too; the command line asks for what this table would have told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """label_rule says how a row of data gets its label; silence_label is what a recording of nothing gets."""

    name: str
    title: str
    group: str
    data: str
    licence: str
    label_rule: dict[str, Any] = field(default_factory=lambda: {"column": "label"})
    silence_label: str | None = None


KEYWORDS = "Keywords and commands"

TASKS = {
    task.name: task
    for task in (
        Task(
            "keyword_spotting",
            "Keyword spotting",
            KEYWORDS,
            "Google Speech Commands (P. Warden), 12 classes: ten English words, unknown, silence",
            "CC BY 4.0",
            silence_label="silence",
        ),
        Task(
            "arabic_commands",
            "Arabic commands",
            KEYWORDS,
            "AR Speech Commands (Benamer & Alkishriwo 2020), 16 words and digits; "
            "speakers recur across its splits, and words and digits differ in bandwidth, so figures on it flatter",
            "the recordings carry no stated licence; none is included",
        ),
        Task(
            "spoken_digits",
            "Spoken digits",
            KEYWORDS,
            "Free Spoken Digit Dataset, ten English digits by six speakers, telephone bandwidth",
            "CC BY-SA 4.0",
        ),
    )
}
