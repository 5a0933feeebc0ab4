"""Recordings on the server: deleted with their session, never logged, and nothing else is ever read."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from gradio_client import Client, handle_file

from speechprompt.ui import retention, routes, uploads
from speechprompt.ui.private_folder import LONGEST_STAY
from tests import tiny


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "secret words.wav", tiny.make_waveform(), 16_000)
    return tmp_path / "secret words.wav"


def ask(address: str, data: list[Any]) -> str:
    """What the endpoint tells a program that is not gradio's own client."""
    request = urllib.request.Request(
        f"{address}/gradio_api/call/classify",
        json.dumps({"data": data}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/classify/{event}", timeout=30) as reply:
        return reply.read().decode()


def wait_until(true: Callable[[], bool], seconds: float = 10) -> bool:
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)
    return true()


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "UPLOADS/../secret.wav",
        "secret.wav",
        "UPLOADS/link.wav",
        "http://127.0.0.1:9/a.wav",
        "https://huggingface.co/a.wav",
        "file:///etc/passwd",
        "//192.0.2.1/share/a.wav",
        "/proc/self/environ",
        "UPLOADS",
        "a\0b",
        "",
    ],
)
def test_a_file_that_is_merely_named_is_refused_with_a_sentence(
    served: tuple[str, Path], path: str, capfd: pytest.CaptureFixture
) -> None:
    address, folder = served
    folder.mkdir(exist_ok=True)
    soundfile.write(folder.parent / "secret.wav", tiny.make_waveform(), 16_000)
    (folder / "link.wav").unlink(missing_ok=True)
    (folder / "link.wav").symlink_to(folder.parent / "secret.wav")
    named = {"path": path.replace("UPLOADS", str(folder)), "meta": {"_type": "gradio.FileData"}}
    told = ask(address, [named, "colours", "tiny"])
    assert "event: error" in told and str(folder) not in told and "label" not in told
    sentences = [uploads.NOT_UPLOADED, "The recording is no longer on the server: record or choose it again."]
    assert json.loads(told.partition("data: ")[2])["error"] in sentences
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "data",
    [
        ["/etc/passwd", "colours", "tiny"],
        [{"path": 7, "meta": {"_type": "gradio.FileData"}}, "colours", "tiny"],
        [{"path": "/etc/passwd"}, "colours", "tiny"],
        [{"path": "/etc/passwd", "meta": 3}, "colours", "tiny"],
        [{"path": "/etc/passwd", "is_stream": True, "meta": {"_type": "gradio.FileData"}}, "colours", "tiny"],
        [{"url": "http://192.0.2.1/a.wav", "meta": {"_type": "gradio.FileData"}}, "colours", "tiny"],
        [[{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], "colours", "tiny"],
        [{"a": {"path": "http://192.0.2.1/"}}, "colours", "tiny"],
        [3, {"path": "/etc/passwd"}, None],
        [None, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, None],
        [],
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_a_sentence(
    served: tuple[str, Path], data: list[Any], capfd: pytest.CaptureFixture
) -> None:
    told = ask(served[0], data)
    assert "event: error" in told and "label" not in told
    sentence = json.loads(told.partition("data: ")[2])["error"]
    assert sentence in (
        uploads.NOT_UPLOADED,
        uploads.NOT_UNDERSTOOD,
        "There is no recording: record something or choose a file.",
    )
    assert "Traceback" not in capfd.readouterr().err


def test_recordings_go_with_their_session(
    served: tuple[str, Path], clip: Path, capfd: pytest.CaptureFixture
) -> None:
    address, folder = served
    before = {*folder.rglob("*")}  # the process has one folder: what pages of other tests keep is theirs
    one, other = (Client(address, verbose=False, analytics_enabled=False) for _ in range(2))
    for client in (one, other):
        assert client.predict(handle_file(str(clip)), "colours", "tiny", api_name="/classify")["label"]
    new = [path for path in kept(folder) if path not in before]
    assert [path.name for path in new if path.suffix == ".wav" and not path.is_symlink()] == [
        "secret words.wav"
    ]
    one.close()
    time.sleep(2.0)
    assert any(path.name == "secret words.wav" for path in kept(folder))  # the other one still uses it
    other.close()
    assert wait_until(lambda: not any(path.name == "secret words.wav" for path in kept(folder)))
    assert wait_until(lambda: not any(path.is_dir() and path not in before for path in folder.iterdir()))
    output = capfd.readouterr()
    assert "secret" not in output.out + output.err


def test_what_nobody_asked_about_goes_within_the_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left by an upload that broke off, by a program that never came back, or by whatever writes there."""
    hashed = tmp_path / ("a" * 64)
    hashed.mkdir()
    for path in (hashed / "clip.wav", tmp_path / "tmpabc123", tmp_path / "notes.txt"):
        path.write_text("x")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "clip.wav").write_text("of an agent")
    found = retention.Uploads(tmp_path)
    found.sweep()
    assert len(kept(tmp_path)) == 4
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LONGEST_STAY - retention.SWEEP_EVERY + 1)
    found.sweep()
    assert not list(tmp_path.iterdir())


def test_a_session_that_comes_back_keeps_its_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / ("a" * 64) / "clip.wav"
    clip.parent.mkdir()
    clip.write_text("x")
    found, now = retention.Uploads(tmp_path), time.time()
    found.used(clip, "phone")
    found.ended("phone")
    found.used(clip, "phone")
    monkeypatch.setattr(time, "time", lambda: now + 2 * retention.GRACE)
    found.sweep()
    assert clip.is_file()
    found.ended("phone")
    found.sweep()
    assert clip.is_file()
    monkeypatch.setattr(time, "time", lambda: now + 4 * retention.GRACE)
    found.sweep()
    assert not clip.exists()


def test_too_much_is_refused_and_leaves_nothing(served: tuple[str, Path]) -> None:
    address, folder = served
    content = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n' + bytes(
        routes.UPLOAD_BYTES
    )
    request = urllib.request.Request(
        f"{address}/gradio_api/upload",
        content + b"\r\n--b--\r\n",
        {"Content-Type": "multipart/form-data; boundary=b"},
    )
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)):
        urllib.request.urlopen(request, timeout=60)
    assert all(path.stat().st_size < 1 << 20 for path in kept(folder))


def test_file_names_do_not_lead_out_of_the_folder(served: tuple[str, Path], clip: Path) -> None:
    address, folder = served
    for name in (
        "../../../escaped.wav",
        "/tmp/escaped.wav",
        "..",
        "a/../../b.wav",
        "x" * 300 + ".wav",
        "näm\te 🎤.wav",
    ):
        body = (
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n\r\n'
        )
        request = urllib.request.Request(
            f"{address}/gradio_api/upload",
            body + clip.read_bytes() + b"\r\n--b--\r\n",
            {"Content-Type": "multipart/form-data; boundary=b"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                (path,) = json.load(reply)
        except urllib.error.HTTPError:
            continue
        assert Path(os.path.realpath(path)).is_relative_to(folder.resolve())


def test_nothing_is_reported_elsewhere(served: tuple[str, Path]) -> None:
    with urllib.request.urlopen(f"{served[0]}/config", timeout=30) as reply:
        config = json.load(reply)
    assert config["analytics_enabled"] is False
