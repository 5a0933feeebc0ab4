"""Archives: only what is wanted is unpacked, hostile and damaged ones are refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.making import download as download_module
from speechprompt.making.download import extract
from tests.making.fetch.originals import (
    make_tgz,
    names,
)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


WANTED = {"a.pt": 100, "dict.txt": 100}
GOOD: list[tarfile.TarInfo | tuple[str, bytes]] = [
    special("lm", tarfile.DIRTYPE),
    ("lm/a.pt", b"a" * 100),
    ("lm/._a.pt", b"?"),
    ("lm/notes.txt", b"n" * 5000),
    ("lm/dict.txt", b"d"),
]


def test_only_what_is_wanted_is_unpacked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extract(make_tgz(tmp_path / "x.tgz", GOOD), WANTED, out)
    assert names(out) == ["a.pt", "dict.txt"] and (out / "a.pt").read_bytes() == b"a" * 100


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (("../a.pt", b"evil"), "must be there once"),
        (("/tmp/dict.txt", b"evil"), "must be there once"),
        (special("lm/a.pt", tarfile.SYMTYPE, "/etc/passwd"), "as a regular file"),
        (special("lm/dict.txt", tarfile.LNKTYPE, "lm/notes.txt"), "as a regular file"),
        (special("dict.txt", tarfile.FIFOTYPE), "as a regular file"),
        (("other/a.pt", b"twice"), "must be there once"),
    ],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, hostile: tarfile.TarInfo | tuple[str, bytes], message: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SpeechPromptError, match=f"x.tgz.*{message}"):
        extract(make_tgz(tmp_path / "x.tgz", [*GOOD, hostile]), WANTED, out)
    assert set(names(out)) <= set(WANTED) and not any(path.is_symlink() for path in out.iterdir())
    assert names(tmp_path) == ["out", "x.tgz"]


def test_a_path_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extract(
        make_tgz(tmp_path / "x.tgz", [("../a.pt", b"a"), ("/../d/dict.txt", b"d"), ("../../e", b"")]),
        WANTED,
        out,
    )
    assert names(out) == ["a.pt", "dict.txt"] and names(tmp_path) == ["out", "x.tgz"]


def test_incomplete_damaged_and_large_archives_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_tgz(tmp_path / "x.tgz", GOOD[:-1])
    with pytest.raises(SpeechPromptError, match=r"x.tgz lacks dict.txt"):
        extract(archive, WANTED, tmp_path)
    whole = make_tgz(archive, [("a.pt", np.random.default_rng(0).bytes(90)), *GOOD[3:]]).read_bytes()
    for damaged in (whole[:150], whole[:40] + b"x" + whole[41:], b"<html>no such file</html>", b""):
        archive.write_bytes(damaged)
        with pytest.raises(SpeechPromptError, match=r"x.tgz is damaged or no .tgz archive"):
            extract(archive, WANTED, tmp_path)
    make_tgz(archive, [("a.pt", b"a" * 101)])
    with pytest.raises(
        SpeechPromptError, match="a.pt must be there once, as a regular file of at most 100 bytes"
    ):
        extract(archive, WANTED, tmp_path)
    make_tgz(archive, GOOD)
    monkeypatch.setattr(download_module, "MAX_UNPACKED", 5000)
    with pytest.raises(SpeechPromptError, match="unpacks to more than"):
        extract(archive, WANTED, tmp_path)
