"""What a shared link shows: our name, sentence and picture, at the address that was asked for and no other."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from PIL import Image

from speechprompt.ui import preview
from speechprompt.ui.bodies import App
from speechprompt.ui.gate import Gate
from speechprompt.ui.header import ABOUT
from speechprompt.ui.preview import Preview
from speechprompt.ui.retention import Uploads
from speechprompt.ui.routes import PREVIEW, routes_for
from speechprompt.ui.visitors import Visitors

PAGE = (
    b'<html><head><meta property="og:title" content="Gradio" /><meta\n\tproperty="og:image"\n\tcontent="https://e.org/a"\n/>'
    b'<meta name="twitter:creator" content="@Gradio" /><title>SpeechPrompt</title>'
    b'<script>config = "<meta property=\\"og:a\\">"</script></head>'
    b'<body>\xc3\xa9 <meta name="twitter:b"> </head></body></html>'
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Sends the page in two parts, as an app may."""
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(PAGE)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE[:50], "more_body": True})
    await send({"type": "http.response.body", "body": PAGE[50:]})


def asked(
    inner: App, path: str, method: str = "GET", root: str = "", **headers: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": root + path, "raw_path": path.encode(), "query_string": b"",
        "headers": given, "scheme": "http", "root_path": root, "client": ("127.0.0.1", 1), "app": None,
    }  # fmt: skip
    asyncio.run(inner(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


def guarded(tmp_path: Path) -> Gate:
    return Gate(Preview(app), routes_for(False, False), ["words.example.org"], Visitors(), Uploads(tmp_path))


def test_the_page_names_itself_and_its_picture_at_the_address_that_was_asked_for(tmp_path: Path) -> None:
    gate = guarded(tmp_path)
    for headers, address in (
        ({"host": "localhost:7860"}, "http://localhost:7860"),
        (
            {"host": "localhost", "x_forwarded_host": "evil.example", "x_forwarded_proto": "javascript"},
            "http://localhost",
        ),
        (
            {"host": "localhost", "x_forwarded_host": "words.example.org", "x_forwarded_proto": "https"},
            "https://words.example.org",
        ),
    ):
        status, sent, body = asked(gate, "/", **headers)
        assert status == 200 and int(sent[b"content-length"]) == len(body)
        head, _, rest = body.decode().partition("</head>")
        assert f'<meta property="og:image" content="{address}{PREVIEW}">' in head
        assert f'<meta property="og:url" content="{address}/">' in head and ABOUT in head
        assert "Gradio" not in head and "e.org/a" not in head and "evil" not in body.decode()
        assert len(re.findall(r'"og:title"', head)) == 1
        assert (
            'config = "<meta property=\\"og:a\\">"' in head and rest == PAGE.decode().partition("</head>")[2]
        )
    status, _, body = asked(gate, "/", host="evil.example")
    assert status == 421 and b"og:" not in body


def test_below_a_path_of_its_own_the_page_says_so(tmp_path: Path) -> None:
    body = asked(guarded(tmp_path), "/", root="/words", host="localhost")[2]
    assert f'"http://localhost/words{PREVIEW}"'.encode() in body


def test_the_picture_is_there_for_whoever_previews_a_link(tmp_path: Path) -> None:
    gate = guarded(tmp_path)
    status, sent, body = asked(gate, PREVIEW, host="localhost")
    assert status == 200 and sent[b"content-type"] == b"image/png" and body == preview.PICTURE.read_bytes()
    with Image.open(preview.PICTURE) as picture:
        assert picture.size == (preview.WIDTH, preview.HEIGHT)
    assert len(body) < 200_000  # what previews a link takes no large one
    assert asked(gate, PREVIEW, "HEAD", host="localhost")[2] == b""
    assert asked(gate, PREVIEW, "POST", host="localhost")[0] == 404
