"""What keeps the app from starting is one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_port_that_cannot_be_used_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 70_000):
            done = subprocess.run(
                [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, capture_output=True, text=True
            )
            line = done.stderr.strip().splitlines()[-1]
            assert done.returncode == 1 and "Traceback" not in done.stderr
            assert (
                line.startswith(f"app.py: port {port} cannot be used (")
                and "give another with --port" in line
            )
