"""The recordings that people send: only what they uploaded is read, and it does not stay.

gradio keeps uploads in one folder, named after their content. Here that folder is this program's alone;
requests that merely name a file (a path of the server, an address elsewhere) are refused with one
sentence; recordings are deleted soon after their session, and within the hour in any case.
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

import gradio as gr
from gradio_client import utils as client_utils

NOT_UPLOADED = (
    "Only a file that you uploaded can be read: send the recording itself, not its path or address."
)
NOT_UNDERSTOOD = "The request cannot be understood: see the page's API description for what is asked here."

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


class Page(gr.Blocks):
    """gradio's page, which reads no file but those that were uploaded to it."""

    def __init__(self, **options: Any) -> None:
        self.uploads = Uploads(use_own_folder())
        super().__init__(**options)

    def launch(self, *args: Any, **options: Any) -> Any:
        return super().launch(*args, app_kwargs={"lifespan": self.uploads.lifespan}, **options)

    def forget_ended_sessions(self) -> None:
        """Call while the page is being built."""
        uploads = self.uploads

        def leave(request: gr.Request) -> None:
            uploads.ended(str(request.session_hash))

        self.unload(leave)
        next(reversed(self.fns.values())).queue = False  # it takes no turn: gradio calls it beside the queue

    async def process_api(
        self, block_fn: Any, inputs: list[Any], *args: Any, **options: Any
    ) -> dict[str, Any]:
        client_utils.traverse(
            inputs, lambda file: self._check(file, options.get("session_hash")), names_a_file
        )
        return await super().process_api(block_fn, inputs, *args, **options)

    def _check(self, file: dict[str, Any], session: str | None) -> dict[str, Any]:
        path = Path(os.path.realpath(file["path"])) if "\0" not in file["path"] else Path("/")
        # gradio takes anything in its folder, the folder itself too, and would later fail to delete that.
        inside = path.parent.parent == self.uploads.folder and not path.is_dir()
        if client_utils.is_http_url_like(file["path"]) or not inside:
            raise gr.Error(NOT_UPLOADED, print_exception=False)
        self.uploads.used(path, session or "")
        return file

    async def preprocess_data(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().preprocess_data(*args, **options)
        except gr.Error:
            raise
        except Exception as error:  # gradio would answer with an empty one, and log what was sent
            raise gr.Error(NOT_UNDERSTOOD, print_exception=False) from error


def names_a_file(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("path"), str)
