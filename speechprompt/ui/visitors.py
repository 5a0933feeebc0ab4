"""Who is asking: an address, and the sessions that are connected from it.

A session is a name that anybody can make up, so by itself it is nobody. It counts as a visitor of its own while its
page or client holds the connection that gradio calls its heartbeat; all others of an address are one visitor.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

ABSENT_SECONDS = 900.0  # that a session may go unseen without being connected; then what it made is forgotten
ADDRESS = "speechprompt.address"  # in a request's scope: where it comes from
SIZE = "speechprompt.size"  # in a request's scope: bytes of its body
PROXIED = "a proxy"  # the address of everybody of whom a Space's proxy tells nothing


class Visitors:
    """The sessions, and when each was last seen; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connected: Counter[str] = Counter()  # session -> its heartbeats
        self._seen: dict[str, float] = {}  # session -> when, the longest ago first

    @contextmanager
    def connected(self, session: str) -> Iterator[None]:
        """The session's page or client is there for as long as the block lasts."""
        with self._lock:
            self._connected[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._connected[session] -= 1
                if not self._connected[session]:
                    del self._connected[session]
            self.seen(session)

    def seen(self, session: str) -> None:
        """The session asked for something."""
        with self._lock:
            self._seen.pop(session, None)
            self._seen[session] = time.monotonic()

    def name(self, session: str | None, scope: Mapping[str, Any]) -> str:
        """Whose turn a request takes: the session's where that is connected, else its address's."""
        return session if session in self._connected and session else str(scope.get(ADDRESS, ""))

    @property
    def n_seen(self) -> int:
        return len(self._seen)

    def absent(self, more_than: int) -> list[str]:
        """Take the sessions out that have gone, and of those that are not connected all above so many."""
        gone = time.monotonic() - ABSENT_SECONDS
        with self._lock:
            away = [session for session in self._seen if session not in self._connected]
            n_above = len(self._seen) - more_than
            left = [s for i, s in enumerate(away) if self._seen[s] < gone or i < n_above]
            for session in left:
                del self._seen[session]
        return left


def address_of(scope: Mapping[str, Any]) -> str:
    """Where a request comes from: an address, of IPv6 its network.

    On a Space every connection is the proxy's. Of the addresses it was given the last public one is the visitor's:
    those before it anybody can invent.
    """
    peer = (scope.get("client") or ("", 0))[0]
    if os.environ.get("SPACE_HOST"):
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for text in reversed([peer, *forwarded.decode("latin-1").split(",")]):
            found = parsed(text.strip())
            if found is not None and found.is_global:
                return network(found)
        return PROXIED
    found = parsed(peer)
    return str(peer) if found is None else network(found)


def parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address itself; of IPv6 the network, of which one visitor has 2^64."""
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
