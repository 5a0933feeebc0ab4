"""Labelled recordings or unit transcripts from packed parquet files, and batches of like length.

Columns: id, split, the columns that the label rule names, and `audio` (bytes of a sound file, or as on the Hub
a struct of them) or `units` (list of unit ids). Without the column split the file's name says it, else it is train.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechprompt.data.hub_layout import from_hub
from speechprompt.errors import SpeechPromptError
from speechprompt.labels import Row, Rule, labels_of
from speechprompt.storage.parquet import ParquetRows, read_parquet


@dataclass(frozen=True)
class Example:
    """One utterance and its answer, one label or several; exactly one of audio and units is there.

    source: name of the file that it was read from, without its ending; file/value where it has a column `source`.
    """

    id: str
    split: str
    labels: tuple[str, ...]
    audio: bytes | None
    units: list[int] | None
    source: str = ""


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
                    source_of(row),
                )
            )
    names = ", ".join(Path(path).name for path in files)
    if not n_rows:
        raise SpeechPromptError(f"{names} has no split {split!r}; it has {', '.join(sorted(splits))}.")
    if not examples:
        part = "" if split is None else f"'s {split} split"
        raise SpeechPromptError(
            f"No row of {names}{part} has a label by the task's label rule: use other data."
        )
    return examples


def read_others(paths: Sequence[Path], rule: Rule, labels: Collection[str], split: str) -> list[Example]:
    """Rows of one split, of those files that have it, to which the rule gives none of these labels.

    A row that lacks what the rule reads has none.
    """
    examples = []
    for path in paths:
        for number, row in enumerate(read_rows(path)):
            if row["split"] != split:
                continue
            try:
                found = labels_of(row, rule) or ()
            except SpeechPromptError:
                found = ()
            if not found or not set(found) <= set(labels):
                audio, name = row.get("audio"), f"{path.stem}/{row.get('id', number)}"
                units = None if audio is not None else row.get("units")
                examples.append(Example(name, split, (), audio, units, source_of(row)))
    return examples


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a packed parquet file, or of one as the Hub has it: structs of sound, numbers for labels."""
    file = ParquetRows(path)
    if not set(file.names) & {"audio", "units"}:
        raise SpeechPromptError(f"{path.name} needs the columns split and audio (or units).")
    rows = list(read_parquet(path, [], others=True))
    from_hub(rows, path.stem, file.metadata)
    for row in rows:
        row["file"] = path.stem  # label rules may tell files apart
    return rows


def source_of(row: Row) -> str:
    """Where a row is from: its file, or file/value of its column `source`."""
    return f"{row['file']}/{row['source']}" if row.get("source") else str(row["file"])


def at_most(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """At most n examples of each answer, in their order: as evenly from the files as these allow, drawn by seed."""
    answers: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for i, example in enumerate(examples):
        answers.setdefault(example.labels, {}).setdefault(example.source, []).append(i)
    kept: list[int] = []
    for number, sources in enumerate(answers.values()):
        rng = random.Random(seed * 1_000_003 + number)
        drawn = [rng.sample(indices, len(indices)) for indices in sources.values()]
        # In turn one of each file until there are n: files that run out leave their share to the others.
        turns = sorted((turn, file) for file, indices in enumerate(drawn) for turn in range(len(indices)))
        kept += [drawn[file][turn] for turn, file in turns[:n]]
    return [examples[i] for i in sorted(kept)]
