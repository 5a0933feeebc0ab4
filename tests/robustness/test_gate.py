"""The gate before gradio: what is open, to whom, and how much may come in."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from speechprompt.ui import bodies, connections, gate, multipart, routes
from speechprompt.ui.uploads import Page
from speechprompt.ui.visitors import PROXIED, Visitors, address_of

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
# Routes of gradio that nobody needs here; one that is neither open nor in this list was added by a new version.
CLOSED = {
    "/docs/oauth2-redirect", "/openapi.json", "/svelte/{path:path}", "/login", "/login/", "/logout",
    "/gradio_api/user", "/gradio_api/user/", "/gradio_api/login_check", "/gradio_api/login_check/",
    "/gradio_api/token", "/gradio_api/token/", "/gradio_api/dev/reload",
    "/gradio_api/runs", "/gradio_api/runs/", "/gradio_api/run-history/connect", "/gradio_api/run-history/buckets",
    "/gradio_api/run-history/records",
    "/gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id}",
    "/gradio_api/deep_link", "/gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
    "/gradio_api/proxy={url_path:path}", "/gradio_api/stream/{event_id}", "/gradio_api/stream/{event_id}/close",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
    "/gradio_api/file/{path:path}", "/gradio_api/api/{api_name}", "/gradio_api/api/{api_name}/",
    "/gradio_api/component_server", "/gradio_api/component_server/", "/gradio_api/queue/status",
    "/pwa_icon", "/pwa_icon/{size}", "/manifest.json", "/monitoring", "/monitoring/summary", "/monitoring/{key}",
    "/gradio_api/process_recording", "/gradio_api/mcp/sse", "/gradio_api/mcp/messages",
    "/gradio_api/vibe-edit/", "/gradio_api/vibe-edit",
    "/gradio_api/undo-vibe-edit/", "/gradio_api/undo-vibe-edit", "/gradio_api/vibe-code/", "/gradio_api/vibe-code",
    "/gradio_api/vibe-starter-queries/", "/gradio_api/vibe-starter-queries",
}  # fmt: skip
FILLED = {"path_or_url:path": "/tmp/a", "path:path": "a.js"}  # a route's parameter -> what it may be


def ask(
    address: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, str]:
    """Status and text; headers as they are, Host among them."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    given = dict(headers or {})
    if body is not None:
        given.setdefault("Content-Length", str(len(body)))
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    streams = reply.getheader("content-type", "").startswith("text/event-stream")
    text = "" if streams else reply.read().decode(errors="replace")
    connection.close()
    return reply.status, text


def sentence(text: str) -> str:
    told = json.loads(text)["detail"]
    assert re.fullmatch(r"[A-Z][^\n]{10,200}[.]", told), told
    return told


def every_route(page: Page) -> list[tuple[str, str]]:
    """(method, path with its parameters) of all that gradio would answer."""

    def below(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
        for route in routes:
            inner = getattr(route, "original_router", route)  # of a router that was included
            path = prefix + getattr(route, "path", "")
            if getattr(inner, "routes", None):
                yield from below(inner.routes, path)
            else:
                for method in sorted(getattr(route, "methods", None) or {"GET", "POST"}):
                    yield method, path

    assert page.app is not None
    return list(below(page.app.routes))


def test_every_route_of_gradio_is_known_and_the_needed_ones_alone_are_open(
    running_page: Page, served: tuple[str, Path]
) -> None:
    found = every_route(running_page)
    assert len(found) > 80
    allowed = routes.routes_for(agents=True, login=False)
    for method, path in found:
        filled = re.sub(r"{(.*?)}", lambda name: FILLED.get(name[1], "abc"), path)
        is_open = any(route.takes(method, filled) for route in allowed)
        assert is_open != (path in CLOSED), f"{method} {path}: open or not? Decide, and say so here or there."
        if not is_open:
            status, text = ask(served[0], method, filled, JSON, b"{}" if method == "POST" else None)
            assert status == 404 and (method == "HEAD" or "nothing at this address" in sentence(text))


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1:9/a",
        "/gradio_api/file=https:/example.org/a",
        "/gradio_api/file=%20https://example.org/a",
        "/gradio_api/file=http%3A%2F%2F127.0.0.1%3A9/a",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/mcp/sse",
        "/gradio_api//process_recording",
        "/gradio_api/deep_link?session_hash=a",
        "/gradio_api/%6donitoring",
        "/anything",
        "//",
    ],
)
def test_what_is_not_needed_is_not_there(served: tuple[str, Path], path: str) -> None:
    status, text = ask(served[0], "GET", path)
    assert status == 404 and "nothing at this address" in sentence(text)


