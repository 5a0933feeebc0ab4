"""The machine that the models run on: its devices, its memory, and the time that one request may take."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING

from speechprompt.errors import SpeechPromptError

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

# Device


def choose_device(device: str | torch.device) -> torch.device:
    """ "auto" -> the GPU when there is one, else the CPU; SpeechPromptError for a device that is not there."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise SpeechPromptError(f"There is no device {str(device)[:40]!r} here: use cpu or auto.") from error
    return torch.device(device)


def choose_dtype(dtype: str | torch.dtype, device: str | torch.device) -> torch.dtype:
    """What the models multiply in: a dtype or its name; SpeechPromptError for one that they cannot run in."""
    import torch

    kinds = (torch.float32, torch.bfloat16, torch.float16)
    if isinstance(dtype, str):
        dtype = next((kind for kind in kinds if str(kind) == f"torch.{dtype}"), dtype)
    if not isinstance(dtype, torch.dtype) or dtype not in kinds:
        known = ", ".join(str(kind).removeprefix("torch.") for kind in kinds)
        raise SpeechPromptError(f"The models run in {known}, not in {str(dtype)[:40]}.")
    if dtype == torch.float16 and torch.device(device).type == "cpu":
        # oneDNN's float16 convolutions were seen not to return on processors with AVX512-FP16.
        raise SpeechPromptError(
            "float16 is for GPUs: on a CPU take bfloat16, or float32 where it has no AMX."
        )
    return dtype


# Memory

NO_MEMORY = ("can't allocate memory", "could not create a primitive", "could not create a memory object")
KEPT = 256 << 20  # bytes of freed memory that the process may keep
# Larger pieces come from the system and go back to it, whatever lies free; glibc allows no more.
LARGEST = 32 << 20
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


# Time

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
