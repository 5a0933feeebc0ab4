"""Zip files from strangers: everything is bounded before it is unpacked, and nothing is unpacked to disk.

Names, sizes, links and encryption are judged by the directory of the zip; what a member really holds is
counted while it is read, because the directory may lie.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from speechprompt.errors import SpeechPromptError

CHUNK = 1 << 16  # bytes
MAX_DIRECTORY = 1 << 20  # bytes of the list of files, which ZipFile reads whole: thousands of them
MAX_NAME = 400  # characters of a member's path
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # no other compression is needed, or bounded as easily


@dataclass(frozen=True)
class Bounds:
    """What a zip may hold: files, and bytes unpacked in one of them and in all."""

    files: int
    file_bytes: int
    all_bytes: int


class ZipReader:
    """The files of an open zip by their paths, folders and hidden files left out; see open_zip."""

    def __init__(self, archive: zipfile.ZipFile, bounds: Bounds) -> None:
        self._archive, self._bounds = archive, bounds
        self._read = 0
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            name = info.filename.replace("\\", "/")  # as some programs on Windows separate folders
            if name.endswith("/"):
                continue
            path = PurePosixPath(name)
            if any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in path.parts):
                continue
            self._check(info, path)
            if str(path) in self._members:
                raise SpeechPromptError("The zip holds two files of the same name: pack it again.")
            self._members[str(path)] = info
            if len(self._members) > bounds.files:
                raise SpeechPromptError(f"The zip holds more than {bounds.files} files: split it up.")
        if sum(info.file_size for info in self._members.values()) > bounds.all_bytes:
            raise SpeechPromptError(
                f"The zip would unpack to more than {bounds.all_bytes >> 20} MB: put less into it."
            )

    def _check(self, info: zipfile.ZipInfo, path: PurePosixPath) -> None:
        odd = "\x00" in info.filename or ":" in info.filename
        if path.is_absolute() or ".." in path.parts or odd or len(info.filename) > MAX_NAME:
            raise SpeechPromptError("The zip holds a file that points out of it: pack it again.")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise SpeechPromptError(
                "The zip holds a link or another thing that is no file: pack the files themselves."
            )
        if info.flag_bits & 0x1:
            raise SpeechPromptError("The zip is locked with a password: pack it again without one.")
        if info.compress_type not in PLAIN:
            raise SpeechPromptError("The zip is compressed in a way that is not read here: pack it as usual.")
        if info.file_size > self._bounds.file_bytes:
            raise SpeechPromptError(
                f"A file in the zip is larger than {self._bounds.file_bytes >> 20} MB: leave it out."
            )

    @property
    def names(self) -> list[str]:
        """The paths of the files, in the order of the zip."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """What one file holds; SpeechPromptError when it is damaged or more than the zip's directory says."""
        blocks, size = [], 0
        try:
            with self._archive.open(self._members[name]) as file:
                while block := file.read(CHUNK):
                    size += len(block)
                    self._read += len(block)
                    if size > self._bounds.file_bytes or self._read > self._bounds.all_bytes:
                        raise SpeechPromptError("The zip holds more than it says: pack it again.")
                    blocks.append(block)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise SpeechPromptError("The zip is damaged: pack it again.") from error
        return b"".join(blocks)


def directory_bytes(file: IO[bytes]) -> int:
    """How long the list of files is, by what the end of the zip says of it, which is what ZipFile believes."""
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    return 0 if end is None else int(end[5])


@contextmanager
def open_zip(source: Path | bytes, bounds: Bounds) -> Iterator[ZipReader]:
    """Open a zip by its path or its bytes; SpeechPromptError in one sentence unless it can be trusted."""
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    except OSError as error:
        raise SpeechPromptError(f"The zip cannot be opened ({error.strerror}): choose another.") from error
    with file:
        yield ZipReader(_listed(file), bounds)


def _listed(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        n_bytes = directory_bytes(file)
        archive = zipfile.ZipFile(file) if n_bytes <= MAX_DIRECTORY else None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SpeechPromptError(
            "The file is not a zip, or a damaged one: choose another or pack it again."
        ) from error
    if archive is None:
        raise SpeechPromptError("The zip lists far too many files: put fewer into it.")
    return archive
