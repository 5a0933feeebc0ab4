"""The rows of a run so far, in a file that a killed run leaves whole; the next one goes on behind them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.rows import Row
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import try_lock

BEGINNING = b'{"format_version": 2'  # of the file that is kept on the way


def settings(unit_lm: str, dtype: torch.dtype, prompts: Sequence[Prompt], clips: Sized) -> dict[str, Any]:
    """What makes two runs the same: the models, every number of the prompts, how many clips there are.

    unit_lm: the sha256 of its weights. dtype: what the models multiply in.
    """
    numbers = {}
    for prompt in prompts:
        digest = hashlib.sha256(json.dumps(prompt.config(), sort_keys=True, default=str).encode())
        for name, tensor in sorted(prompt.tensors().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        numbers[prompt.task] = digest.hexdigest()
    return {
        "format_version": 2,
        "unit_lm": unit_lm,
        "dtype": str(dtype),
        "prompts": numbers,
        "clips": len(clips),
    }


def lock(file: IO[bytes], what: str, kept: Path) -> None:
    """Lock an open file until it is closed; SpeechPromptError where another run has it. what: it keeps in `kept`."""
    if not try_lock(file.fileno()):
        raise SpeechPromptError(
            f"Another run is at work on this output, and keeps its {what} in {kept.name}: wait until it ends, or "
            "choose another output."
        )


def of_another_run(kept: Path, other: str = "other data") -> SpeechPromptError:
    """What to say where the settings are not those of the run that was stopped. other: what that may be about."""
    return SpeechPromptError(
        f"{kept.name} holds a stopped run with other tasks, {other}, another backbone or dtype: delete it, or choose "
        "another output."
    )


class Kept:
    """The rows so far, a JSON line each behind one of settings, in a file that a killed run leaves whole."""

    OTHER = "other data"  # what another run may have been about

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings

    def __enter__(self) -> Self:
        self.file: IO[bytes] = self.path.open("a+b")
        try:
            lock(self.file, "rows", self.path)
        except SpeechPromptError:
            self.file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """A run that failed before its first row leaves no file that would hold up the next one."""
        self.file.seek(0)
        header = self.file.readline()
        if not self.file.read(1) and (not header or parsed(header) == self.settings):
            with suppress(OSError):  # elsewhere an open file cannot be deleted
                self.path.unlink()
        self.file.close()

    def resume(self, ids: Iterable[str]) -> tuple[int, int]:
        """How many rows are there already, and how many of them failed; a half-written last one is cut off."""
        self.begin()
        done = failed = 0
        end = self.file.tell()
        expected = iter(ids)
        for line in self.file:
            row = parsed(line) if line.endswith(b"\n") else None
            if row is None:
                break
            if not isinstance(row, list) or len(row) < 3 or row[0] != next(expected, None):
                raise of_another_run(self.path, self.OTHER)
            done, failed, end = done + 1, failed + (row[2] is not None), end + len(line)
        self.file.truncate(end)
        return done, failed

    def begin(self) -> None:
        """Write the settings where the file is new or hardly begun, and go behind them.

        SpeechPromptError where it holds another run.
        """
        self.file.seek(0)
        header = self.file.readline()
        if not header.endswith(b"\n") and BEGINNING.startswith(header[: len(BEGINNING)]):
            self.file.truncate(0)
            self.append([self.settings])
        elif parsed(header) != self.settings:
            raise of_another_run(self.path, self.OTHER)

    def append(self, rows: Sequence[Any]) -> None:
        """Write rows so that they outlive this process and the machine's power."""
        self.file.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self.file.flush()
        os.fsync(self.file.fileno())

    def check(self, n: int) -> None:
        """Raise unless there are n rows: on a disk that knows no locks two runs may have written the same."""
        found = sum(1 for _ in self.rows())
        if found != n:
            raise SpeechPromptError(
                f"{self.path.name} holds {found} rows for {n} recordings, as after two runs at once: delete it and run "
                "the command again."
            )

    def rows(self) -> Iterator[Row]:
        self.file.seek(0)
        self.file.readline()
        return map(json.loads, self.file)


def parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
