"""Labelled recordings as people keep them: a zip with a folder for each label, or a table of files and labels.

Only names and bytes are handled here; what the bytes sound like is audio's business. Nothing is written.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from speechprompt.audio.kinds import HEAD_BYTES, kind, named_as_recording
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.zip_reading import Bounds, ZipReader, open_zip

MAX_FILE_BYTES = 12 << 20
MAX_TABLE_BYTES = 1 << 20
MAX_COLUMNS = 100
MAX_CELL = 400  # characters of a file's path or a label
BOUNDS = Bounds(files=2000, file_bytes=MAX_FILE_BYTES, all_bytes=200 << 20)


@dataclass(frozen=True)
class LabelledFile:
    """The bytes of one recording, the name of its file, and its label."""

    label: str
    name: str
    data: bytes


def read_table(data: bytes) -> list[tuple[str, str]]:
    """A CSV with the columns file (or file_name) and label -> (file, label) in its order; , ; and tab may separate."""
    if len(data) > MAX_TABLE_BYTES:
        raise SpeechPromptError(f"The table is larger than {MAX_TABLE_BYTES >> 20} MB: split it up.")
    try:
        text = data.decode("utf-8-sig")
        separator = max(",;\t", key=(text.partition("\n")[0]).count)
        return list(_pairs(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpeechPromptError("The table cannot be read: save it as CSV in UTF-8.") from error


def _pairs(rows: Iterator[list[str]]) -> Iterator[tuple[str, str]]:
    """(file, label) of each row; no row is kept, so that a table takes no more memory than its text."""
    head = next(rows, [])
    if len(head) > MAX_COLUMNS:
        raise SpeechPromptError(f"The table has more than {MAX_COLUMNS} columns: keep file and label.")
    head = [name.strip().lower() for name in head]
    if "file" not in head:  # as data sets on the Hub call it
        head = ["file" if name == "file_name" else name for name in head]
    if head.count("file") != 1 or head.count("label") != 1:
        raise SpeechPromptError(
            "The table needs the columns file and label, each named once in its first row."
        )
    file, label = head.index("file"), head.index("label")
    number = 0
    for row in rows:
        if not row:  # an empty line
            continue
        number += 1
        if number > BOUNDS.files:
            raise SpeechPromptError(f"The table has more than {BOUNDS.files} rows: split it up.")
        if len(row) <= max(file, label):
            raise SpeechPromptError("The table needs the columns file and label, filled in every row.")
        if max(len(row[file]), len(row[label])) > MAX_CELL:
            raise SpeechPromptError(f"The table has a file or label of more than {MAX_CELL} characters.")
        yield row[file].strip().replace("\\", "/").removeprefix("./"), row[label].strip()
    if not number:
        raise SpeechPromptError("The table is empty: name a file and its label in every row.")


def by_table(pairs: list[tuple[str, str]], files: Mapping[str, Path | bytes]) -> list[LabelledFile]:
    """Give the files (by name) the labels of a table; every row must find its file, and a file of its own."""
    found = []
    seen: set[str] = set()
    for name, label in pairs:
        if name in seen:
            raise SpeechPromptError(f"The table names {name[:80]!r} twice: give each file one row.")
        seen.add(name)
        if name not in files:
            raise SpeechPromptError(f"The table names {name[:80]!r}, which is not among the files.")
        source = files[name]
        found.append(LabelledFile(label, PurePosixPath(name).name, read_sound(source)))
    return found


def read_sound(source: Path | bytes) -> bytes:
    """The bytes of one recording, bounded."""
    if isinstance(source, bytes):
        return source
    if source.stat().st_size > MAX_FILE_BYTES:
        raise SpeechPromptError(f"A recording is larger than {MAX_FILE_BYTES >> 20} MB: cut it.")
    return source.read_bytes()


def read_zip(source: Path | bytes) -> tuple[list[LabelledFile], int]:
    """The recordings of a zip with their labels, by its CSV if it has one, else by their folders.

    Beside them, how many files of the zip are not among them: no recordings, or not named in the CSV.

    SpeechPromptError in one sentence when the zip is not to be trusted or has neither.
    """
    with open_zip(source, BOUNDS) as reader:
        return read_labelled(reader)


def read_labelled(reader: ZipReader) -> tuple[list[LabelledFile], int]:
    """What read_zip finds, in an open zip."""
    tables = [name for name in reader.names if PurePosixPath(name).suffix.lower() == ".csv"]
    if len(tables) > 1:
        raise SpeechPromptError("The zip holds several tables: leave one, with the columns file and label.")
    read = {name: reader.read(name) for name in reader.names if name not in tables}
    sounds = {
        name: data for name, data in read.items() if named_as_recording(name) or kind(data[:HEAD_BYTES])
    }
    if not sounds:
        raise SpeechPromptError("The zip holds no recordings.")
    if tables:
        folder = PurePosixPath(tables[0]).parent
        pairs = [(str(folder / name), label) for name, label in read_table(reader.read(tables[0]))]
        files = by_table(pairs, read)
        return files, len(read) - len({name for name, _ in pairs})
    if any(len(PurePosixPath(name).parts) < 2 for name in sounds):
        raise SpeechPromptError(
            "The zip needs a folder for each label with its recordings in it, or a CSV with the columns "
            "file and label."
        )
    files = [
        LabelledFile(PurePosixPath(name).parent.name, PurePosixPath(name).name, data)
        for name, data in sounds.items()
    ]
    return files, len(read) - len(sounds)
