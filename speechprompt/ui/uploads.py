"""What the server takes from outside: files that were uploaded to it, and nothing that is merely named.

gradio by itself would fetch what an address names, and refuse a path of the server without telling why.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like, traverse
from starlette.middleware import Middleware

from speechprompt.machine.request_time import time_limit
from speechprompt.ui.connections import close_slow_connections
from speechprompt.ui.fair_queue import FairQueue
from speechprompt.ui.gate import Gate, server_names
from speechprompt.ui.preview import Preview
from speechprompt.ui.private_folder import uploads_folder
from speechprompt.ui.retention import Uploads
from speechprompt.ui.routes import routes_for
from speechprompt.ui.visitors import Visitors

META = {"_type": "gradio.FileData"}  # by which gradio knows a file
FILE = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "meta": {"type": "object", "properties": {"_type": {"const": META["_type"]}}},
    },
    "required": ["path", "meta"],
}
FILES: dict[str, Any] = {"type": "array", "items": FILE}  # schema of an input that takes several files
NOT_UPLOADED = (
    "Only a file that you uploaded can be read: send the recording itself, not its path or address."
)
TOO_MANY_FILES = "The request names too many files: send fewer at a time."
NOT_UNDERSTOOD = "The request cannot be understood: see the page's API description for what is asked here."
UPLOAD_ADDRESS = "/gradio_api/file="  # comes before the path where this server names what it was sent
# Everything here runs on the event loop, where nobody else is answered meanwhile. A longer path names no
# file, and resolving one takes time that grows with the square of its length.
MAX_PATH = 4096  # characters
MAX_SESSIONS = 500  # that are remembered, with 0.2 MB each; of more the connected ones only
FORGET_EVERY = 15.0  # seconds
MAX_REQUEST_FILES = 1000  # each is looked up on the disk


class Page(gr.Blocks):
    """gradio's page, which reads no file but those that were uploaded to it."""

    def __init__(self, **options: Any) -> None:
        self.uploads = Uploads(uploads_folder())
        self.visitors = Visitors()
        super().__init__(**options)

    def launch(self, *args: Any, hosts: Iterable[str] = (), **options: Any) -> Any:
        """As gradio's, behind a gate (gate.py). hosts: names by which browsers may call this server, too."""
        gate = Middleware(
            Gate,
            routes=routes_for(bool(options.get("mcp_server")), bool(self.expects_oauth)),
            names=server_names(*hosts, options.get("server_name"), os.environ.get("GRADIO_SERVER_NAME")),
            visitors=self.visitors,
            uploads=self.uploads,
        )
        middleware = [gate, Middleware(Preview)]
        return super().launch(
            *args, app_kwargs={"lifespan": self.lifespan, "middleware": middleware}, **options
        )

    def queue(self, **options: Any) -> Page:
        super().queue(**options)
        self._queue = self.fair = FairQueue(self._queue, self.visitors)
        return self

    def forget(self, sessions: Iterable[str]) -> None:
        """Everything that is kept for sessions, who have gone."""
        for session in sessions:
            self.state_holder.delete_state(session)
            self.state_holder.session_data.pop(session, None)
            self.state_holder.time_last_used.pop(session, None)
            self.fair.forget(session)
            self.uploads.ended(session)

    async def _forget_absent(self) -> None:
        while True:
            await asyncio.sleep(FORGET_EVERY)
            self.forget(self.visitors.absent(MAX_SESSIONS))

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """What goes on for as long as the server runs."""
        async with self.uploads.lifespan(app):
            going = (close_slow_connections(lambda: getattr(self, "server", None)), self._forget_absent())
            tasks = [asyncio.create_task(each) for each in going]
            yield
            for task in tasks:
                task.cancel()

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
        asked = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        files: list[dict[str, Any]] = []
        with understood():
            inputs = [uploaded(named(*pair)) for pair in zip_longest(asked.inputs[: len(inputs)], inputs)]
            traverse(inputs, files.append, names_a_file)
            if len(files) > MAX_REQUEST_FILES:
                raise gr.Error(TOO_MANY_FILES, print_exception=False)
            if session := str(options.get("session_hash") or ""):
                self.visitors.seen(session)
                if self.visitors.n_seen > MAX_SESSIONS:
                    self.forget(self.visitors.absent(MAX_SESSIONS))
            for file in files:
                self._check(file, session)
        with time_limit():  # for every event and endpoint alike, from here into the thread that it runs in
            answer = await super().process_api(block_fn, inputs, *args, **options)
        # What is made for a session goes with it, as what it sent does.
        traverse(
            answer["data"], lambda file: self.uploads.used(resolved(file["path"]), session), names_a_file
        )
        return answer

    def _check(self, file: dict[str, Any], session: str) -> None:
        named = file["path"]
        path = resolved(named)
        # gradio takes anything in its folder, the folder itself too, and would later fail to delete that.
        inside = path.parent.parent == self.uploads.folder and not path.is_dir()
        if is_http_url_like(named) or not inside:
            raise gr.Error(NOT_UPLOADED, print_exception=False)
        self.uploads.used(path, session)

    async def preprocess_data(self, *args: Any, **options: Any) -> Any:
        with understood():
            return await super().preprocess_data(*args, **options)


@contextmanager
def understood() -> Iterator[None]:
    """One sentence for inputs of any wrong shape; gradio would answer with an empty one, and log what was sent."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(NOT_UNDERSTOOD, print_exception=False) from error


def names_a_file(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("path"), str)


def resolved(path: str) -> Path:
    """Where a path leads; the root for what can be none."""
    return Path(os.path.realpath(path)) if "\0" not in path and len(path) <= MAX_PATH else Path("/")


def named(block: Any, value: Any) -> Any:
    """Files of a list as MCP clients give them: as plain text, which gradio unwraps for single files alone."""
    if getattr(block, "_api_info", None) is not FILES or not isinstance(value, list):
        return value
    if len(value) > MAX_REQUEST_FILES:
        raise gr.Error(TOO_MANY_FILES, print_exception=False)
    return [{"path": item, "meta": META} if isinstance(item, str) else item for item in value]


def uploaded(value: Any) -> Any:
    """Turn this server's own addresses of uploads into their paths; gr.Error for every other address."""

    def local(file: dict[str, Any]) -> dict[str, Any]:
        path = file["path"]
        if isinstance(path, str) and "://" not in path and not path.startswith("data:"):
            return file
        upload = upload_path(str(path))
        if not upload:
            raise gr.Error(NOT_UPLOADED, print_exception=False)
        return {**file, "path": upload, "url": None}

    return traverse(value, local, is_file_obj_with_meta)


def upload_path(address: str) -> str:
    """The path in an http(s) address under which this server gives an upload back; "" for any other address."""
    scheme, _, rest = address.partition("://")
    if scheme not in ("http", "https") or "?" in rest or "#" in rest:
        return ""
    path = rest.partition(UPLOAD_ADDRESS)[2]
    return unquote(path) if len(path) <= 3 * MAX_PATH else ""
