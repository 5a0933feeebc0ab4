"""What a request costs the event loop, where nobody else is answered meanwhile: no more than its length."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import gradio as gr
import pytest

from speechprompt.ui import uploads

SIZES = (1_000, 10_000, 100_000, 1_000_000)  # bytes
UPLOAD_ADDRESS = "/gradio_api/file="
FLOOR = 0.003  # seconds: less is noise
STEP = 12  # times as long for ten times as much


def file(path: str) -> dict[str, Any]:
    return {"path": path, "meta": uploads.META}


SHAPES: dict[str, Callable[[int], Any]] = {
    "addresses in an address": lambda n: file("http://" + UPLOAD_ADDRESS * (n // 17) + "?"),
    "an address without a path": lambda n: file("http://" + "/" * n),
    "an address in percent signs": lambda n: file("http://a" + UPLOAD_ADDRESS + "%2F" * (n // 3)),
    "a deep path": lambda n: file("/" + "a/" * (n // 2)),
    "a path upwards": lambda n: file("../" * (n // 3)),
    "data": lambda n: file("data:" + ";," * (n // 2)),
    "many files": lambda n: [file("/tmp/a")] * (n // 60),
    "many names": lambda n: ["a"] * (n // 4),
}


def seconds(page: uploads.Page, endpoint: str, value: Any) -> float:
    """The shortest of three refusals."""
    index = next(i for i, function in page.fns.items() if function.api_name == endpoint)
    found = []
    for _ in range(3):
        began = time.thread_time()
        with pytest.raises(gr.Error) as told:
            asyncio.run(page.process_api(index, [value, [], "tiny"]))
        found.append(time.thread_time() - began)
        assert told.value.message in (uploads.NOT_UPLOADED, uploads.TOO_MANY_FILES)
    return min(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_request_takes_ten_times_as_long(running_page: uploads.Page, shape: str) -> None:
    endpoint = "compare_files" if shape.startswith("many") else "compare"
    last = FLOOR
    for size in SIZES:
        took = seconds(running_page, endpoint, SHAPES[shape](size))
        assert took < STEP * last, f"{size} bytes take {took:.3f} s"
        last = max(took, FLOOR)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://here/gradio_api/file=/tmp/a%20b.wav", "/tmp/a b.wav"),
        ("https://here:7860/root/gradio_api/file=a", "a"),
        ("https://here/gradio_api/file=/gradio_api/file=b", "/gradio_api/file=b"),
        ("http://here/gradio_api/file=", ""),
        ("http://here/gradio_api/file=a?b", ""),
        ("http://here/gradio_api/file=a#b", ""),
        ("ftp://here/gradio_api/file=a", ""),
        ("http:/gradio_api/file=a", ""),
        ("data:http://here/gradio_api/file=a", ""),
        ("", ""),
    ],
)
def test_an_own_address_names_its_path(address: str, path: str) -> None:
    assert uploads.upload_path(address) == path
