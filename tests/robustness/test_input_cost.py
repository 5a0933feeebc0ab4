"""Whatever text or file comes in costs as its length does: ten times as much takes less than twelve times as long."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.archive import unpack
from speechprompt.storage import hub
from speechprompt.teaching.clip_archive import read_table, read_zip
from speechprompt.teaching.lesson import check_label
from speechprompt.ui import gate, multipart
from speechprompt.ui.live.seats import decode_chunk
from speechprompt.units import parse_units

SIZES = (1_000, 10_000, 100_000, 1_000_000)  # bytes
STEP = 12
FLOOR_SECONDS, FLOOR_BYTES = 0.02, 4 << 20  # less is noise, and what is loaded once


def repeated(piece: bytes) -> Callable[[int], bytes]:
    return lambda n: piece * (n // len(piece))


def zipped(n: int) -> bytes:
    """Many small members, as many as fit."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for i in range(n // 200):
            archive.writestr(f"label{i % 7}/clip{i}.wav", b"x" * 50)
    return packed.getvalue()


def chunks(n: int) -> bytes:
    """A WAV of nothing but empty chunks."""
    body = b"WAVE" + b"junk\0\0\0\0" * (n // 8)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def boxes(n: int) -> bytes:
    """An mp4 of nothing but empty boxes."""
    return b"\0\0\0\x14ftypM4A \0\0\0\0M4A " + b"\0\0\0\x08free" * (n // 8)


TEXTS: dict[str, Callable[[int], bytes]] = {
    "digits": repeated(b"1 "),
    "one word": repeated(b"7"),
    "spaces": repeated(b" "),
    "brackets": repeated(b"[("),
    "quotes": repeated(b'"'),
    "commas": repeated(b","),
    "lines": repeated(b"a.wav,b\n"),
    "combining": repeated("a\u0301\u0323".encode()),
    "line ends": repeated(b"\r\n--"),
    "parts": repeated(b"\r\n--b\r\n\r\n"),
    "dots": repeated(b"a."),
    "colons": repeated(b":"),
}
READERS: dict[str, Callable[[bytes], Any]] = {
    "units": lambda data: parse_units(data.decode()),
    "a table": read_table,
    "a label": lambda data: check_label(data.decode()),
    "a repository": lambda data: (hub.NAME.fullmatch(data.decode()), hub.ADDRESS.fullmatch(data.decode())),
    "a host": lambda data: gate.hostname(data.decode()),
    "a boundary": multipart.boundary_of,
    "an upload": lambda data: multipart.Parts(b"b").feed(data),
    "sound for Live": lambda data: decode_chunk({"rate": 16_000, "pcm": data.decode()}),
}
FILES: dict[str, Callable[[int], bytes]] = {
    "zeros": repeated(b"\0"),
    "text": repeated(b"words "),
    "chunks": chunks,
    "boxes": boxes,
    "ogg pages": repeated(b"OggS\0\2" + bytes(20) + b"\1\0"),
    "mp3 frames": repeated(b"\xff\xfb\x90\x00"),
    "aac frames": repeated(b"\xff\xf1\x50\x80\x01\x1f\xfc"),
    "flac": lambda n: b"fLaC" + b"\x01\0\0\0" * (n // 4),
    "a tag": lambda n: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"\0" * n,
    "matroska": lambda n: b"\x1aE\xdf\xa3\x80" + b"\xec\x80" * (n // 2),
    "zip": zipped,
}
LOADERS: dict[str, Callable[[Path], Any]] = {"a recording": audio.load, "clips": read_zip, "a prompt": unpack}


def cost(work: Callable[[], Any]) -> tuple[float, int]:
    """Seconds of this thread, the shorter of two, and bytes at most; a sentence is as good as an answer."""

    def once() -> float:
        began = time.thread_time()
        with suppress(SpeechPromptError):
            work()
        return time.thread_time() - began

    seconds = min(once(), once())
    tracemalloc.start()
    once()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


def check(of_size: Callable[[int], Callable[[], Any]]) -> None:
    seconds, peak = FLOOR_SECONDS, FLOOR_BYTES
    for size in SIZES:
        took, held = cost(of_size(size))
        assert took < STEP * seconds, f"{size} bytes take {took:.3f} s"
        assert held < STEP * peak, f"{size} bytes hold {held} bytes"
        seconds, peak = max(took, FLOOR_SECONDS), max(held, FLOOR_BYTES)


@pytest.mark.parametrize("shape", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_texts(reader: str, shape: str) -> None:
    def of_size(n: int) -> Callable[[], Any]:
        data = TEXTS[shape](n)
        return lambda: READERS[reader](data)

    check(of_size)


@pytest.mark.parametrize("shape", FILES)
@pytest.mark.parametrize("loader", LOADERS)
def test_files(loader: str, shape: str, tmp_path: Path) -> None:
    def of_size(n: int) -> Callable[[], Any]:
        path = tmp_path / "sent.wav"
        path.write_bytes(FILES[shape](n))
        return lambda: LOADERS[loader](path)

    check(of_size)
