"""The time that one request may take. Doors: `time_limit` around it, `check_time` within."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from speechprompt.errors import SpeechPromptError

REQUEST_SECONDS = 60.0  # that one request may take; a minute of speech takes 1 to 4 on two cores
_deadline: ContextVar[tuple[float, float] | None] = ContextVar(
    "deadline", default=None
)  # when, seconds allowed


@contextmanager
def time_limit(seconds: float | None = None) -> Iterator[None]:
    """Let the work in the block, in this thread, take so many seconds, so that no request holds up all others.

    Whoever serves requests sets it; the loops that can be long call `check_time` between two steps. seconds: None
    takes REQUEST_SECONDS. Within another block the limit that ends earlier holds.
    """
    seconds = REQUEST_SECONDS if seconds is None else seconds
    mine, outer = (time.monotonic() + seconds, seconds), _deadline.get()
    token = _deadline.set(mine if outer is None else min(mine, outer))
    try:
        yield
    finally:
        _deadline.reset(token)


def check_time() -> None:
    """Raise SpeechPromptError when the time is over; nothing where no limit is set."""
    limit = _deadline.get()
    if limit is not None and time.monotonic() > limit[0]:
        raise SpeechPromptError(
            f"The answer took longer than the {limit[1]:g} s that one request may take: use a shorter recording, "
            "or fewer at a time."
        )
