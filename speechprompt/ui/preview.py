"""What a shared link shows of the page: its title, a sentence and a picture, with the address that was asked for.

gradio writes its own name and picture there, and who previews a link runs no script that would change them.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from speechprompt.ui.bodies import App, Receive, Scope, Send
from speechprompt.ui.gate import below
from speechprompt.ui.header import ABOUT, TITLE
from speechprompt.ui.routes import PREVIEW

PICTURE = Path(__file__).parent / "preview.png"
WIDTH, HEIGHT = 1200, 630  # pixels of the picture
OF_GRADIO = re.compile(rb"""<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*""")
HEAD_ENDS = b"</head>"


class Preview:
    """Stands between the gate and the app: answers for the picture, and puts what is ours into the page's head."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = below(scope) if scope["type"] == "http" else None  # the app's own start and end have none
        if path == PREVIEW:
            await picture(scope, send)
        elif path in ("", "/") and scope["method"] == "GET":
            await self.app(scope, receive, Head(scope, send))
        else:
            await self.app(scope, receive, send)


class Head:
    """Takes a page whole, and sends it with our head."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self.send = scope, send
        self.start: dict[str, Any] = {}
        self.body = bytearray()

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.start = dict(message)
            return
        self.body += message.get("body", b"")
        if message.get("more_body", False):
            return
        page = bytes(self.body)
        if dict(self.start["headers"]).get(b"content-type", b"").startswith(b"text/html"):
            page = with_head(page, tags(origin(self.scope)))
        kept = [pair for pair in self.start["headers"] if pair[0].lower() != b"content-length"]
        headers = [*kept, (b"content-length", str(len(page)).encode())]
        await self.send({**self.start, "headers": headers})
        await self.send({"type": "http.response.body", "body": page})


async def picture(scope: Scope, send: Send) -> None:
    data = PICTURE.read_bytes()
    headers = [
        (b"content-type", b"image/png"),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"public, max-age=86400"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else data})


def with_head(page: bytes, ours: str) -> bytes:
    """The page with our tags in place of gradio's."""
    head, ends, rest = page.partition(HEAD_ENDS)
    return OF_GRADIO.sub(b"", head) + ours.encode() + ends + rest if ends else page


def tags(address: str) -> str:
    """What shows a shared link: names of Open Graph, and those that Twitter wants beside them."""
    image = f"{address}{PREVIEW}"
    facts = (
        ("property", "og:title", TITLE),
        ("property", "og:description", ABOUT),
        ("property", "og:type", "website"),
        ("property", "og:url", f"{address}/"),
        ("property", "og:image", image),
        ("property", "og:image:width", str(WIDTH)),
        ("property", "og:image:height", str(HEIGHT)),
        ("property", "og:image:alt", "A recording, its units, the prompt and the label"),
        ("name", "twitter:card", "summary_large_image"),
        ("name", "description", ABOUT),
    )
    return "".join(f'<meta {kind}="{name}" content="{escape(text)}">\n' for kind, name, text in facts)


def origin(scope: Scope) -> str:
    """The address that was asked for; the gate has let no other host through, nor one that a proxy made up."""
    headers = dict(scope["headers"])
    scheme = first(headers.get(b"x-forwarded-proto")) or scope["scheme"]
    host = first(headers.get(b"x-forwarded-host")) or first(headers.get(b"host"))
    return f"{scheme}://{host}{scope.get('root_path', '')}"


def first(value: bytes | None) -> str:
    """The first of what proxies wrote one after the other."""
    return (value or b"").decode("latin-1").partition(",")[0].strip()
