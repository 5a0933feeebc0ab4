"""Labelled recordings or unit transcripts from packed parquet files, and batches of like length.

Columns: id, split, the columns that the label rule names, and `audio` (bytes of a sound file) or
`units` (list of unit ids).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError


@dataclass(frozen=True)
class Example:
    """One utterance with its label; exactly one of audio and units is there."""

    id: str
    split: str
    label: str
    audio: bytes | None
    units: list[int] | None


def label_of(row: dict[str, Any], rule: dict[str, Any]) -> str:
    """The label that a rule reads from a row; {"column": NAME} takes a column as it is."""
    if set(rule) != {"column"} or not isinstance(rule["column"], str):
        raise SpeechPromptError(f"The label rule {rule!r} is not known to this version.")
    value = row.get(rule["column"])
    if value is None:
        raise SpeechPromptError(f"The data has no column {rule['column']!r} or an empty value in it.")
    return str(value)


def read(path: Path, rule: dict[str, Any], split: str | None = None) -> list[Example]:
    """Rows of one split (all when None); SpeechPromptError when the file is not of this layout."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise SpeechPromptError(
            f"{Path(path).name} cannot be read as a parquet file: check the path."
        ) from error
    names = set(table.column_names)
    if not names & {"audio", "units"} or "split" not in names:
        raise SpeechPromptError(f"{Path(path).name} needs the columns split and audio (or units).")
    rows = table.to_pylist()
    splits = sorted({str(row["split"]) for row in rows})
    rows = [row for row in rows if split is None or row["split"] == split]
    if not rows:
        raise SpeechPromptError(f"{Path(path).name} has no split {split!r}; it has {', '.join(splits)}.")
    return [
        Example(
            str(row.get("id", number)),
            row["split"],
            label_of(row, rule),
            row.get("audio"),
            None if row.get("audio") is not None else row.get("units"),
        )
        for number, row in enumerate(rows)
    ]


def batches_by_length(lengths: Sequence[int], tokens: int, rng: random.Random | None) -> list[list[int]]:
    """Index batches of about `tokens` padded tokens, of like length; shuffled when rng is given."""
    order = list(range(len(lengths)))
    if rng:
        rng.shuffle(order)
    order.sort(key=lambda i: lengths[i] // 2)
    groups: list[list[int]] = []
    group: list[int] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        if group and longest * (len(group) + 1) > tokens:
            groups.append(group)
            group, longest = [], lengths[i]
        group.append(i)
    if group:
        groups.append(group)
    if rng:
        rng.shuffle(groups)
    return groups
