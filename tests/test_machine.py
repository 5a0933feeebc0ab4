"""A request that takes too long ends with a sentence, and only that one; freed memory serves the next batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import soundfile

from speechprompt.errors import SpeechPromptError
from speechprompt.machine import check_time, keep_freed_memory, time_limit
from speechprompt.ui import Desk
from speechprompt.ui import desk as handlers
from tests import tiny

# A process of its own, since the setting stays; numpy asks the C library for memory as PyTorch does.
PAGES = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from speechprompt.machine import keep_freed_memory
    keep_freed_memory()
def batch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [np.empty(16 << 20, np.uint8) for _ in range(6)]
    for piece in pieces:
        piece.fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([batch() for _ in range(4)][-1])
"""


def test_the_limit_is_the_blocks_own() -> None:
    check_time()
    with time_limit(60):
        with time_limit(-1), pytest.raises(SpeechPromptError, match="longer than the -1 s"):
            check_time()
        check_time()
        with time_limit(-1):
            other = Thread(target=check_time)  # another request is not concerned
            other.start()
            other.join()
    check_time()


def test_a_slow_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = tiny.make_prompt("spelled", tuple("abc"), answer="sequence", max_steps=400, beams=4)
    desk = Desk(tiny.make_backbone(tmp_path, prompts=(prompt,)), device="cpu")
    soundfile.write(tmp_path / "clip.wav", tiny.make_waveform(), 16_000)
    assert "sp-answer" in desk.answer(str(tmp_path / "clip.wav"), "spelled", "tiny").value
    monkeypatch.setattr(handlers, "MOST_SECONDS", 1e-9)
    ended = desk.answer(str(tmp_path / "clip.wav"), "spelled", "tiny").value
    assert "longer than" in ended and "one request may take" in ended


def pages_fetched(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_memory_is_kept_for_the_next_batch() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc, which alone can be told")
    assert pages_fetched("kept") < 100
    assert pages_fetched("as it comes") > 1000  # else there is no more need for this
