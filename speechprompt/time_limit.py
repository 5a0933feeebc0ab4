"""A limit on how long one piece of work may take, so that nobody's request keeps the others waiting for ever.

Whoever serves requests sets it; the loops that can be long look at it between two steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from speechprompt.errors import SpeechPromptError

_ends: ContextVar[tuple[float, float] | None] = ContextVar(
    "time limit", default=None
)  # when, seconds allowed


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let the work in the block, in this thread, take so many seconds."""
    token = _ends.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _ends.reset(token)


def check_time() -> None:
    """Raise SpeechPromptError when the time is over; nothing where no limit is set."""
    limit = _ends.get()
    if limit is not None and time.monotonic() > limit[0]:
        raise SpeechPromptError(
            f"The answer took longer than the {limit[1]:g} s that one request may take: use a shorter recording."
        )
