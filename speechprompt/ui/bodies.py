"""How a request's body is read: no more than it may have, in time, and only where there is room for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.formparsers import MultiPartException

from speechprompt.ui.multipart import Parts, boundary_of
from speechprompt.ui.retention import Uploads
from speechprompt.ui.visitors import SIZE

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODIES = 64 << 20  # bytes of all bodies that are being read
BODY_SECONDS = 30.0  # for a body; for an upload, between two pieces of it
DRAIN = 64 << 20  # bytes that are read and dropped so that a refusal is seen before the connection ends
NO_ROOM = "The server has no room left for recordings: try again in a few minutes."


class Refused(Exception):
    """A request that goes no further: its status and the sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Bodies:
    """What is being read of all bodies."""

    def __init__(self, uploads: Uploads) -> None:
        self.uploads = uploads
        self._reading = 0  # bytes

    async def whole(self, limit: int, scope: Scope, receive: Receive) -> Receive:
        """Read a body that fits; what then gives it to the app."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    piece, more = message.get("body", b""), message.get("more_body", False)
                    body += piece
                    self._reading += len(piece)
                    if len(body) > limit:
                        raise Refused(413, too_large(limit))
                    if self._reading > MAX_BODIES:
                        raise Refused(
                            503, "Too much is being sent at the moment: try again in a few seconds."
                        )
        except TimeoutError:
            raise Refused(
                408, f"The request took over {BODY_SECONDS:g} s to arrive: send it again."
            ) from None
        finally:
            self._reading -= len(body)
        scope[SIZE] = len(body)
        messages = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def give() -> Message:
            return messages.pop() if messages else await receive()

        return give

    async def upload(
        self, n: int, limit: int, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> tuple[Receive, Send]:
        """Files, n bytes if that is known: how gradio, which writes them to the disk as they come, is given them."""
        boundary = boundary_of(headers.get(b"content-type", b""))
        if boundary is None:
            raise Refused(400, "The files cannot be told apart: send them as multipart/form-data.")
        parts, total, status = Parts(boundary), 0, 0

        def wrong(code: int, sentence: str) -> MultiPartException:
            nonlocal status
            status = code
            return MultiPartException(sentence)  # for which gradio deletes what it has written

        async def checked() -> Message:
            nonlocal total
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise wrong(408, f"Nothing came for {BODY_SECONDS:g} s: send the files again.") from None
            piece = message.get("body", b"")
            total += len(piece)
            self.uploads.taken += len(piece)
            if total > limit:
                raise wrong(413, too_large(limit))
            if not self.uploads.has_room():
                raise wrong(507, NO_ROOM)
            if complaint := parts.feed(piece):
                raise wrong(413, complaint)
            await asyncio.sleep(0)  # others' turn, also where everything is here already
            return message

        async def with_status(message: Message) -> None:
            if status and message["type"] == "http.response.start":
                message["status"] = status
            await send(message)

        if not self.uploads.has_room(n):
            await asyncio.to_thread(self.uploads.sweep)
            if not self.uploads.has_room(n):
                raise Refused(507, NO_ROOM)
        return checked, with_status


def too_large(limit: int) -> str:
    size = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit >> 10} KB"
    return f"The request is larger than the {size} that it may have: send less at a time."


async def refuse(refused: Refused, receive: Receive, send: Send) -> None:
    """The sentence, as gradio's own refusals look; what is still being sent is dropped for a moment."""
    try:
        async with asyncio.timeout(2):
            dropped, more = 0, True
            while more and dropped < DRAIN:
                message = await receive()
                dropped += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        pass
    body = json.dumps({"detail": refused.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
