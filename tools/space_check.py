"""Install and start a Space's folder in a clean environment, and ask it about its example clips. Door: `check`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError

START_SECONDS = 120
NOWHERE = "http://127.0.0.1:9"  # nobody listens there: whatever asks through this proxy fails at once


def check(space: Path, version: str, port: int | None = None) -> Iterator[str]:
    """Install and start a Space, ask it about its example clips: a line about each stage.

    version: the Python that it asks for. SpeechPromptError where it does not install, start or answer as its clips are
    labelled.
    """
    with tempfile.TemporaryDirectory(prefix="speechprompt-space-") as folder:
        home = Path(folder)
        began = time.perf_counter()
        chosen = f"python{version}"  # the Space's own where it is here, else this one
        if not works(chosen):
            chosen, version = sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}"
        make = [chosen, "-m", "venv", folder + "/venv"]
        python = home / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]
        for command in (make, [*pip, str(space / "requirements.txt")]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise SpeechPromptError(f"The requirements could not be installed: {last[:300]}")
        yield f"installed for Python {version} in {time.perf_counter() - began:.0f} s, {mb(home):.0f} MB"
        yield from ask(space, python, home, port)


def works(python: str) -> bool:
    """Whether a command is a Python; one that is found may still be a version manager's empty promise."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def ask(space: Path, python: Path, home: Path, port: int | None = None) -> Iterator[str]:
    """Start a Space's app with a Python, its temporary files in `home`, and compare what it answers."""
    port = port or free_port()
    environment = {
        name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "OMP_NUM_THREADS")
    } | {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1",
         "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}  # fmt: skip
    began = time.perf_counter()
    with (home / "app.log").open("w+") as log:
        app = subprocess.Popen(
            [str(python), "app.py", "--host", "127.0.0.1", "--port", str(port)],
            cwd=space, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not answers(port):
                if app.poll() is not None or time.perf_counter() - began > START_SECONDS:
                    log.seek(0)
                    last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
                    raise SpeechPromptError(f"The app did not start: {last[:300]}")
                time.sleep(0.1)
            yield f"started without the Hub in {time.perf_counter() - began:.1f} s"
            yield from compare_labels(space, port)
        finally:
            app.terminate()
            try:
                app.wait(20)
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def compare_labels(space: Path, port: int) -> Iterator[str]:
    from gradio_client import Client, handle_file

    client = Client(f"http://127.0.0.1:{port}", verbose=False, analytics_enabled=False)
    try:
        tasks = {task["task"] for task in client.predict("mini", api_name="/tasks")}
        yield f"{len(tasks)} tasks of mini"
        clips: list[dict[str, Any]] = json.loads(
            (space / "examples" / "examples.json").read_text(encoding="utf-8")
        )
        asked = [(c["file"], t, label) for c in clips if "file" in c for t, label in c["labels"].items()]
        asked = [one for one in asked if one[1] in tasks]
        if not asked:
            raise SpeechPromptError("No example clip has a task that the app knows.")
        began = time.perf_counter()
        for file, task, label in asked:
            clip = handle_file(str(space / "examples" / file))
            answer = client.predict(clip, task, "mini", api_name="/classify")["label"]
            if answer != label:
                raise SpeechPromptError(f"The app answers {file} with {answer!r} instead of {label!r}.")
        took = (time.perf_counter() - began) / len(asked)
        yield f"{len(asked)} example clips answered as labelled, {took:.2f} s each"
    finally:
        client.close()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mb(folder: Path) -> float:
    files = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files) / 1e6
