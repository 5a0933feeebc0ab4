"""Connections that send no whole request: they are closed, where uvicorn would wait for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

HEADER_SECONDS = 15.0  # from the connection, or the last answer, to the end of a request's headers
MOST = 512  # connections at once; a process may have 1024 files open where nobody raised that
LOOK_EVERY = 1.0  # seconds


async def close_slow_connections(running: Callable[[], Any]) -> None:
    """Until it is cancelled. running: the uvicorn server, None as long as it has not started."""
    since: dict[Any, float] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        server = running()
        if server is None:
            continue
        server.config.limit_concurrency = (
            MOST  # gradio has no option for it; connections read it as they begin
        )
        now = time.monotonic()
        waiting = [c for c in server.server_state.connections if is_waiting(c)]
        since = {connection: since.get(connection, now) for connection in waiting}
        for connection, when in since.items():
            if now - when > HEADER_SECONDS:
                connection.transport.close()


def is_waiting(connection: Any) -> bool:
    """Whether no request is being answered on it."""
    cycle = getattr(connection, "cycle", None)
    return cycle is None or bool(cycle.response_complete)
