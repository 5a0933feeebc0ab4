"""Downloads: broken connections are gone on from, sizes are bounded, failures named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.making import download as download_module
from speechprompt.making.download import download
from tests.making.fetch.originals import (
    Server,
    names,
)

BYTES = np.random.default_rng(0).bytes(100_000)


def get(server: Server, folder: Path, max_bytes: int = 1 << 20) -> Path:
    server.files.setdefault("/file.bin", BYTES)
    download(server.url("/file.bin"), folder / "file.bin", max_bytes, "give the file with --km")
    return folder / "file.bin"


def test_a_download_is_whole_and_comes_once(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path).read_bytes() == BYTES
    get(server, tmp_path)
    assert len(server.asked) == 1 and names(tmp_path) == ["file.bin"]


def test_a_broken_connection_is_gone_on_from(server: Server, tmp_path: Path) -> None:
    server.cuts = [30_000, 50_000]
    assert get(server, tmp_path).read_bytes() == BYTES
    assert [asked for _, asked in server.asked] == [None, "bytes=30000-", "bytes=80000-"]


def test_a_later_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.cuts = [30_000, *[0] * download_module.ATTEMPTS]
    with pytest.raises(
        SpeechPromptError, match=r"run the command again, which continues.*or give the file with --km"
    ):
        get(server, tmp_path)
    assert names(tmp_path) == ["file.bin.part"]
    server.asked.clear()
    assert get(server, tmp_path).read_bytes() == BYTES
    assert server.asked == [("/file.bin", "bytes=30000-")]
    for rest in (
        BYTES,
        BYTES + b"x",
    ):  # all was here, only not yet under its name; more than there is was here
        (tmp_path / "file.bin").unlink()
        (tmp_path / "file.bin.part").write_bytes(rest)
        assert get(server, tmp_path).read_bytes() == BYTES and names(tmp_path) == ["file.bin"]


def test_a_server_that_knows_no_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [30_000]
    assert get(server, tmp_path).read_bytes() == BYTES
    assert names(tmp_path) == ["file.bin"]


def test_sizes_are_bounded_whether_announced_or_not(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match="100000 bytes, more than the 5000 expected"):
        get(server, tmp_path, 5000)
    server.lengths = False
    with pytest.raises(SpeechPromptError, match=r"file.bin is longer than the 5000 bytes"):
        get(server, tmp_path, 5000)
    assert get(server, tmp_path).read_bytes() == BYTES


def test_an_address_that_does_not_answer_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match=r"/none could not be reached \(404 Not Found\)"):
        download(server.url("/none"), tmp_path / "none", 10, "give the file with --km")
    server.shutdown()
    server.server_close()
    with pytest.raises(SpeechPromptError, match=r"/none could not be reached \(.*Connection refused\)"):
        download(server.url("/none"), tmp_path / "none", 10, "give the file with --km")
    with pytest.raises(SpeechPromptError, match="nowhere.invalid/x could not be reached"):
        download("https://nowhere.invalid/x", tmp_path / "none", 10, "give the file with --km")
    assert names(tmp_path) == []


def test_a_full_disk_is_said_before_it_is_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "RESERVE", 1 << 60)
    with pytest.raises(OSError, match=r"are free on this disk.*'file.bin'") as error:
        get(server, tmp_path)
    assert not isinstance(error.value, SpeechPromptError) and error.value.filename == "file.bin"
