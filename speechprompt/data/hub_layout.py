"""Parquet files as `datasets` writes them: structs of sound, numbers for labels, a file for each split."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from speechprompt.data.sounds import sound_of
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.labels import UNLABELLED

SPLITS = {"train": "train", "training": "train", "validation": "valid", "valid": "valid", "val": "valid"}
SPLITS |= {
    "dev": "valid",
    "development": "valid",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}


def from_hub(row: dict[str, Any], split: str, classes: dict[str, list[str]]) -> dict[str, Any]:
    """A row of that layout with the columns of packed files; one of a packed file stays as it is.

    split: of rows without one. classes: what class_names gives.
    """
    row["audio"] = sound_of(row.get("audio"))
    row.setdefault("split", split)
    for column, names in classes.items():
        if type(row.get(column)) is int:  # -1 stands for no label
            row[column] = names[row[column]] if 0 <= row[column] < len(names) else UNLABELLED
    return row


def split_named(name: str) -> str | None:
    """The split that the first word of a name is: "test-00000-of-00002" -> "test", "validation" -> "valid"."""
    return SPLITS.get(re.split(r"[^a-z]", name.lower())[0])


def usual_split(value: Any, where: str) -> str:
    """The split that a cell says, whatever its letters; SpeechPromptError where it is empty. where: of the row."""
    text = "" if value is None else str(value).strip()
    if not text:
        raise SpeechPromptError(f"{where} has an empty split: write train, valid or test into it.")
    return SPLITS.get(text.lower(), text)


def split_by_name(path: Path) -> str | None:
    """The split that a file's name says, or where it is a mere number its folder's, as in train/0000.parquet."""
    return split_named(path.stem if has_letters(path.stem) else path.parent.name)


def short_name(path: Path) -> str:
    """What the ids of a file's rows begin with, where there are several files."""
    return path.stem if has_letters(path.stem) else f"{path.parent.name}-{path.stem}"


def has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Column -> the names that its numbers stand for (ClassLabel), as the Hub's data sets keep them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        named = {
            name: feature["names"]
            for name, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
    return {
        k: v for k, v in named.items() if isinstance(v, list) and all(isinstance(name, str) for name in v)
    }
