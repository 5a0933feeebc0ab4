"""A request that takes too long ends with a sentence, and only that one."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
import soundfile

from speechprompt.errors import SpeechPromptError
from speechprompt.time_limit import check_time, time_limit
from speechprompt.ui import Desk
from speechprompt.ui import desk as handlers
from tests import tiny


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
