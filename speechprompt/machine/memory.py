"""Memory: its lack becomes a sentence, what is freed is kept for the next batch, what is made once is bounded."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from speechprompt.errors import SpeechPromptError

NO_MEMORY = ("can't allocate memory", "could not create a primitive", "could not create a memory object")
KEPT = 256 << 20  # bytes of freed memory that the process may keep
# Larger pieces come from the system and go back to it, whatever lies free; glibc allows no more.
LARGEST = 32 << 20
KERNELS = 256  # of oneDNN, which by itself keeps 1024; a pass of the models takes some tens
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@contextmanager
def memory_guard() -> Iterator[None]:
    """Turn the lack of memory of a device or of the machine into a SpeechPromptError.

    What the failed work held is freed with the error, so whoever catches it can go on. All work of the models
    passes here, so a process in which they cannot work is told so here, too.
    """
    check_process()
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has an exception of its own for devices, but only sentences for the main memory.
        name, text = type(error).__name__, str(error)
        if name not in ("MemoryError", "OutOfMemoryError") and not any(known in text for known in NO_MEMORY):
            raise
        hardware = "graphics card" if name == "OutOfMemoryError" else "machine"
        raise SpeechPromptError(
            f"The {hardware} has no memory left for this: try again in a moment, or with less at a time."
        ) from error


_worked_in: int | None = None  # the process in which the models first worked


def check_process() -> None:
    """Raise SpeechPromptError in a process forked after the models had worked, which would wait for ever."""
    global _worked_in
    if _worked_in is None:
        _worked_in = os.getpid()
    if _worked_in != os.getpid() and "torch" in sys.modules and sys.modules["torch"].get_num_threads() > 1:
        raise SpeechPromptError(
            "This process was forked after the models had been used, without the threads that they need: start it by "
            "spawn, or call torch.set_num_threads(1) in it."
        )


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MB of freed memory for the next batch; whether the C library takes that.

    Left alone glibc gives whatever lies free at the end of its heap back to the system as soon as that is more
    than twice its largest piece, and each batch gets it again page by page, zeroed: a tenth of the batch's time.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    return bool(set_option(M_MMAP_THRESHOLD, LARGEST)) and bool(set_option(M_TRIM_THRESHOLD, KEPT))


def keep_few_kernels() -> None:
    """Let oneDNN keep KERNELS of what it made for the lengths that it met; before the models first work.

    Recordings of ever other lengths fill its memory with kernels that are hardly asked for again.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS))
