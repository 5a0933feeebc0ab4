"""A batch finds its memory where the one before left it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from speechprompt.host_memory import keep_freed_memory

# A process of its own, since the setting stays; numpy asks the C library for memory as PyTorch does.
PAGES = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from speechprompt.host_memory import keep_freed_memory
    keep_freed_memory()
def batch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [np.empty(16 << 20, np.uint8) for _ in range(6)]
    for piece in pieces:
        piece.fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([batch() for _ in range(4)][-1])
"""


def pages_fetched(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_memory_is_kept_for_the_next_batch() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc, which alone can be told")
    assert pages_fetched("kept") < 100
    assert pages_fetched("as it comes") > 1000  # else there is no more need for this
