"""Keeps the memory that one batch freed for the next one, where the C library is glibc.

Left alone it gives whatever lies free at the end of its heap back to the system as soon as that is more than
twice its largest piece, and each batch gets it again page by page, zeroed: a tenth of the batch's time.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

KEPT = 256 << 20  # bytes that may lie free
# Larger pieces come from the system and go back to it, whatever lies free; glibc allows no more.
LARGEST = 32 << 20

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MB of freed memory; whether the C library could be told."""
    if platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    return bool(set_option(M_MMAP_THRESHOLD, LARGEST)) and bool(set_option(M_TRIM_THRESHOLD, KEPT))
