"""The parts of an upload, counted and measured as they come, before gradio reads them on the event loop."""

from __future__ import annotations

import re

MAX_PARTS = 1000  # as many as gradio's page sends at once
MAX_HEADERS = 2048  # bytes of the headers of one part: a name of 255 bytes, each as three
BOUNDARY = re.compile(
    rb'multipart/form-data\s*;\s*boundary=("?)([\w\'()+,./:=? -]{1,70})\1\s*', re.IGNORECASE
)


def boundary_of(content_type: bytes) -> bytes | None:
    """What stands between the parts; None where the header tells of none that the standard (RFC 2046) allows."""
    found = BOUNDARY.fullmatch(content_type)
    return found[2] if found and not found[2].endswith(b" ") else None


class Parts:
    """Feed it what comes in; it says what is wrong with that, or "". It keeps no more than one part's headers."""

    def __init__(self, boundary: bytes) -> None:
        self._between = b"\r\n--" + boundary
        self._rest = b"\r\n"  # the first one begins the body
        self._in_headers = False
        self.n = 0

    def feed(self, data: bytes) -> str:
        rest, at = self._rest + data, 0
        while True:
            if self._in_headers:
                end = rest.find(b"\r\n\r\n", at, at + MAX_HEADERS)
                if end < 0:
                    self._rest = rest[at:]
                    if len(self._rest) < MAX_HEADERS:
                        return ""
                    return f"A file's name and kind take over {MAX_HEADERS} bytes: give it a shorter name."
                at, self._in_headers = end + 2, False  # an empty part ends with the headers' last line break
            found = rest.find(self._between, at)
            if found < 0:
                self._rest = rest[max(at, len(rest) - len(self._between) + 1) :]
                return ""
            at, self._in_headers = found + len(self._between), True
            self.n += 1
            if self.n > MAX_PARTS + 1:  # the last one ends the body
                return f"More than {MAX_PARTS} files came at once: send fewer at a time."
