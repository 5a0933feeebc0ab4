"""Labelled recordings or unit transcripts from packed parquet files, and batches of like length.

Columns: id, split, the columns that the label rule names, and `audio` (bytes of a sound file, or as on the Hub
a struct of them) or `units` (list of unit ids). Without the column split the file's name says it, else it is train.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechprompt.data.hub_layout import from_hub
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.parquet import ParquetRows, read_parquet

Rule = dict[str, Any]
LETTERS = "abcdefghijklmnopqrstuvwxyz' "  # what a spelled answer is made of
# What a rule of each kind holds beside the column that it reads (cases name theirs one by one).
RULES = {
    "column": set(),
    "ids": {"names"},
    "slots": {"order", "amounts"},
    "text": set(),
    "keyword": set(),
    "number": {"below", "names"},
    "cases": {"otherwise"},
}
MAX_CASES = 1000


@dataclass(frozen=True)
class Example:
    """One utterance and its answer, one label or several; exactly one of audio and units is there.

    source: name of the file that it was read from, without its ending.
    """

    id: str
    split: str
    labels: tuple[str, ...]
    audio: bytes | None
    units: list[int] | None
    source: str = ""


def labels_of(row: dict[str, Any], rule: Rule) -> tuple[str, ...] | None:
    """What a rule reads from a row of data; None when the row is not for this task.

    {"column": NAME}: the value as one label. {"ids": NAME, "names": [...]}: a list of indices into the
    names, one for each slot. {"slots": NAME, "order": [...], "amounts": [...]}: a JSON object of slots;
    each becomes the label `slot=value`, in the order given, and a value that begins with one of the
    amounts becomes two. {"text": NAME}: a text, spelled in small letters, apostrophes and spaces.
    {"keyword": NAME}: the word that an id of Speech Commands begins with, spelled. {"cases": [[NAME,
    VALUE, LABEL], ...], "otherwise": LABEL}: the label of the first case whose column holds that value as
    text; a null label leaves the row out, and no case holds of a column that is not there. {"number":
    NAME, "below": N, "names": [LOW, HIGH]}: LOW where the number in the column, which may be written as
    text, is below N, else HIGH; a row without a number is left out.
    """
    kind = check_rule(rule)
    if kind == "cases":
        label = next(
            (label for name, value, label in rule["cases"] if holds(row, name, value)), rule["otherwise"]
        )
        return None if label is None else (label,)
    value = row.get(rule[kind])
    if kind == "number":
        number = to_number(value)
        return None if number is None else (rule["names"][number >= rule["below"]],)
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


def check_rule(rule: Rule) -> str:
    """The kind of a rule, which may come from anyone; SpeechPromptError when it is none of RULES."""
    kind = next((k for k in RULES if k in rule), "")
    if (
        not kind
        or rule.keys() != RULES[kind] | {kind}
        or not isinstance(rule[kind], list if kind == "cases" else str)
    ):
        raise SpeechPromptError(f"The label rule {str(rule)[:200]} is not known to this version.")
    for name in RULES[kind] - {"below", "otherwise"}:
        if not isinstance(rule[name], list) or not all(isinstance(item, str) for item in rule[name]):
            raise SpeechPromptError(f"The label rule's {name} must be a list of texts.")
    if kind == "number":
        below = rule["below"]
        if type(below) not in (int, float) or not abs(below) < 1e12 or len(rule["names"]) != 2:
            raise SpeechPromptError("A label rule of a number needs a number in below and two names.")
    if kind == "cases":
        cases = rule["cases"]
        known = len(cases) <= MAX_CASES and all(is_case(case) for case in cases)
        if not known or not isinstance(rule["otherwise"], str | None):
            raise SpeechPromptError(
                "A label rule's cases must be lists of a column, a value and a label (texts; a label may be null), "
                f"at most {MAX_CASES}, and otherwise a label or null."
            )
    return kind


def is_case(case: object) -> bool:
    if not isinstance(case, list) or len(case) != 3:
        return False
    name, value, label = case
    return isinstance(name, str) and isinstance(value, str) and isinstance(label, str | None)


def labels_of_rule(rule: Rule) -> list[str]:
    """The labels that a rule itself names, in its order, each once; none where the data alone has them."""
    if "cases" in rule:
        named = [*(label for _, _, label in rule["cases"]), rule["otherwise"]]
        return list(dict.fromkeys(label for label in named if label is not None))
    return list(rule["names"]) if "number" in rule else []


def holds(row: dict[str, Any], name: str, value: str) -> bool:
    """Whether a row's column holds a value, compared as texts."""
    found = row.get(name)
    return found is not None and str(found) == value


def to_number(value: object) -> float | None:
    """7, 7.5 or " 7 " -> the number; None of anything else, of NaN and of infinities."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


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


def read(paths: Path | Sequence[Path], rule: Rule, split: str | None = None) -> list[Example]:
    """Rows of one split (all when None) that the rule has labels for, file after file.

    Of several files, not all need the split, and ids begin with the file's name. SpeechPromptError when a
    file is not of this layout, or nothing is left.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    examples: list[Example] = []
    splits: set[str] = set()
    n_rows = 0
    for path in map(Path, files):
        rows = read_rows(path)
        splits |= {str(row["split"]) for row in rows}
        for number, row in enumerate(rows):
            if split is not None and row["split"] != split:
                continue
            n_rows += 1
            if (labels := labels_of(row, rule)) is None:
                continue
            audio, name = row.get("audio"), str(row.get("id", number))
            examples.append(
                Example(
                    f"{path.stem}/{name}" if len(files) > 1 else name,
                    row["split"],
                    labels,
                    audio,
                    None if audio is not None else row.get("units"),
                    path.stem,
                )
            )
    names = ", ".join(Path(path).name for path in files)
    if not n_rows:
        raise SpeechPromptError(f"{names} has no split {split!r}; it has {', '.join(sorted(splits))}.")
    if not examples:
        where = "" if split is None else f"'s {split} split"
        raise SpeechPromptError(
            f"No row of {names}{where} has a label by the task's label rule: use other data."
        )
    return examples


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a packed parquet file, or of one as the Hub has it: structs of sound, numbers for labels."""
    file = ParquetRows(path)
    if not set(file.names) & {"audio", "units"}:
        raise SpeechPromptError(f"{path.name} needs the columns split and audio (or units).")
    rows = list(read_parquet(path, [], others=True))
    from_hub(rows, path.stem, file.metadata)
    return rows


def at_most(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """At most n examples of each answer, in their order: as evenly from the files as these allow, drawn by seed."""
    answers: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for i, example in enumerate(examples):
        answers.setdefault(example.labels, {}).setdefault(example.source, []).append(i)
    kept: list[int] = []
    for number, sources in enumerate(answers.values()):
        rng = random.Random(seed * 1_000_003 + number)
        drawn = [rng.sample(own, len(own)) for own in sources.values()]
        # In turn one of each file until there are n: files that run out leave their share to the others.
        turns = sorted((turn, file) for file, own in enumerate(drawn) for turn in range(len(own)))
        kept += [drawn[file][turn] for turn, file in turns[:n]]
    return [examples[i] for i in sorted(kept)]
