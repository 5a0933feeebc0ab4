"""The server's gate: what reaches gradio, from where, and how much of it.

A request is refused with one sentence where no such route is needed, where a page of somebody else sent it (its Host or
Origin is not ours), or where it is larger than such requests are, slower, or one of too many.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext

from speechprompt.ui.bodies import App, Bodies, Receive, Refused, Scope, Send, refuse, too_large
from speechprompt.ui.retention import Uploads
from speechprompt.ui.routes import Route
from speechprompt.ui.visitors import ADDRESS, PROXIED, Visitors, address_of, parsed

VARIABLE = "SPEECHPROMPT_HOSTS"  # names of this server besides its addresses, with commas between
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)
MAX_URL = 4096  # bytes
MAX_OPEN = (
    256  # requests of one address at once: each page holds two open, and several may be behind one address
)


class Gate:
    """Stands before the app. names: of this server, besides its addresses and this machine's own."""

    def __init__(
        self, app: App, routes: Iterable[Route], names: Iterable[str], visitors: Visitors, uploads: Uploads
    ) -> None:
        self.app, self.routes, self.visitors = app, tuple(routes), visitors
        self.bodies = Bodies(uploads)
        self.names = {name.lower() for name in names} | {"localhost"}
        self.named = {
            name for name in self.names - {"localhost"} if parsed(name) is None
        }  # ours and nobody else's
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        address = scope[ADDRESS] = address_of(scope)
        self._open[address] += 1
        try:
            route = self.check(scope, address)
            await self.let_in(route, scope, receive, send)
        except Refused as refused:
            await refuse(refused, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    # Before anything of it is read

    def check(self, scope: Scope, address: str) -> Route:
        """The route of a request; Refused where there is none, or it is not for us."""
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL:
            raise Refused(414, f"The address has over {MAX_URL} bytes: shorten it.")
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self.is_ours(host):
            raise Refused(
                421,
                f"This server does not know itself by that name: open it by its address, or start it with the name in "
                f"--allow-host or {VARIABLE}.",
            )
        if not self.is_from_us(headers, host):
            raise Refused(403, "A page of another site sent this: open this one's page and ask there.")
        path = below(scope)
        route = next((route for route in self.routes if route.takes(scope["method"], path)), None)
        if route is None:
            raise Refused(404, "There is nothing at this address: the API's description lists what there is.")
        if address != PROXIED and self._open[address] > MAX_OPEN:
            raise Refused(
                429, f"You have {MAX_OPEN} requests open: wait until one of them has been answered."
            )
        return route

    def is_ours(self, host: str) -> bool:
        """Whether a page at this host is ours: anybody can let a name of his lead here, and no address."""
        name = hostname(host)
        return name in self.names or parsed(name) is not None

    def is_from_us(self, headers: dict[bytes, bytes], host: str) -> bool:
        """Whether our page or a program asks, and no page of another site."""
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin:
            place = origin.partition("://")[2]
            return place == host or hostname(place) in self.named
        return (
            headers.get(b"sec-fetch-site") != b"cross-site" or headers.get(b"sec-fetch-mode") == b"navigate"
        )

    # While it is read

    async def let_in(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [
            (name, value) for name, value in scope["headers"] if self.is_believed(name, value)
        ]
        if route.kind == "info":
            scope[
                "app"
            ].api_info = None  # gradio would give everybody the address by which the first one came
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        n = int(length) if length.isdigit() and len(length) < 16 else 0
        if n > route.body:
            raise Refused(413, too_large(route.body))
        if route.kind == "upload":
            checked, with_status = await self.bodies.upload(n, route.body, headers, receive, send)
            await self.app(scope, checked, with_status)
        elif route.body:
            await self.app(scope, await self.bodies.whole(route.body, scope, receive), send)
        else:
            found = route.path.fullmatch(below(scope)) if route.kind == "heartbeat" else None
            with nullcontext() if found is None else self.visitors.connected(found["session"]):
                await self.app(scope, receive, send)

    def is_believed(self, name: bytes, value: bytes) -> bool:
        """What a proxy says of the address that was asked for, only where that is one of our names."""
        if name == b"x-forwarded-host":
            return hostname(value.decode("latin-1").partition(",")[0].strip().lower()) in self.names
        if name == b"x-forwarded-proto":
            return value in (b"http", b"https", b"https,http", b"https, http")
        return name != b"x-gradio-server"


def server_names(*more: str | None) -> set[str]:
    """How browsers may call this server: by what it was started with, and what its surroundings tell."""
    listed = ",".join(os.environ.get(name, "") for name in (VARIABLE, "SPACE_HOST"))
    return {hostname(name.strip().lower()) for name in (*listed.split(","), *more) if name} - {""}


def hostname(host: str) -> str:
    """The name of a host with or without a port; "" for what is none."""
    found = HOST.fullmatch(host)
    return found[1] if found else ""


def below(scope: Scope) -> str:
    """The path of a request below the app's own, by the rule that its router has."""
    path, root = scope["path"], scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
