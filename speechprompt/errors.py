"""The one exception that users of this package have to know, and what becomes of a lack of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SpeechPromptError(ValueError):
    """Something the caller can put right: bad audio, an unknown name, a broken folder.

    The message is one clear sentence that says what is wrong and what to do. It never holds
    a path of the server it runs on, so the app and the API show it as it is.
    """


NO_MEMORY = ("can't allocate memory", "could not create a primitive", "could not create a memory object")


@contextmanager
def said_when_out_of_memory() -> Iterator[None]:
    """Turn the lack of memory of a device or of the machine into a SpeechPromptError.

    What the failed work held is freed with the error, so whoever catches it can go on.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has an exception of its own for devices, but only sentences for the main memory.
        name, text = type(error).__name__, str(error)
        if name not in ("MemoryError", "OutOfMemoryError") and not any(said in text for said in NO_MEMORY):
            raise
        where = "graphics card" if name == "OutOfMemoryError" else "machine"
        raise SpeechPromptError(
            f"The {where} has no memory left for this: try again in a moment, or with less at a time."
        ) from error
