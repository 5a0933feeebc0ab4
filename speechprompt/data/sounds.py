"""Where the sound of an example lies, where it is not in memory: a file, a part of one, a row of a parquet file.

Read in the order of the rows, a parquet file is gone through once, a few rows in memory at a time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.parquet import ParquetRows

MAX_FILE_BYTES = 256 << 20  # of one sound file
MAX_PART_SECONDS = 3600.0


@dataclass(frozen=True)
class FileSound:
    """A sound file, or so many seconds of it from `start` on."""

    path: Path
    start: float = 0.0
    seconds: float | None = None

    def read(self) -> bytes:
        """The bytes of a sound file; SpeechPromptError for what is none, or too large."""
        name = self.path.name[:80]
        if not self.path.is_file():  # no pipe is waited for
            raise SpeechPromptError(f"The file {name!r} does not exist: check the list that names it.")
        try:
            if self.start or self.seconds is not None:
                return self._part()
            if self.path.stat().st_size > MAX_FILE_BYTES:
                raise SpeechPromptError(
                    f"{name!r} has more than {MAX_FILE_BYTES >> 20} MB: cut it into parts."
                )
            return self.path.read_bytes()
        except OSError as error:
            raise SpeechPromptError(f"The file {name!r} cannot be read: check its permissions.") from error

    def _part(self) -> bytes:
        import soundfile

        try:
            with soundfile.SoundFile(str(self.path)) as file:
                file.seek(min(round(self.start * file.samplerate), file.frames))
                most = MAX_PART_SECONDS if self.seconds is None else min(self.seconds, MAX_PART_SECONDS)
                samples = file.read(round(most * file.samplerate), dtype="float32", always_2d=True)
                buffer = io.BytesIO()
                soundfile.write(buffer, samples, file.samplerate, format="WAV", subtype="FLOAT")
        except (soundfile.LibsndfileError, RuntimeError) as error:
            name = self.path.name[:80]
            raise SpeechPromptError(f"{name!r} cannot be cut: convert it to WAV or FLAC.") from error
        return buffer.getvalue()


@dataclass(eq=False)
class Column:
    """The column `audio` of a parquet file, read forward from wherever it is asked for."""

    path: Path
    at: int = 0
    rows: Iterator[dict[str, Any]] | None = field(default=None, repr=False)

    def read(self, number: int) -> bytes | None:
        if self.rows is None or number < self.at:
            self.rows, self.at = ParquetRows(self.path).rows(number, ["audio"]), number
        for row in self.rows:
            self.at += 1
            if self.at > number:
                return sound_of(row["audio"])
        raise SpeechPromptError(f"{self.path.name} has changed while it was read: run the command again.")


@dataclass(frozen=True)
class RowSound:
    """The sound in a row of a parquet file."""

    column: Column
    number: int

    def read(self) -> bytes:
        found = self.column.read(self.number)
        if not isinstance(found, bytes):
            raise SpeechPromptError(f"Row {self.number} of {self.column.path.name} has no audio.")
        return found


Sound = FileSound | RowSound


def sound_of(value: Any) -> Any:
    """The bytes in a cell, which may be a struct of bytes and path as `datasets` writes it."""
    return value.get("bytes") if isinstance(value, dict) else value
