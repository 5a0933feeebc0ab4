"""Zip files whose list of files alone would fill the memory are refused before it is read."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.storage import zip_reading
from speechprompt.storage.zip_reading import Bounds, open_zip

BOUNDS = Bounds(files=10, file_bytes=1000, all_bytes=1000)


def directory_of(n: int) -> bytes:
    """A zip that lists n files and holds none; the number and the size of the list stand in a zip64 record, too."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHLL", 6, 0, 0, 0, 0, 0, 0) + b"%06d"
    listed = b"".join(entry % i for i in range(n))
    end64 = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, n, n, len(listed), 0)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, len(listed), 1)
    few = min(n, 5)  # the old record may say another number
    return (
        listed
        + end64
        + locator
        + b"PK\x05\x06"
        + struct.pack("<HHHHLLH", 0, 0, few, few, len(entry) * few, 0, 0)
    )


@pytest.mark.parametrize("as_file", [True, False])
def test_a_million_entries_are_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool
) -> None:
    content = directory_of(1_000_000)
    path = tmp_path / "x.zip"
    path.write_bytes(content)

    def listed(*_: object) -> None:
        raise AssertionError("the directory was read")

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", listed)
    with (
        pytest.raises(SpeechPromptError, match="lists far too many files"),
        open_zip(path if as_file else content, BOUNDS),
    ):
        pass


def test_the_list_is_real() -> None:
    """The same zip with fewer files is read as it says, so what is refused above would have been listed."""
    with pytest.raises(SpeechPromptError, match="more than 10 files"), open_zip(directory_of(2_000), BOUNDS):
        pass
    assert len(directory_of(2_000)) < zip_reading.MAX_DIRECTORY
