"""Which requests are answered: the routes that the page, programs, agents and a Space's login need, and no others.

gradio has many more: they run ffmpeg for everybody, fetch addresses, skip the queue, or show what others asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

API = "/gradio_api"
PREVIEW = "/preview.png"  # what a shared link shows
NAME = r"[\w-]{1,80}"
UPLOAD_BYTES = 200 << 20  # one request; 15 minutes of 48 kHz in stereo are 173 MB, and Teach takes no more
JOIN_BYTES = 3 << 20  # Live may send 5 s at 192 kHz at once, in base64
AGENT_BYTES = 8 << 20  # agents give recordings in base64: a minute of 48 kHz
CALL_BYTES = 256 << 10  # names, and units as text


@dataclass(frozen=True)
class Route:
    """Requests that reach gradio. body: bytes at most; kind: what is done beside checking them."""

    methods: frozenset[str]
    path: re.Pattern[str]
    body: int = 0
    kind: str = ""

    def takes(self, method: str, path: str) -> bool:
        return method in self.methods and self.path.fullmatch(path) is not None


def get(path: str, kind: str = "") -> Route:
    return Route(frozenset(("GET", "HEAD")), re.compile(path, re.ASCII | re.DOTALL), 0, kind)


def post(path: str, body: int, kind: str = "") -> Route:
    return Route(frozenset(("POST",)), re.compile(path, re.ASCII), body, kind)


PAGE = (
    get(r"/(config/?|theme\.css|favicon\.ico|robots\.txt|(assets|static)/.+)?"),
    get(re.escape(PREVIEW)),
    get(rf"{API}/(app_id/?|startup-events|theme\.css|upload_progress|queue/data)"),
    get(rf"{API}/(info/?|openapi\.json)", "info"),
    get(rf"{API}/heartbeat/(?P<session>{NAME})", "heartbeat"),
    get(rf"{API}/call/(v2/)?{NAME}/{NAME}"),
    get(rf"{API}/file=(?!\s*\w\w+:).+"),  # a path, and no address of something elsewhere
    post(rf"{API}/upload", UPLOAD_BYTES, "upload"),
    post(rf"{API}/queue/join", JOIN_BYTES),
    post(
        rf"{API}/run/{NAME}/?", CALL_BYTES
    ),  # what the page does at once; gradio sends the rest to the queue
    post(rf"{API}/call/{NAME}/?", CALL_BYTES),
    post(rf"{API}/call/v2/{NAME}/?", CALL_BYTES, "info"),
    post(rf"{API}/(cancel|reset/?)", 4096),
)
AGENTS = (
    get(rf"{API}/mcp/schema"),
    Route(frozenset(("GET", "POST", "DELETE")), re.compile(rf"{API}/mcp/?"), AGENT_BYTES),
)
LOGIN = (get(r"/login/(huggingface|callback)"), get(r"/logout"))


def routes_for(agents: bool, login: bool) -> tuple[Route, ...]:
    """What is open of a page: to agents where they have tools, with a login where it has one."""
    return (*PAGE, *(AGENTS if agents else ()), *(LOGIN if login else ()))
