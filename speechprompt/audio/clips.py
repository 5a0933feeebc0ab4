"""Many recordings, one after the other: where they lie, and worker processes that decode them ahead.

A folder or a parquet file gives its clips in an order of its own that never changes, a few at a time, so
that neither their number nor the size of a file costs memory. Knows no models.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Self

import numpy as np

from speechprompt.audio.kinds import is_hidden, is_recording
from speechprompt.audio.load import load
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.parquet import ParquetRows

AHEAD = 64  # clips that are decoded while others are answered; 250 MB where each is 60 s long

Source = (
    Path | bytes | dict[str, Any] | None
)  # where a clip is; a row of data may hold {"bytes", "path"}, or nothing
Clip = tuple[str, Source]  # its id, and where it is


class FolderClips:
    """The recordings in a folder and the folders in it, by name or content; links to folders are not followed.

    An id is the path from the folder, with `/`; the order is that of the ids. left_out: how many other files
    there are, hidden ones aside.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = sorted(
            os.path.relpath(os.path.join(root, name), folder)
            for root, _, names in os.walk(folder)
            for name in names
        )
        shown = [path for path in found if not is_hidden(Path(path))]
        self.paths = [path for path in shown if is_recording(folder / path)]
        self.left_out = len(shown) - len(self.paths)
        if not self.paths:
            raise SpeechPromptError(f"The folder {folder.name} holds no sound files.")

    def __len__(self) -> int:
        return len(self.paths)

    def ids(self) -> Iterator[str]:
        for path in self.paths:  # a name may hold bytes that are no text
            yield Path(path).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def clips(self, start: int = 0) -> Iterator[Clip]:
        """The clips from number `start` on."""
        for number, (path, clip_id) in enumerate(zip(self.paths, self.ids(), strict=True)):
            if number >= start:
                yield clip_id, self.folder / path

    def part(self, start: int, stop: int) -> Self:
        """Clips `start` to `stop` alone, which another process may be given."""
        part = copy.copy(self)
        part.paths = self.paths[start:stop]
        return part

    @property
    def place(self) -> Path:
        """What has to be on the disk of whoever reads the clips."""
        return self.folder


class ParquetClips:
    """The rows of a parquet file with the column `audio` and, if it likes, `id`.

    audio: the bytes of sound files, or as data sets on the Hub have it, structs of bytes and path.
    """

    left_out = 0

    def __init__(self, path: Path, start: int = 0, stop: int | None = None) -> None:
        """start, stop: rows of the file that are taken, all where none are named."""
        import pyarrow

        self.file = ParquetRows(path)
        self.start, self.stop = start, len(self.file) if stop is None else stop
        kind = self.file.types.get("audio", pyarrow.null())
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if kind not in (pyarrow.binary(), pyarrow.large_binary()):
            raise SpeechPromptError(f"{path.name} needs the column audio, with the bytes of sound files.")
        self.has_ids = "id" in self.file.names
        if not len(self):
            raise SpeechPromptError(f"{path.name} has no rows.")

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetClips, (self.file.path, self.start, self.stop)  # open files go to no other process

    def __len__(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int) -> ParquetClips:
        """Clips `start` to `stop` alone, which another process may be given."""
        part = copy.copy(self)
        part.start, part.stop = self.start + start, min(self.start + stop, self.stop)
        return part

    @property
    def place(self) -> Path:
        """What has to be on the disk of whoever reads the clips."""
        return self.file.path

    def _id(self, number: int, row: dict[str, Any]) -> str:
        return str(number if row.get("id") is None else row["id"])

    def ids(self) -> Iterator[str]:
        if not self.has_ids:
            yield from map(str, range(self.start, self.stop))
            return
        for number, row in self._rows(0, ["id"]):
            yield self._id(number, row)

    def clips(self, start: int = 0) -> Iterator[Clip]:
        """The clips from number `start` on."""
        columns = ["id", "audio"] if self.has_ids else ["audio"]
        for number, row in self._rows(start, columns):
            yield self._id(number, row), row["audio"]

    def _rows(self, start: int, columns: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        numbers = range(self.start + start, self.stop)
        return zip(numbers, self.file.rows(self.start + start, columns), strict=False)


def open_clips(path: Path) -> FolderClips | ParquetClips:
    """The clips of a folder or of a parquet file; SpeechPromptError when it is neither or holds none."""
    if path.is_dir():
        return FolderClips(path)
    if path.is_file():
        return ParquetClips(path)
    raise SpeechPromptError(f"{path.name} is neither a folder nor a parquet file: check the path.")


def decode(source: Source) -> np.ndarray | str:
    """The waveform of a clip, float32 [T] at 16 kHz, or the sentence that says why there is none."""
    try:
        return load(source)  # type: ignore[arg-type]  # None is refused in words
    except SpeechPromptError as error:
        return str(error)


def begin_worker() -> None:
    """One thread each, and no life after the parent's, which may be killed without a word."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of what reads it from here on
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Decoders:
    """Worker processes that decode clips in their order, so many ahead of what was taken.

    They start at once, beside whatever is loaded meanwhile. workers 0 decodes here. A file that takes its
    worker down with it is tried once more, alone.
    """

    def __init__(self, workers: int, decode: Callable[[Any], Any] = decode, ahead: int = AHEAD) -> None:
        self.workers, self.decode, self.ahead = workers, decode, ahead
        self.pool = self._pool(workers) if workers else None
        if self.pool is not None:
            for _ in range(workers):
                self.pool.submit(decode, None)

    @staticmethod
    def _pool(workers: int) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")  # a forked child would inherit torch's threads
        return ProcessPoolExecutor(workers, mp_context=spawn, initializer=begin_worker)

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)

    def map(self, clips: Iterator[Clip]) -> Iterator[tuple[str, np.ndarray | str]]:
        """(id, waveform or what is wrong) of every clip, in order."""
        if self.pool is None:
            yield from ((clip_id, self.decode(source)) for clip_id, source in clips)
            return
        waiting: deque[tuple[str, Any, Future]] = deque()
        for clip_id, source in clips:
            waiting.append((clip_id, source, self._submit(source)))
            if len(waiting) > self.ahead:
                yield self._take(*waiting.popleft())
        while waiting:
            yield self._take(*waiting.popleft())

    def _submit(self, source: Any) -> Future:
        assert self.pool is not None
        try:
            return self.pool.submit(self.decode, source)
        except BrokenProcessPool:
            self.pool = self._pool(self.workers)
            return self.pool.submit(self.decode, source)

    def _take(self, clip_id: str, source: Any, future: Future) -> tuple[str, np.ndarray | str]:
        try:
            return clip_id, future.result()
        except BrokenProcessPool:  # this clip's doing, or a neighbour's
            with self._pool(1) as alone:
                try:
                    return clip_id, alone.submit(self.decode, source).result()
                except BrokenProcessPool:
                    return clip_id, "The file stopped the process that decodes it: convert it to WAV."
