"""Lists of recordings as people keep them -> rows: CSV, TSV and JSON manifests, and Kaldi data folders.

What a list names must lie in its folder or below: data must not make us open other files. Spreadsheets write
semicolons, Windows backslashes, and Common Voice leaves out the folder `clips`: all of it is understood.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechprompt.data.corpora.source import MAX_TEXT_BYTES, lines, on_disk, table
from speechprompt.data.hub_layout import split_by_name
from speechprompt.data.sounds import FileSound
from speechprompt.errors import SpeechPromptError

KINDS = (".csv", ".tsv", ".jsonl", ".json")
PATHS = ("file_name", "audio_filepath", "path", "file", "filename", "audio", "wav", "audio_path")
STARTS, SECONDS = ("offset", "start"), ("duration", "seconds")
KNOWN = {*PATHS, *STARTS, *SECONDS, "id", "label", "split"}  # columns whose letters may be capitals, too
DELIMITERS = ",;\t"
PLACES = ("", "clips", "wavs", "wav", "audio")  # below the list, where it names files alone
MAX_ROWS = 5_000_000
KALDI = "wav.scp"
# File of a Kaldi folder -> column, and whether it goes by utterance or by speaker.
KALDI_COLUMNS = {"text": "text", "utt2label": "label", "utt2lang": "language", "spk2gender": "gender"}

Row = dict[str, Any]


def read_list(path: Path) -> Iterator[Row]:
    """The rows of a manifest: its columns, audio as FileSound, `split` by the file's name where no column has it."""
    number = -1
    for number, row in enumerate(cells(path)):
        if number >= MAX_ROWS:
            raise SpeechPromptError(f"{path.name} has more than {MAX_ROWS:,} rows: cut it into parts.")
        column = path_column(row)
        if column is None:
            raise SpeechPromptError(
                f"{path.name} has no column with the path of each recording, such as {', '.join(PATHS[:3])}, or "
                f"none in row {number + 1}: name it so, or fill it."
            )
        name = str(row.pop(column))
        start = number_in(row, STARTS, path)
        seconds = number_in(row, SECONDS, path) if start is not None else None
        found = within(path.parent, name, path.name)
        row["audio"] = FileSound(found, start or 0.0, seconds)
        row.setdefault("id", f"{name}@{start:g}" if start else name)
        row.setdefault("split", split_by_name(path) or "train")
        yield row
    if number < 0:
        raise SpeechPromptError(f"{path.name} names no recordings: fill it, or give another list.")


def path_column(row: Row) -> str | None:
    """The column of a list that holds the path, None where it has none."""
    return next((name for name in PATHS if isinstance(row.get(name), str) and row[name]), None)


def cells(path: Path) -> Iterator[Row]:
    """The rows of a list as they stand in it, without the spaces around their cells."""
    if path.suffix.lower() in (".jsonl", ".json"):
        yield from objects(path)
        return
    header = next(lines(path), "")
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    delimiter = next((one for one in (usual, *DELIMITERS) if one in header), usual)
    for row in table(path, (), delimiter):
        names = {name: name.lower() if name.lower() in KNOWN - row.keys() else name for name in row}
        yield {names[name]: value.strip() for name, value in row.items()}


def objects(path: Path) -> Iterator[Row]:
    """The objects of a file of JSON lines, or of one JSON array."""
    first = next(lines(path), "")
    if path.suffix.lower() == ".json" and first.lstrip().startswith("["):
        try:
            if path.stat().st_size > MAX_TEXT_BYTES:
                raise ValueError("too large")
            found = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise SpeechPromptError(f"{path.name} cannot be read as JSON: copy it again.") from error
        numbered = enumerate(found, 1)
    else:
        numbered = enumerate(map(parsed, lines(path)), 1)
    for number, row in numbered:
        if not isinstance(row, dict):
            raise SpeechPromptError(
                f"Line {number} of {path.name} is not a JSON object: write one object on each line."
            )
        yield row


def parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def number_in(row: Row, names: tuple[str, ...], path: Path) -> float | None:
    """The number in the first of the columns that the row has, 0 or more; SpeechPromptError for another value."""
    name = next((name for name in names if row.get(name) not in (None, "")), None)
    if name is None:
        return None
    try:
        value = float(row[name])
        if not math.isfinite(value) or value < 0:
            raise ValueError(value)
        return value
    except (TypeError, ValueError) as error:
        raise SpeechPromptError(
            f"{path.name} has {str(row[name])[:40]!r} in the column {name}, which must be seconds."
        ) from error


def within(folder: Path, name: str, listed_in: str) -> Path:
    """The file that a list names, relative or absolute; SpeechPromptError when it lies outside the folder."""
    if "\0" in name or len(name) > 4096:
        raise SpeechPromptError(f"{listed_in} names {name[:40]!r}, which is no path.")
    named = [Path(os.path.normpath(folder / place / name)) for place in PLACES]
    if "\\" in name:
        named.append(Path(os.path.normpath(folder / name.replace("\\", "/"))))
    try:
        path = next((one for one in map(on_disk, named) if one.is_file()), named[0])
        if path.resolve().is_relative_to(folder.resolve()):
            return path
    except (OSError, RuntimeError, ValueError):
        pass
    raise SpeechPromptError(
        f"{listed_in} names {name[:80]!r}, which lies outside its folder: put the list into a folder above the "
        "recordings."
    )


def read_kaldi(folder: Path, split: str) -> Iterator[Row]:
    """The utterances of a Kaldi data folder: wav.scp and, where they are there, segments, text, utt2spk and others."""
    found = dict(pairs(folder / KALDI))
    speakers = dict(pairs(folder / "utt2spk"))
    columns = {column: dict(pairs(folder / name)) for name, column in KALDI_COLUMNS.items()}
    parts: Iterator[tuple[str, str, float, float | None]]
    if (folder / "segments").is_file():
        parts = segments(folder / "segments")
    else:
        parts = ((name, name, 0.0, None) for name in found)
    for utterance, recording, start, seconds in parts:
        named = found.get(recording, "")
        if not named or named.endswith("|") or named.startswith("|"):
            raise SpeechPromptError(
                f"{KALDI} has {'a command' if named else 'no file'} for {recording[:80]!r}: "
                "this program runs no commands, so write the recordings into files and name those."
            )
        sound = FileSound(within(folder, named, KALDI), start, seconds)
        row: Row = {"id": utterance, "split": split, "audio": sound, "speaker": speakers.get(utterance, "")}
        for column, values in columns.items():
            value = values.get(row["speaker"] if column == "gender" else utterance)
            row |= {} if value is None else {column: value}
        yield row


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    if path.is_file():
        for line in lines(path):
            name, *rest = line.split(None, 1)
            yield name, rest[0].strip() if rest else ""


def segments(path: Path) -> Iterator[tuple[str, str, float, float | None]]:
    for utterance, rest in pairs(path):
        try:
            recording, start, end = rest.split()
            yield utterance, recording, max(0.0, float(start)), float(end) - float(start)
            if not 0 < float(end) - float(start) < 1e6:
                raise ValueError(rest)
        except ValueError as error:
            raise SpeechPromptError(
                f"segments has the line {utterance[:40]} {rest[:80]!r}, which is no segment."
            ) from error
