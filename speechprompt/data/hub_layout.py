"""Parquet files as on the Hugging Face Hub: structs of sound, numbers for labels, a file for each split."""

from __future__ import annotations

import json
from typing import Any

SPLITS = {"validation": "valid", "valid": "valid", "dev": "valid", "test": "test"}


def from_hub(rows: list[dict[str, Any]], stem: str, metadata: dict[bytes, bytes]) -> None:
    """Give rows of that layout the columns of packed files, in place; those of packed files stay as they are.

    stem: the file's name without its ending. metadata: of the file's schema, where the names of labels stand.
    """
    classes = class_names(metadata)
    split = split_of(stem)
    for row in rows:
        if isinstance(row.get("audio"), dict):
            row["audio"] = row["audio"].get("bytes")
        row.setdefault("split", split)
        for column, names in classes.items():
            if type(row.get(column)) is int:  # -1 stands for no label
                row[column] = names[row[column]] if 0 <= row[column] < len(names) else None


def split_of(stem: str) -> str:
    """The split that a file without that column is, by its name as the Hub has it: "test-00000-of-00002" -> "test"."""
    word = stem.lower().replace("_", "-").split("-")[0]
    return SPLITS.get(word, "train")


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