def test_the_queue_cannot_be_passed(served: tuple[str, Path]) -> None:
    status, _ = ask(served[0], "POST", "/gradio_api/run/classify", JSON, b'{"data": [null, "a", "tiny"]}')
    assert status == 404


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:7860", True),
        ("[::1]:7860", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("192.168.1.7:7860", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:7860", False),
        ("evil.example:7860", False),
        ("", False),
        ("a@127.0.0.1.x", False),
        ("[", False),
    ],
)
def test_a_name_that_is_not_ours_is_refused(served: tuple[str, Path], host: str, ours: bool) -> None:
    """DNS rebinding: a page of evil.example whose name now leads to this machine."""
    status, text = ask(served[0], "GET", "/config", {"Host": host})
    assert status == (200 if ours else 421) or (host == "" and status == 400)
    if status == 421:
        assert "--allow-host" in sentence(text)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"Origin": "http://HOST"}, True),
        ({"Origin": "https://HOST"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://localhost:3000"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://HOST.evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, True),
    ],
)
def test_what_a_page_of_another_site_sends_is_refused(
    served: tuple[str, Path], headers: dict[str, str], ours: bool
) -> None:
    address, folder = served
    host = urlsplit(address).netloc
    given = {name: value.replace("HOST", host) for name, value in headers.items()}
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="origin.wav"\r\n\r\nx\r\n--b--\r\n'
    status, text = ask(address, "POST", "/gradio_api/upload", FORM | given, body)
    assert status == (200 if ours else 403)
    if not ours:
        assert "another site" in sentence(text)
    for path in folder.rglob("origin.wav"):
        assert ours
        path.unlink()


def test_names_are_those_that_the_server_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gate.VARIABLE, "lab.example, other:7860")
    monkeypatch.setenv("SPACE_HOST", "me-speech.hf.space")
    names = gate.server_names("Studio.local", None, "0.0.0.0")
    assert names == {"lab.example", "other", "me-speech.hf.space", "studio.local", "0.0.0.0"}


def test_nobody_writes_another_address_into_what_others_read(served: tuple[str, Path]) -> None:
    """gradio keeps the API's description as its first reader got it."""
    for headers in (
        {"X-Forwarded-Host": "evil.example"},
        {"X-Gradio-Server": "http://evil.example"},
        {"X-Forwarded-Proto": "evil"},
        {"Host": "192.0.2.7"},
    ):
        for path in ("/gradio_api/info", "/gradio_api/openapi.json", "/config", "/"):
            status, text = ask(served[0], "GET", path, headers)
            assert status == 200 and "evil" not in text
    status, text = ask(served[0], "GET", "/gradio_api/info")
    assert status == 200 and "192.0.2.7" not in text and urlsplit(served[0]).netloc in text


def test_large_requests_are_refused_with_a_sentence(served: tuple[str, Path]) -> None:
    for path, limit in (
        ("call/classify", routes.CALL_BYTES),
        ("queue/join", routes.JOIN_BYTES),
        ("cancel", 4096),
    ):
        for told in (True, False):  # in Content-Length, or only found while it comes
            body = b'"' + b"x" * limit + b'"'
            headers = JSON
            if not told:
                headers = {**JSON, "Transfer-Encoding": "chunked", "Content-Length": ""}
                del headers["Content-Length"]
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            status, text = (
                ask(served[0], "POST", f"/gradio_api/{path}", headers, body)
                if told
                else chunked(served[0], f"/gradio_api/{path}", body)
            )
            assert status == 413 and "send less at a time" in sentence(text)
    assert ask(served[0], "GET", "/?" + "a" * gate.MAX_URL)[0] == 414
    status, _ = ask(served[0], "POST", "/gradio_api/call/classify", JSON, b"[" * 100_000)
    assert status in (400, 422)


def chunked(address: str, path: str, body: bytes) -> tuple[int, str]:
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body)
        reply = b""
        while piece := connection.recv(1 << 16):
            reply += piece
    return int(reply.split(b" ", 2)[1]), reply.partition(b"\r\n\r\n")[2].decode()


