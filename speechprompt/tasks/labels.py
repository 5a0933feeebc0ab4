"""How a row of data gets its labels: by a rule that a prompt can hold, or by a function that a task has."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speechprompt.errors import SpeechPromptError

Row = Mapping[str, Any]
Labels = tuple[str, ...]
Rule = Mapping[str, Any] | Callable[[Row], Labels | None]

UNLABELLED = object()  # stands in a column of a row for which its data set says that there is no label
LETTERS = "abcdefghijklmnopqrstuvwxyz' "  # what a spelled answer is made of
KINDS = "{'column': NAME}, {'text': NAME} or {'slots': [NAME, ...]}"
MAX_COLUMNS = 16


def labels_of(row: Row, rule: Rule) -> Labels | None:
    """The labels of a row; None when the row is not for this task, or UNLABELLED by its data set.

    {"column": NAME}: the value as one label. {"text": NAME}: a text, spelled in small letters, apostrophes and
    spaces. {"slots": [NAME, ...]}: one label from each column, in order. SpeechPromptError without a value.
    """
    if callable(rule):
        return rule(row)
    ((kind, names),) = check_rule(rule).items()
    if any(row.get(name, "") in absent_in(row) for name in (names if kind == "slots" else [names])):
        return None
    if kind == "slots":
        return tuple(text_in(row, name) for name in names)
    return (text_in(row, names),) if kind == "column" else spelled(text_in(row, names))


def absent_in(row: Row) -> tuple[object, ...]:
    """What stands for "there is no label": in kept units also an empty cell, for text is all that they keep."""
    return (UNLABELLED, None) if row.get("encoder_sha256") else (UNLABELLED,)


def check_rule(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule, which may come from anyone; SpeechPromptError when it is none of KINDS."""
    kind, names = next(iter(rule.items())) if len(rule) == 1 else ("", None)
    if not (
        (kind in ("column", "text") and is_column(names))
        or (
            kind == "slots"
            and isinstance(names, list | tuple)
            and 1 <= len(names) <= MAX_COLUMNS
            and all(map(is_column, names))
        )
    ):
        raise SpeechPromptError(f"A label rule must be {KINDS}, not {str(dict(rule))[:200]}.")
    return rule


def is_column(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= 80


def text_in(row: Row, column: str) -> str:
    """The value in a column as text; SpeechPromptError when there is none."""
    value = row.get(column)
    if value is None or value is UNLABELLED or (isinstance(value, str) and not value.strip()):
        raise SpeechPromptError(
            f"The data has no column {column!r} or an empty value in it{place_of(row)}: fill it, leave the row out, or "
            "name another column."
        )
    if isinstance(value, list | dict | bytes):
        raise SpeechPromptError(
            f"The column {column!r} holds no text or numbers{place_of(row)}, which labels are: give a column for each "
            "label."
        )
    return unicodedata.normalize("NFC", str(value))  # macOS composes the names of folders otherwise


def place_of(row: Row) -> str:
    """Which row it is and what it has, as far as it says."""
    columns = [str(name) for name in row if name not in ("audio", "file", "units", "encoder_sha256")]
    where = f", as of {str(row['id'])[:80]!r}" if row.get("id") is not None else ""
    return f"{where} ({', '.join(columns)[:200]})" if columns else where


def spelled(text: str) -> Labels:
    """A text as its LETTERS, spaces between words alone."""
    return tuple(letter for letter in " ".join(text.lower().split()) if letter in LETTERS)


# What the functions of tasks are made of.


def first_case(cases: Sequence[tuple[str, str, str | None]], otherwise: str | None) -> Rule:
    """The label of the first (column, value, label) whose column holds the value as text; None leaves the row out."""

    def labels(row: Row) -> Labels | None:
        found = (
            label for name, value, label in cases if row.get(name) is not None and str(row[name]) == value
        )
        label = next(found, otherwise)
        return None if label is None else (label,)

    return labels


def by_file(rules: Mapping[str, Rule], otherwise: Rule | None) -> Rule:
    """The rule of the file that a row is from (its column `file`, see dataset.read); None leaves the others' out."""

    def labels(row: Row) -> Labels | None:
        rule = rules.get(str(row.get("file")), otherwise)
        return None if rule is None else labels_of(row, rule)

    return labels


def always(label: str) -> Rule:
    """This label for every row."""
    return lambda row: (label,)


def renamed(column: str, names: Mapping[str, str], otherwise: str | None = None) -> Rule:
    """The value in a column under the name that the task has for it; `otherwise` where it has none or is empty."""

    def labels(row: Row) -> Labels | None:
        value = row.get(column)
        empty = (
            isinstance(value, str) and not value.strip()
        )  # packed sets have that where nothing is to be named
        label = otherwise if empty else names.get(text_in(row, column), otherwise)
        return None if label is None else (label,)

    return labels


def below(column: str, limit: float, low: str, high: str) -> Rule:
    """`low` where the number in a column, which may be written as text, is below the limit, else `high`."""

    def labels(row: Row) -> Labels | None:
        number = to_number(row.get(column))
        return None if number is None else (low if number < limit else high,)

    return labels


def named(column: str, names: Sequence[str], columns: Sequence[str] = ()) -> Rule:
    """A list of indices into the names, one for each slot; or without that column what `columns` hold, one each."""

    def labels(row: Row) -> Labels:
        ids = row.get(column)
        if ids is None and columns and row.get(columns[0]) is not None:
            return tuple(text_in(row, name) for name in columns)
        if not isinstance(ids, list) or not all(type(i) is int and 0 <= i < len(names) for i in ids):
            raise SpeechPromptError(f"The column {column!r} must hold lists of ids below {len(names)}.")
        return tuple(names[i] for i in ids)

    return labels


def slot_object(column: str, order: Sequence[str], amounts: Sequence[str]) -> Rule:
    """A JSON object of slots -> labels `slot=value` in this order; an amount before a value is a label by itself."""

    def labels(row: Row) -> Labels:
        value = text_in(row, column)
        try:
            slots = json.loads(value)
        except (ValueError, RecursionError):
            slots = None
        if not isinstance(slots, dict) or not slots.keys() <= set(order):
            raise SpeechPromptError(f"{value[:80]!r} is not a JSON object of the slots {', '.join(order)}.")
        found = []
        for name in order:
            rest = str(slots.get(name, ""))
            amount = next((a for a in amounts if rest.startswith(a + " ")), "")
            found += [f"{name}={piece}" for piece in (amount, rest.removeprefix(amount).strip()) if piece]
        return tuple(found)

    return labels


def spelled_slots(column: str) -> Rule:
    """A text in letters in which `<name` and `name>` are labels by themselves, around the value of a slot."""

    def labels(row: Row) -> Labels:
        found: list[str] = []
        space = False
        for word in text_in(row, column).split():
            if word.startswith("<") or word.endswith(">"):
                found.append(word)
                space = False
            elif letters := spelled(word):
                found += [" ", *letters] if space else letters
                space = True
        return tuple(found)

    return labels


def spelled_keyword(row: Row) -> Labels:
    """The word that an id of Speech Commands names: "_unknown_/house_1a.wav" -> h o u s e, of silence nothing."""
    folder, _, name = text_in(row, "id").partition("/")
    return spelled({"_unknown_": name.split("_")[0], "_silence_": ""}.get(folder, folder))


def to_number(value: object) -> float | None:
    """7, 7.5 or " 7 " -> the number; None of anything else, of NaN and of infinities."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
