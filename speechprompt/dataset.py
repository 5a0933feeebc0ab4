"""Labelled recordings or unit transcripts from packed parquet files, and batches of like length.

Columns: id, split, the columns that the label rule names, and `audio` (bytes of a sound file) or
`units` (list of unit ids).
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError

Rule = dict[str, Any]
LETTERS = "abcdefghijklmnopqrstuvwxyz' "  # what a spelled answer is made of
# What a rule of each kind holds beside the column that it reads.
RULES = {"column": set(), "ids": {"names"}, "slots": {"order", "amounts"}, "text": set(), "keyword": set()}


@dataclass(frozen=True)
class Example:
    """One utterance and its answer, one label or several; exactly one of audio and units is there."""

    id: str
    split: str
    labels: tuple[str, ...]
    audio: bytes | None
    units: list[int] | None


def labels_of(row: dict[str, Any], rule: Rule) -> tuple[str, ...]:
    """What a rule reads from a row of data.

    {"column": NAME}: the value as one label. {"ids": NAME, "names": [...]}: a list of indices into the
    names, one for each slot. {"slots": NAME, "order": [...], "amounts": [...]}: a JSON object of slots;
    each becomes the label `slot=value`, in the order given, and a value that begins with one of the
    amounts becomes two. {"text": NAME}: a text, spelled in small letters, apostrophes and spaces.
    {"keyword": NAME}: the word that an id of Speech Commands begins with, spelled.
    """
    kind = next((k for k in RULES if k in rule), "")
    if not kind or rule.keys() != RULES[kind] | {kind} or not isinstance(rule[kind], str):
        raise SpeechPromptError(f"The label rule {str(rule)[:200]} is not known to this version.")
    for name in RULES[kind]:
        if not isinstance(rule[name], list) or not all(isinstance(item, str) for item in rule[name]):
            raise SpeechPromptError(f"The label rule's {name} must be a list of texts.")
    value = row.get(rule[kind])
    if value is None:
        raise SpeechPromptError(f"The data has no column {rule[kind]!r} or an empty value in it.")
    if kind == "column":
        return (str(value),)
    if kind == "ids":
        names = rule["names"]
        if not isinstance(value, list) or not all(type(i) is int and 0 <= i < len(names) for i in value):
            raise SpeechPromptError(f"The column {rule[kind]!r} must hold lists of ids below {len(names)}.")
        return tuple(names[i] for i in value)
    if kind == "slots":
        return slot_labels(str(value), rule)
    text = keyword(str(value)) if kind == "keyword" else str(value)
    return tuple(letter for letter in " ".join(text.lower().split()) if letter in LETTERS)


def keyword(clip_id: str) -> str:
    """ "_unknown_/house_1a2b_nohash_0.wav" -> "house", "yes/1a2b_nohash_0.wav" -> "yes", of silence ""."""
    folder, _, name = clip_id.partition("/")
    return {"_unknown_": name.split("_")[0], "_silence_": ""}.get(folder, folder)


def slot_labels(value: str, rule: Rule) -> tuple[str, ...]:
    """A JSON object of slots -> labels `slot=value`, amounts apart: "milk=a bit of", "milk=whole milk"."""
    try:
        slots = json.loads(value)
    except (ValueError, RecursionError):
        slots = None
    if not isinstance(slots, dict) or not slots.keys() <= set(rule["order"]):
        raise SpeechPromptError(
            f"{value[:80]!r} is not a JSON object of the slots {', '.join(rule['order'])}."
        )
    labels = []
    for name in rule["order"]:
        rest = str(slots.get(name, ""))
        amount = next((a for a in rule["amounts"] if rest.startswith(a + " ")), "")
        pieces = (amount, rest.removeprefix(amount).strip())
        labels += [f"{name}={piece}" for piece in pieces if piece]
    return tuple(labels)


def read(path: Path, rule: Rule, split: str | None = None) -> list[Example]:
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
            labels_of(row, rule),
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
