"""Recordings without labels from whatever `label` is given: folders, parquet files, lists, the Hub."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from speechprompt.audio.clips import Clip, FolderClips, ParquetClips, open_clips
from speechprompt.data import hub
from speechprompt.data.folder import parquet_files
from speechprompt.data.hub_layout import short_name
from speechprompt.data.lists import KALDI, KINDS, read_kaldi, read_list
from speechprompt.errors import SpeechPromptError


class ListClips:
    """The recordings that a list or a Kaldi data folder names, in its order."""

    left_out = 0

    def __init__(self, path: Path) -> None:
        rows = read_kaldi(path, "") if path.is_dir() else read_list(path)
        self.place = path.parent if path.is_file() else path
        self.found = [(str(row["id"]), row["audio"]) for row in rows]
        if not self.found:
            raise SpeechPromptError(f"{path.name} names no recordings.")

    def __len__(self) -> int:
        return len(self.found)

    def ids(self) -> Iterator[str]:
        return (name for name, _ in self.found)

    def clips(self, start: int = 0) -> Iterator[Clip]:
        """The clips from number `start` on; a part of a file as its bytes."""
        for name, sound in self.found[start:]:
            whole = not sound.start and sound.seconds is None
            try:
                yield name, sound.path if whole else sound.read()
            except SpeechPromptError:  # the decoder says what is wrong with the file
                yield name, sound.path

    def part(self, start: int, stop: int) -> Self:
        """Clips `start` to `stop` alone, which another process may be given."""
        part = copy.copy(self)
        part.found = self.found[start:stop]
        return part


class SeveralClips:
    """The rows of several parquet files, one after the other; ids begin with the file's name."""

    left_out = 0

    def __init__(self, paths: list[Path]) -> None:
        self.parts = [(short_name(path), ParquetClips(path)) for path in paths]
        self.place = paths[0].parent

    def __len__(self) -> int:
        return sum(len(part) for _, part in self.parts)

    def ids(self) -> Iterator[str]:
        return (f"{stem}/{name}" for stem, part in self.parts for name in part.ids())

    def clips(self, start: int = 0) -> Iterator[Clip]:
        for stem, part in self.parts:
            if start < len(part):
                for name, sound in part.clips(start):
                    yield f"{stem}/{name}", sound
            start = max(0, start - len(part))

    def part(self, start: int, stop: int) -> Self:
        """Clips `start` to `stop` alone, which another process may be given."""
        cut, before = copy.copy(self), 0
        cut.parts = []
        for stem, part in self.parts:
            first, last = max(0, start - before), min(len(part), stop - before)
            if first < last:
                cut.parts.append((stem, part.part(first, last)))
            before += len(part)
        return cut


Clips = FolderClips | ParquetClips | ListClips | SeveralClips


def clips_of(path: Path) -> Clips:
    """The clips of a source; SpeechPromptError when it is none, or holds none."""
    path = hub.fetch(path) if hub.on_the_hub(path) else path
    if path.is_dir():
        if (path / KALDI).is_file():
            return ListClips(path)
        packed = parquet_files(path)
        return SeveralClips(packed) if packed else open_clips(path)
    if path.is_file() and path.suffix.lower() in KINDS:
        return ListClips(path)
    return open_clips(path)
