"""Labelled recordings or unit transcripts from whatever people keep them in -> examples.

A packed parquet file has the columns id, split, those that the label rule names, and `audio` (bytes of a sound file) or
`units` (list of unit ids). Parquet files of `datasets`, folders, lists and Kaldi data folders are read too, see
hub_layout, folder and lists. Without a column split the name of the file or folder says it, else it is train. Of data
that is all train, a tenth of each label is valid and a tenth test, see splits.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechprompt.data import hub
from speechprompt.data.folder import head, parquet_files, read_folder
from speechprompt.data.hub_layout import SPLITS, class_names, from_hub, short_name, split_by_name, usual_split
from speechprompt.data.lists import KINDS, read_list
from speechprompt.data.sounds import Column, FileSound, RowSound, Sound
from speechprompt.data.splits import drawn
from speechprompt.data.unit_file import encoder_of, units_in
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.parquet import ParquetRows, read_parquet
from speechprompt.tasks.labels import Row, Rule, labels_of
from speechprompt.units import Units

EAGER_BYTES = 256 << 20  # of all parquet files together, up to which their sounds are kept in memory


@dataclass(frozen=True)
class Example:
    """One utterance and its answer, one label or several; exactly one of audio and units is there.

    audio: bytes of a sound file, or where they lie. source: name of the file that it was read from, without its
    ending; file/value where it has a column `source`. encoder: sha256 of the encoder that made the units, "" where
    nobody says.
    """

    id: str
    split: str
    labels: tuple[str, ...]
    audio: bytes | Sound | None
    units: list[int] | Units | None
    source: str = ""
    encoder: str = ""

    def sound(self) -> bytes:
        """The bytes of its sound file; SpeechPromptError where there is none."""
        found = self.audio.read() if isinstance(self.audio, FileSound | RowSound) else self.audio
        if not isinstance(found, bytes):  # data must not make us open a path that it names
            raise SpeechPromptError(f"{self.id} has no audio: the column must hold the bytes of sound files.")
        return found


def read(paths: Path | Sequence[Path], rule: Rule, split: str | None = None) -> list[Example]:
    """Rows of one split (all when None, drawn where the data is all train) that the rule has labels for, by file.

    paths: parquet files, lists (CSV, TSV, JSON lines), folders, addresses as hf://datasets/OWNER/NAME. Of several
    files, not all need the split, and ids begin with the file's name. SpeechPromptError when a file is not of these
    layouts, or nothing is left.
    """
    given = [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths))
    files = [file for path in given for file in files_of(path)]
    split = SPLITS.get(split, split) if split else None
    lazy = sum(file.stat().st_size for file in files if file.is_file()) > EAGER_BYTES
    draw = split is None and all_train(files)
    examples: list[Example] = []
    splits: set[str] = set()
    n_rows = 0
    for path in files:
        for number, row in enumerate(rows_of(path, lazy, draw)):
            splits.add(str(row["split"]))
            if split is not None and row["split"] != split:
                continue
            n_rows += 1
            if (labels := labels_of(row, rule)) is None:
                continue
            name = str(row.get("id", number))
            examples.append(example(row, f"{short_name(path)}/{name}" if len(files) > 1 else name, labels))
    names = ", ".join(path.name for path in files)
    if not splits:
        raise SpeechPromptError(f"{names} holds no recordings: give other data.")
    if not n_rows:
        raise SpeechPromptError(f"{names} has no split {split!r}; it has {', '.join(sorted(splits))}.")
    if not examples:
        part = "" if split is None else f"'s {split} split"
        raise SpeechPromptError(
            f"No row of {names}{part} has a label by the task's label rule: use other data."
        )
    return examples


def read_others(paths: Sequence[Path], rule: Rule, labels: Collection[str], split: str) -> list[Example]:
    """Rows of one split, of those sources that have it, to which the rule gives none of these labels.

    A row that lacks what the rule reads has none.
    """
    examples = []
    for path in (file for given in paths for file in files_of(Path(given))):
        for number, row in enumerate(rows_of(path)):
            if row["split"] != split:
                continue
            try:
                found = labels_of(row, rule) or ()
            except SpeechPromptError:
                found = ()
            if not found or not set(found) <= set(labels):
                examples.append(example(row, f"{path.stem}/{row.get('id', number)}", ()))
    return examples


def example(row: Row, name: str, labels: tuple[str, ...]) -> Example:
    audio = row.get("audio")
    units, encoder = (row.get("units"), row.get("encoder_sha256", "")) if audio is None else (None, "")
    return Example(name, row["split"], labels, audio, units, source_of(row), encoder)


def files_of(path: Path) -> list[Path]:
    """What is read of a source: the parquet files of a folder, else the source itself; those of the Hub are fetched.

    SpeechPromptError where there is none.
    """
    if str(path).startswith(("http:/", "https:/")):
        raise SpeechPromptError(
            f"{path.name[:80]} is an address on the web: a data set on the Hub is named hf://datasets/OWNER/NAME, and "
            "others are fetched first."
        )
    folder = hub.fetch(path) if hub.on_the_hub(path) else path
    if not folder.exists():
        raise SpeechPromptError(f"There is no file or folder {folder.name[:80]!r} to read: check the path.")
    return (parquet_files(folder) if folder.is_dir() else []) or [folder]


def all_train(files: Sequence[Path]) -> bool:
    """Whether neither names nor columns say of any recording that it is of another split than train.

    A folder draws its own splits.
    """
    return all(
        not path.is_dir()
        and split_by_name(path) in (None, "train")
        and "split" not in (head(path) if path.suffix.lower() in KINDS else ParquetRows(path).names)
        for path in files
    )


def rows_of(path: Path, lazy: bool = False, draw: bool = False) -> Iterator[dict[str, Any]]:
    """The rows of one parquet file, list or folder, each with id, split and audio or units.

    lazy: the sounds of a parquet file stay in it, see sounds.RowSound. draw: which split each row is of. Each row says
    its `file`, for label rules may tell files apart; of units it is that of their recordings.
    """

    def rows() -> Iterator[dict[str, Any]]:
        if path.is_dir():
            return read_folder(path)
        return read_list(path) if path.suffix.lower() in KINDS else parquet_rows(path, lazy)

    def with_ids() -> Iterator[dict[str, Any]]:
        return ({"id": number, **row} for number, row in enumerate(rows()))

    for row in drawn(with_ids) if draw else rows():
        kept = row.get("encoder_sha256") and row.get("file")
        yield {**row, "split": usual_split(row["split"], f"A row of {path.name}"), "file": kept or path.stem}


def parquet_rows(path: Path, lazy: bool) -> Iterator[dict[str, Any]]:
    file = ParquetRows(path)
    if not set(file.names) & {"audio", "units"}:
        raise SpeechPromptError(
            f"{path.name} needs the columns split and audio (or units); it has {', '.join(file.names)[:200]}."
        )
    split, classes = split_by_name(path) or "train", class_names(file.metadata)
    encoder = encoder_of(file.metadata)
    lazy = lazy and "audio" in file.names and "units" not in file.names
    sounds = Column(path)
    columns = [name for name in file.names if name != "audio"] if lazy else file.names
    for number, row in enumerate(read_parquet(path, columns)):
        if lazy:
            row["audio"] = RowSound(sounds, number)
        row = from_hub(row, split, classes)
        yield {**row, "units": units_in(row), "encoder_sha256": encoder} if encoder else row


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a packed parquet file, or of one as the Hub has it: structs of sound, numbers for labels."""
    return list(rows_of(path))


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
