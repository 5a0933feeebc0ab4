"""The folder that all is written to: nobody else's, each server's own, gone with it, whatever ended it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio.state_holder import SessionState

from speechprompt.errors import SpeechPromptError
from speechprompt.ui import private_folder, uploads
from speechprompt.ui.private_folder import VARIABLE, uploads_folder
from speechprompt.ui.session import Session

SERVER = """
import sys
from speechprompt.ui.private_folder import use_private_folder
use_private_folder()
assert not {"gradio", "torch", "spaces"} & sys.modules.keys()
import os, tempfile
open(os.path.join(os.environ["GRADIO_TEMP_DIR"], "clip.wav"), "w").close()
open(os.path.join(tempfile.mkdtemp(), "part.wav"), "w").close()
print(os.environ["GRADIO_TEMP_DIR"], flush=True)
sys.stdin.read()
"""


def start(base: Path) -> tuple[subprocess.Popen, Path]:
    """A program that uses the folder, and where that is."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env={**os.environ, VARIABLE: str(base)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip()).parent


def end(process: subprocess.Popen) -> None:
    process.communicate(timeout=20)
    assert process.returncode == 0


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process is told to make its folder."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    yield tmp_path
    for folder in [folder for folder in private_folder._made if folder.is_relative_to(tmp_path)]:
        os.close(private_folder._made.pop(folder))


def test_nobody_else_may_read_it_and_it_goes_with_the_program(tmp_path: Path) -> None:
    process, folder = start(tmp_path / "new")
    assert folder.is_relative_to(tmp_path) and len(files(folder)) == 2
    for path in (folder.parent, folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0 and path.stat().st_uid == os.getuid()
    end(process)
    assert not list((tmp_path / "new").iterdir())


def test_what_a_killed_server_left_goes_when_the_next_starts_and_a_living_ones_stays(tmp_path: Path) -> None:
    (one, first), (other, second) = start(tmp_path), start(tmp_path)
    assert first != second and len(files(first)) == len(files(second)) == 2
    one.kill()
    one.wait()
    assert len(files(first)) == 2
    process, third = start(tmp_path)
    assert not first.exists() and len(files(second)) == len(files(third)) == 2
    end(process)
    assert len(files(second)) == 2
    end(other)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["link", "file", "open to all"])
def test_a_folder_that_somebody_else_prepared_is_not_believed(base: Path, kind: str) -> None:
    taken = base / f"speechprompt-{os.getuid()}"
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        taken.symlink_to(elsewhere)
    elif kind == "file":
        taken.write_text("x")
    else:
        taken.mkdir()
        taken.chmod(0o777)
    found = uploads_folder()
    assert found.is_relative_to(base) and not list(elsewhere.iterdir())
    users = found.parents[1]
    assert (users == taken) is (kind == "open to all")
    assert users.stat().st_mode & 0o777 == 0o700 and not users.is_symlink()
    assert uploads_folder() == found  # the same when asked again


def test_no_folder_is_one_sentence(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "file").write_text("x")
    monkeypatch.setenv(VARIABLE, str(base / "file"))
    with pytest.raises(SpeechPromptError, match=f"No folder for recordings .* let the variable {VARIABLE}"):
        uploads_folder()


def test_what_is_made_for_a_session_goes_with_it(running_page: uploads.Page) -> None:
    """A clip that was played in Teach: from the answer of its event until the session has ended."""
    page = running_page
    index = next(i for i, function in page.fns.items() if function.name == "act")
    session = Session()
    session.add_label("a")
    # A clip that no other test played: it lies at an address by its content.
    content = np.random.default_rng().uniform(-0.1, 0.1, 1600).astype(np.float32)
    session.add_clips([("a", "clip", content)])
    before = set(files(page.uploads.folder))

    async def play() -> None:
        state = SessionState(page)
        state[page.fns[index].inputs[0]._id] = session
        given = [None, {"do": "play", "label": "a", "clip": 1}, "Title", "English", "fruit"]
        await page.process_api(page.fns[index], given, state, session_hash="listener")

    asyncio.run(play())
    (made,) = set(files(page.uploads.folder)) - before
    page.uploads.ended("listener")
    ends = time.monotonic() + 10
    while made.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not made.exists()
