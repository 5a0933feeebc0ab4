"""The app as a user starts it, in a process of its own, and clients of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE = 120.0  # s that a client waits for the server at each step


@contextmanager
def running_app(uploads: Path) -> Iterator[tuple[str, int]]:
    """app.py on a free port; its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(uploads)}
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url, ends = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > ends:
                    raise SystemExit("app.py did not start") from None
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def memory(pid: int) -> int:
    """Bytes that the process has in memory (0 where /proc is not there)."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.is_file() else None
    return int(found[1]) * 1024 if found else 0


def n_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*")) if folder.is_dir() else 0


def client_of(url: str) -> Any:
    from gradio_client import Client

    options = {"timeout": PATIENCE}  # httpx would give up after 5 s, which a busy machine's server may need
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs=options)
