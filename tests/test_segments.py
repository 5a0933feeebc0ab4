"""Several words in one recording: an answer each, in order, at the right time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speechprompt import SpeechPrompt
from speechprompt.audio import load
from speechprompt.audio.segmenter import stretches_of_speech
from speechprompt.segments import on_words
from speechprompt.ui.classify.words import words
from tests.tiny import make_backbone

RATE = 16_000
EXAMPLES = Path(__file__).parents[1] / "examples"


def clip(name: str) -> np.ndarray:
    return load.load(EXAMPLES / f"{name}.flac")


def test_every_word_between_pauses_is_a_span() -> None:
    pause = np.zeros(RATE // 2, np.float32)
    words = [clip(name) for name in ("yes", "stop", "right")]
    found = stretches_of_speech(np.concatenate([part for word in words for part in (word, pause)]))
    edges = np.cumsum([0, *(len(word) + len(pause) for word in words)])
    assert len(found) == 3
    for one, first, after in zip(found, edges, edges[1:], strict=False):
        assert first <= one.start < one.end <= after
    for any_sound in (False, True):
        assert stretches_of_speech(np.zeros(RATE, np.float32), any_sound) == []
        assert stretches_of_speech(np.zeros(10, np.float32), any_sound) == []


def test_words_are_answered_each_and_one_word_as_a_whole(tmp_path: Path) -> None:
    sp = SpeechPrompt.from_pretrained(make_backbone(tmp_path), "cpu")
    assert not on_words(sp.prompt("colours"))
    (whole,) = sp.classify((RATE, clip("yes")), ["colours"])
    (alone,) = sp.segments((RATE, clip("yes")), "colours")
    assert alone.answer.scores == whole.scores and 0 <= alone.start < alone.end
    assert len(list(sp.segments((RATE, 0 * clip("yes")), "fruit"))) == 1  # which has a label for silence


def test_bundled_words_in_one_recording_have_their_labels() -> None:
    sp = SpeechPrompt.from_pretrained("mini", "cpu", prompts=["keyword_spotting"])
    pause = np.zeros(RATE // 2, np.float32)
    several = np.concatenate([clip("yes"), pause, clip("stop"), pause, clip("right")])
    found = list(sp.segments((RATE, several), "keyword_spotting"))
    assert [segment.answer.label for segment in found] == ["yes", "stop", "right"]
    assert on_words(sp.prompt("keyword_spotting"))
    told = found[1].to_dict()
    assert (
        told["answers"]["keyword_spotting"]["label"] == "stop"
        and told["start"] == found[1].start > found[0].end
    )


def test_the_page_shows_the_words_in_a_row_where_they_were_spoken() -> None:
    sp = SpeechPrompt.from_pretrained("mini", "cpu", prompts=["keyword_spotting"])
    several = np.concatenate([clip("yes"), np.zeros(RATE // 2, np.float32), clip("stop")])
    found = list(sp.segments((RATE, several), "keyword_spotting"))
    html = words(found, len(several) / RATE)
    assert html.index(">yes<") < html.index(">stop<") and "2 words with pauses" in html
    assert f"left:{100 * found[1].start * RATE / len(several):.2f}%" in html
    assert words(found[:1], 1.0) == ""