def form(*names: str) -> bytes:
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\nx\r\n'
    return "".join(part.format(name) for name in names).encode() + b"--b--\r\n"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data; boundary=" + "b" * 300, form("a.wav"), 400),
        ("multipart/form-data", form("a.wav"), 400),
        ("text/plain", b"x", 400),
        (FORM["Content-Type"], form(*["n" * 4000] * 250), 413),
        (FORM["Content-Type"], form(*["a.wav"] * 1100), 413),
    ],
)
def test_uploads_that_cost_more_than_their_size_are_refused(
    served: tuple[str, Path], content_type: str, body: bytes, status: int
) -> None:
    address, folder = served
    before = sum(path.is_file() for path in folder.rglob("*"))
    came, text = ask(address, "POST", "/gradio_api/upload", {"Content-Type": content_type}, body)
    assert came == status and len(text) > 10 and "Traceback" not in text
    assert sum(path.is_file() for path in folder.rglob("*")) <= before


def test_parts_are_counted_wherever_the_pieces_are_cut() -> None:
    body = form("a.wav", "b" * 255, "", "--b")
    for size in (1, 2, 3, 7, 64, len(body)):
        parts = multipart.Parts(b"b")
        assert not any(parts.feed(body[at : at + size]) for at in range(0, len(body), size))
        assert parts.n == 5  # with the end
    parts = multipart.Parts(b"b")
    assert "shorter name" in "".join(parts.feed(bytes([byte])) for byte in form("c" * 4000))
    assert len(parts._rest) <= 2 * multipart.MAX_HEADERS + 8000
    quoted = b'multipart/form-data; boundary="a b"'
    assert multipart.boundary_of(quoted) == b"a b"
    assert multipart.boundary_of(b"Multipart/Form-Data;boundary=----WebKitFormBoundaryAb1") is not None


def test_a_full_disk_is_a_sentence(
    running_page: Page, served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speechprompt.ui.retention.MAX_BYTES", 1000)
    body = form("a.wav").replace(b"\r\n\r\nx", b"\r\n\r\n" + b"x" * 2000)
    status, text = ask(served[0], "POST", "/gradio_api/upload", FORM, body)
    assert (status, sentence(text)) == (507, bodies.NO_ROOM)
    status, text = ask(served[0], "POST", "/gradio_api/upload", FORM, form("a.wav"))
    assert status == 200
    # Where the length is not told, it is found while the files come.
    running_page.uploads.taken = 999
    status, text = ask(served[0], "POST", "/gradio_api/upload", FORM, form("b.wav"))
    assert status in (200, 507)


def test_a_request_that_never_comes_is_not_waited_for(
    served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 1.0)
    place = urlsplit(served[0])
    head = f"POST /gradio_api/call/classify HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 10\r\n"
    for sent, status in (("", ""), ("POST /gradio", ""), (head, ""), (f"{head}\r\n{{", "408")):
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(sent.encode())
            began, reply = time.monotonic(), b""
            while piece := connection.recv(1 << 16):
                reply += piece
            assert time.monotonic() - began < 15
            assert (status.encode() in reply.split(b"\r\n")[0]) if status else not reply


def test_one_address_cannot_hold_all_connections(
    served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_OPEN", 3)
    place = urlsplit(served[0])
    held = []
    try:
        for number in range(4):
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
            connection.request("GET", f"/gradio_api/heartbeat/held{number}")
            held.append(connection)
            assert (connection.getresponse().status == 200) is (number < 3)
    finally:
        for connection in held:
            connection.close()


def test_a_session_counts_by_itself_only_while_it_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    visitors, scope = Visitors(), {"speechprompt.address": "192.0.2.1"}
    assert visitors.name("invented", scope) == visitors.name(None, scope) == "192.0.2.1"
    with visitors.connected("page"):
        assert visitors.name("page", scope) == "page"
        visitors.seen("page")
        monkeypatch.setattr("speechprompt.ui.visitors.ABSENT_SECONDS", -1.0)
        assert visitors.absent(10) == []
    assert visitors.name("page", scope) == "192.0.2.1" and visitors.absent(10) == ["page"]


def test_where_a_request_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    def scope(peer: str, *forwarded: str) -> dict[str, object]:
        return {"client": (peer, 1), "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded]}

    assert address_of(scope("203.0.113.9", "1.2.3.4")) == "203.0.113.9"
    assert (
        address_of(scope("2001:db8:1:2::9")) == address_of(scope("2001:db8:1:2:3::1")) == "2001:db8:1:2::/64"
    )
    assert address_of({"client": None, "headers": []}) == ""
    monkeypatch.setenv("SPACE_HOST", "me-speech.hf.space")
    assert address_of(scope("10.0.0.1", "8.8.4.4, 1.2.3.4, 10.1.1.1")) == "1.2.3.4"
    assert address_of(scope("10.0.0.1", "nonsense")) == address_of(scope("10.0.0.1")) == PROXIED
