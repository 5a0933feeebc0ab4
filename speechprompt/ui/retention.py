"""How long recordings stay: until soon after their session, and an hour at most.

gradio keeps files in one folder, each in one of its own that is named after its content.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from speechprompt.ui.private_folder import LONGEST_STAY, SCRATCH

GRACE = 30.0  # seconds: a phone that loses its connection for a moment has not left
SWEEP_EVERY = 15.0  # seconds
MAX_BYTES = 2 << 30  # of all recordings; above half of it those go first that nobody asked about


class Uploads:
    """The files that sessions gave and got, and which of them use each; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()
        self._users: dict[Path, set[str]] = {}
        self._ended: dict[str, float] = {}
        self.taken = 0  # bytes on the disk: as the last sweep found, and what came since

    def used(self, path: Path, session: str) -> None:
        """The session asked about a file, or was given it."""
        with self._lock:
            self._users.setdefault(path, set()).add(session)
            self._ended.pop(session, None)

    def ended(self, session: str) -> None:
        """The session's page was closed, or its connection lost."""
        with self._lock:
            self._ended[session] = time.time()

    def has_room(self, n_bytes: int = 0) -> bool:
        """Whether so many more bytes may come."""
        return self.taken + n_bytes <= MAX_BYTES

    def sweep(self) -> None:
        """Delete what nobody needs any more, whoever made it and under whatever name.

        gradio deletes only what it remembers: not half an upload, not folders, not what comes from an agent.
        """
        now, crowded, taken = time.time(), self.taken > MAX_BYTES / 2, 0
        with self._lock:
            gone = {session for session, when in self._ended.items() if now - when >= GRACE}
            self._ended = {session: when for session, when in self._ended.items() if session not in gone}
            left = {path for path, users in self._users.items() if users <= gone or not path.exists()}
            self._users = {path: users - gone for path, users in self._users.items() if path not in left}
            asked = set(self._users)
        for top in (self.folder, self.folder.parent / SCRATCH):
            for folder, folders, files in os.walk(top, topdown=False):
                for path in (Path(folder, name) for name in files):
                    age = now - changed(path)
                    # The same content may have come again, from somebody whose question is still to come.
                    unwanted = path in left or (crowded and path not in asked)
                    with suppress(OSError):  # gone
                        if age >= LONGEST_STAY - SWEEP_EVERY or (unwanted and age >= GRACE):
                            path.unlink()
                        else:
                            taken += path.lstat().st_size
                for path in (Path(folder, name) for name in folders):
                    if now - changed(path) >= GRACE:
                        with suppress(OSError):  # it holds a file, or is a link
                            path.rmdir()
        self.taken = taken

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
