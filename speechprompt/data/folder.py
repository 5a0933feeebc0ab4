"""A folder of labelled recordings -> rows, by whichever of the usual layouts it has.

Parquet files, `metadata.csv` or `metadata.jsonl` beside the recordings (as `audiofolder`), lists (CSV, TSV, JSON
lines), Kaldi data folders, or a folder for each label; in folders named after the splits or not. Where no split is
named, a tenth of each label is valid and a tenth test, by a hash of the names, so that it stays the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechprompt.audio.kinds import is_hidden, is_recording
from speechprompt.data.hub_layout import split_named
from speechprompt.data.lists import KALDI, KINDS, Row, cells, read_kaldi, read_list
from speechprompt.data.sounds import FileSound
from speechprompt.errors import SpeechPromptError

MAX_FILES = 5_000_000
METADATA = ("metadata.csv", "metadata.jsonl")


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files in a folder, or in the folder `data` in it, as on the Hub."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def read_folder(folder: Path) -> Iterator[Row]:
    """The rows of a folder without parquet files; SpeechPromptError when it has none of the layouts."""
    parts = {path: split_named(path.name) for path in sorted(folder.iterdir()) if path.is_dir()}
    named = {path: split for path, split in parts.items() if split}
    if lists := [path for name in METADATA if (path := folder / name).is_file()]:
        yield from undecided(read_list(lists[0]), "split" not in head(lists[0]))
    elif any((path / name).is_file() for path in named for name in METADATA):
        for path, split in named.items():
            for name in METADATA:
                if (path / name).is_file():
                    for row in read_list(path / name):
                        yield {**row, "id": f"{path.name}/{row['id']}", "split": split}
    elif (folder / KALDI).is_file():
        yield from undecided(read_kaldi(folder, "train"), True)
    elif kaldi := {path: split for path, split in parts.items() if (path / KALDI).is_file()}:
        for path, kaldi_split in kaldi.items():
            yield from read_kaldi(path, kaldi_split or "train")
    elif lists := sorted(path for kind in KINDS for path in folder.glob(f"*{kind}")):
        for path in lists:
            yield from read_list(path)
    elif named:
        for path, split in named.items():
            for row in by_folder(path):
                yield {**row, "id": f"{path.name}/{row['id']}", "split": split}
    else:
        yield from undecided(by_folder(folder), True)


def head(path: Path) -> dict[str, Any]:
    """The first row of a list, before anything is added."""
    return next(cells(path), {})


def by_folder(folder: Path) -> Iterator[Row]:
    """The recordings below a folder, each labelled by the first folder in its path."""
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.relpath(os.path.join(root, name), folder) for name in sorted(names)]
        if len(found) > MAX_FILES:
            raise SpeechPromptError(f"{folder.name} holds more than {MAX_FILES:,} files: give a part of it.")
    rows = 0
    for name in found:
        path = Path(name)
        if len(path.parts) < 2 or is_hidden(path) or not is_recording(folder / name):
            continue
        rows += 1
        yield {"id": path.as_posix(), "label": path.parts[0], "audio": FileSound(folder / name)}
    if not rows:
        raise SpeechPromptError(
            f"{folder.name} holds no labelled recordings: put them into a folder for each label, or name them in "
            f"{' or '.join(METADATA)}."
        )


def undecided(rows: Iterator[Row], draw: bool) -> Iterator[Row]:
    """The rows; where nothing names a split, each of them gets one by a hash of its id and how often its label came."""
    if not draw:
        yield from rows
        return
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(str(row.get("label", "")), []).append(row)
    for group in by_label.values():
        ordered = sorted(
            group, key=lambda row: hashlib.sha256(str(row["id"]).encode("utf-8", "replace")).digest()
        )
        tenth = max(1, len(ordered) // 10) if len(ordered) > 2 else 0
        for i, row in enumerate(ordered):
            yield {**row, "split": "valid" if i < tenth else "test" if i < 2 * tenth else "train"}
