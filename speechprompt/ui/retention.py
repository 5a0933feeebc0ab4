"""How long recordings stay: until soon after their session, and an hour at most.

gradio keeps uploads in one folder, named after their content. Here that folder is this program's alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

LONGEST_STAY = 3600.0  # seconds that a recording may be kept
GRACE = 30.0  # seconds: a phone that loses its connection for a moment has not left
SWEEP_EVERY = 15.0  # seconds


def use_own_folder() -> Path:
    """Have gradio keep uploads where only this user can read them, unless GRADIO_TEMP_DIR says where.

    The folder is the same after a restart, so that what a killed server left behind is found and deleted.
    """
    if "GRADIO_TEMP_DIR" not in os.environ:
        user = os.getuid() if hasattr(os, "getuid") else ""
        folder = Path(tempfile.gettempdir()).resolve() / f"speechprompt{user}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink():
                raise FileExistsError(folder)
            folder.chmod(0o700)  # only its owner may
        except OSError:  # somebody else was here first
            folder = Path(tempfile.mkdtemp(prefix="speechprompt"))
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return Path(os.environ["GRADIO_TEMP_DIR"]).resolve()


class Uploads:
    """The uploaded files, and which sessions use them; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()
        self._users: dict[Path, set[str]] = {}
        self._ended: dict[str, float] = {}

    def used(self, path: Path, session: str) -> None:
        """The session asked about a file."""
        with self._lock:
            self._users.setdefault(path, set()).add(session)
            self._ended.pop(session, None)

    def ended(self, session: str) -> None:
        """The session's page was closed, or its connection lost."""
        with self._lock:
            self._ended[session] = time.time()

    def sweep(self) -> None:
        """Delete what nobody needs any more, whichever process received it.

        gradio deletes only what it remembers: not what a killed server left, not half an upload, not folders.
        """
        now = time.time()
        with self._lock:
            gone = {session for session, when in self._ended.items() if now - when >= GRACE}
            self._ended = {session: when for session, when in self._ended.items() if session not in gone}
            left = {path for path, users in self._users.items() if users <= gone or not path.exists()}
            self._users = {path: users - gone for path, users in self._users.items() if path not in left}
        for path in list(self._files()):
            age = now - changed(path)
            # The same content may have come again, from somebody whose question is still to come.
            if age >= LONGEST_STAY - SWEEP_EVERY or (path in left and age >= GRACE):
                with suppress(OSError):  # gone, or not ours
                    path.unlink()
        for folder in self.folder.glob("?" * 64):
            if now - changed(folder) >= GRACE:
                with suppress(OSError):  # it holds a file
                    folder.rmdir()

    def _files(self) -> Iterator[Path]:
        """What gradio keeps: a folder for each content, and beside them what is still arriving."""
        for path in self.folder.glob("*"):
            if len(path.name) == 64 and path.is_dir() and not path.is_symlink():
                yield from (file for file in path.iterdir() if not file.is_dir())
            elif path.name.startswith("tmp") and path.is_file():
                yield path

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Sweep for as long as the server runs."""

        async def sweep_on_schedule() -> None:
            while True:
                with suppress(OSError):  # the next one does what this one could not
                    await asyncio.to_thread(self.sweep)
                await asyncio.sleep(SWEEP_EVERY)

        task = asyncio.create_task(sweep_on_schedule())
        yield
        task.cancel()


def changed(path: Path) -> float:
    """When the file came to be here; now if it is gone."""
    try:
        return path.lstat().st_ctime
    except OSError:
        return time.time()
