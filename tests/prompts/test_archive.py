"""Zips that come from anyone: a prompt survives the way there and back, everything hostile is one sentence."""

from __future__ import annotations

import io
import json
import stat
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.archive import BOUNDS, pack, unpack
from speechprompt.prompts.prompt import Prompt
from speechprompt.teaching.clip_archive import read_table, read_zip
from tests import tiny

METRICS = {
    "n": 6,
    "accuracy": 0.5,
    "interval95": [0.2, 0.8],
    "split": "held-out",
    "per_class": {},
    "confusions": [],
}


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, data)
    return out.getvalue()


def files_of(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    made = tiny.make_prompt(metrics=METRICS)
    tensors = {
        name: getattr(made, name).half().float()  # as a taught one is kept
        for name in ("key_prompts", "value_prompts", "separator", "verbalizer_weight")
    }
    return replace(made, **tensors)


@pytest.fixture(scope="module")
def packed(prompt: Prompt) -> bytes:
    return pack(prompt)


def test_round_trip_answers_with_equal_scores(tmp_path: Path, prompt: Prompt) -> None:
    backbone = Backbone(tiny.make_backbone(tmp_path))
    prompt = replace(prompt, unit_lm_sha256=backbone.unit_lm_sha256)
    packed = pack(prompt)
    (tmp_path / "p.zip").write_bytes(packed)
    back = unpack(tmp_path / "p.zip")
    assert back.config() == prompt.config() and pack(back) == packed
    first, again = (
        SpeechPrompt(backbone, [p]).classify((16_000, tiny.make_waveform()))[0] for p in (prompt, back)
    )
    assert first.scores == again.scores and np.array_equal(first.unit_probabilities, again.unit_probabilities)
    assert set(files_of(packed)) == {
        f"colours/{n}" for n in ("prompt_config.json", "prompt.safetensors", "README.md")
    }
    assert b"50.0 %" in files_of(packed)["colours/README.md"]


def test_a_flat_zip_and_files_that_are_not_needed_are_fine(packed: bytes) -> None:
    flat = {Path(name).name: data for name, data in files_of(packed).items() if "README" not in name}
    extra = {"__MACOSX/._x": b"", ".DS_Store": b"", "notes.txt": b"mine"}
    assert unpack(zipped(flat | extra)).task == "colours"


def lie_about_size(data: bytes) -> bytes:
    """A bomb: the directory says a member unpacks to 10 bytes."""
    at = data.index(b"PK\x01\x02")
    return data[: at + 24] + struct.pack("<I", 10) + data[at + 28 :]


def as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


BAD_ZIPS: dict[str, tuple[Callable[[dict[str, bytes]], bytes], str]] = {
    "junk": (lambda files: b"PK\x03\x04 nothing", "not a zip, or a damaged one"),
    "empty": (lambda files: b"", "not a zip, or a damaged one"),
    "no prompt": (lambda files: zipped({"a.txt": b"a"}), "must hold one prompt folder"),
    "two prompts": (
        lambda files: zipped({f"{f}/{n}": d for f in "ab" for n, d in files.items()}),
        "must hold one prompt folder",
    ),
    "up": (lambda files: zipped({f"../{n}": d for n, d in files.items()}), "points out of it"),
    "absolute": (lambda files: zipped({f"/etc/{n}": d for n, d in files.items()}), "points out of it"),
    "windows": (lambda files: zipped({f"C:\\{n}": d for n, d in files.items()}), "points out of it"),
    "link": (lambda files: zipped(files, as_link), "a link or another thing"),
    "many": (lambda files: zipped({f"{i}.txt": b"" for i in range(99)}), "more than 16 files"),
    "bomb": (lambda files: zipped(files | {"x": bytes(BOUNDS.file_bytes + 1)}), "larger than 16 MB"),
    "bombs": (lambda files: zipped({f"{i}": bytes(9 << 20) for i in range(2)}), "more than 17 MB"),
    "liar": (
        lambda files: lie_about_size(zipped({"prompt_config.json": bytes(1 << 20)} | files)),
        "zip",
    ),
    "no weights": (
        lambda files: zipped({n: d for n, d in files.items() if n.endswith("json")}),
        "prompt.safetensors is missing",
    ),
    "pickle": (
        lambda files: zipped(files | {"prompt.safetensors": b"\x80\x04."}),
        "pickles are never loaded",
    ),
    "no json": (lambda files: zipped(files | {"prompt_config.json": b"{"}), "not valid JSON"),
}


@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_hostile_prompt_zips_are_one_sentence(packed: bytes, kind: str) -> None:
    make, message = BAD_ZIPS[kind]
    files = {Path(name).name: data for name, data in files_of(packed).items()}
    with pytest.raises(SpeechPromptError, match=message) as error:
        unpack(make(files))
    assert "/tmp" not in str(error.value) and str(error.value).endswith(".")


def test_figures_that_are_none_are_refused(packed: bytes) -> None:
    files = {Path(name).name: data for name, data in files_of(packed).items()}
    config = json.loads(files["prompt_config.json"])
    config["metrics"] = {"accuracy": 1, "n": 3, "interval95": [1, 1], "split": "x", "per_class": [1, 2]}
    with pytest.raises(SpeechPromptError, match="metrics.per_class must be a valid dictionary"):
        unpack(zipped(files | {"prompt_config.json": json.dumps(config).encode()}))


# Recordings in a zip


def test_clips_by_folder_and_by_table() -> None:
    found, left_out = read_zip(
        zipped({"set/on/a.wav": b"1", "set/off/b.FLAC": b"2", "set/readme.txt": b"", ".x/c.wav": b"3"})
    )
    assert [(f.label, f.name, f.data) for f in found] == [("on", "a.wav", b"1"), ("off", "b.FLAC", b"2")]
    assert left_out == 1
    table = "\ufefffile;label\nclips/a.wav;licht an\nclips/b.wav;licht aus\n".encode()
    files = {
        "set/labels.csv": table,
        "set/clips/a.wav": b"1",
        "set/clips/b.wav": b"2",
        "set/clips/c.wav": b"3",
    }
    found, left_out = read_zip(zipped(files))
    assert [(f.label, f.data) for f in found] == [("licht an", b"1"), ("licht aus", b"2")] and left_out == 1
    assert read_table(b'file,label\r\n"a,b.wav","x"\r\n') == [("a,b.wav", "x")]
    assert read_table(b"file_name,label,text\r\ndata/1.wav,yes,x\r\n") == [("data/1.wav", "yes")]


def test_clips_are_taken_by_content_whatever_their_names() -> None:
    ogg, m4a = b"OggS" + bytes(9), b"\x00\x00\x00\x1cftypM4A "
    files = {
        "on/1": ogg,
        "on/2.m4a": b"",
        "off/3.x": m4a,
        "off/._1.wav": b"",
        "__MACOSX/on/1.wav": b"",
        "off/Thumbs.db": b"?",
    }
    found, left_out = read_zip(zipped(files))
    assert [(f.label, f.name) for f in found] == [
        ("on", "1"),
        ("on", "2.m4a"),
        ("off", "3.x"),
    ] and left_out == 1


def test_a_zip_of_windows_has_folders_too() -> None:
    found, _ = read_zip(zipped({"set\\on\\a.wav": b"1", "set\\off\\b.wav": b"2", "set\\off\\": b""}))
    assert [(f.label, f.name, f.data) for f in found] == [("on", "a.wav", b"1"), ("off", "b.wav", b"2")]
    for name in ("..\\on\\a.wav", "\\on\\a.wav", "C:\\on\\a.wav"):
        with pytest.raises(SpeechPromptError, match="points out of it"):
            read_zip(zipped({name: b"1"}))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b""}, "holds no recordings"),
        ({"a.wav": b""}, "needs a folder for each label"),
        ({"on/a.wav": b"", "labels.csv": b"file,label\nb.wav,on"}, "'b.wav', which is not among the files"),
        ({"on/a.wav": b"", "labels.csv": b"name,word\nb,on"}, "needs the columns file and label"),
        ({"on/a.wav": b"", "labels.csv": b"file,label\n"}, "table is empty"),
        ({"on/a.wav": b"", "labels.csv": b"file,label,label\na,b,c"}, "each named once"),
        ({"on/a.wav": b"", "labels.csv": b"label,x,file\na,b"}, "filled in every row"),
        ({"on/a.wav": b"", "labels.csv": b"file,label\non/a.wav,a\non/a.wav,b"}, "'on/a.wav' twice"),
        ({"on/a.wav": b"", "labels.csv": b"file,label\n" + b"a,b\n" * 2001}, "more than 2000 rows"),
        ({"on/a.wav": b"", "labels.csv": b"file,label" + b",c" * 99 + b"\na,b"}, "more than 100 columns"),
        ({"on/a.wav": b"", "labels.csv": b"file,label\na," + b"b" * 401}, "more than 400 characters"),
        ({"on/a.wav": b"", "labels.csv": b"\xff\xfe\x00"}, "save it as CSV in UTF-8"),
        ({"on/a.wav": b"", "1.csv": b"", "2.csv": b""}, "several tables"),
        ({"../on/a.wav": b""}, "points out of it"),
        ({"on/a.wav": bytes((12 << 20) + 1)}, "larger than 12 MB"),
    ],
)
def test_bad_archives_of_clips(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        read_zip(zipped(files))


BOMBS = {
    "a wide head over short rows": lambda n: b"file,label" + b",a" * (n // 4) + b"\na,b" * (n // 8),
    "a head of 100 columns over short rows": lambda n: b"file,label" + b",a" * 98 + b"\na,b" * (n // 4),
    "wide rows": lambda n: b"file,label\na,b" + b"," * n,
    "many wide rows": lambda n: b"file,label\n" + (b"a,b" + b",cd" * 1000 + b"\n") * (n // 3004),
    "empty lines": lambda n: b"file,label\n" + b"\n" * n,
    "one cell": lambda n: b'file,label\na,"' + b"b" * n,
    "quotes": lambda n: b"file,label\na," + b'"' * n,
}


def read(table: bytes) -> float:
    """Read a table or be refused; how many seconds that took."""
    began = time.thread_time()
    with suppress(SpeechPromptError):
        read_table(table)
    return time.thread_time() - began


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_table_takes_time_and_memory_as_it_is_long(bomb: str) -> None:
    """Measured as what ten times the text costs more, up to the longest that is read."""
    before = 0.0
    for size in (10_000, 100_000, 1_000_000):
        table = BOMBS[bomb](size)
        took = min(read(table) for _ in range(3))
        assert not before or took < 20 * before
        before = max(took, 0.01)
        tracemalloc.start()
        read(table)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100 * len(table) + 1_000_000, f"{len(table)} bytes took {peak}"
