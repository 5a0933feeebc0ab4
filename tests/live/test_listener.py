"""Listening to a stream: words in a row, noise and silence, answers while somebody speaks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from speechprompt.audio import load as audio
from speechprompt.live.event import Event
from speechprompt.live.listener import RIBBON_SECONDS, Listener
from speechprompt.pipeline import SpeechPrompt
from tests.streams import EXAMPLES, RATE, facts, in_a_row, play, room


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.zeros(4 * RATE, np.float32), id="silence"),
        pytest.param(room(6, -30), id="loud room"),
        pytest.param(np.r_[np.zeros(RATE, np.float32), room(4, -45)], id="microphone opens"),
        pytest.param(np.r_[room(3, -65), room(5, -35, 1)], id="a fan starts"),
        pytest.param(np.r_[room(2, -60), room(0.5, -25, 1), room(1, -60)], id="burst of noise"),
        pytest.param(
            (0.1 * np.sin(100 * np.pi * np.arange(3 * RATE) / RATE)).astype(np.float32) + room(3), id="hum"
        ),
        pytest.param(
            room(3) + np.where(np.arange(3 * RATE) % 8000 < 40, 0.5, 0).astype(np.float32), id="clicks"
        ),
    ],
)
def test_nothing_is_answered_where_nobody_speaks(small: SpeechPrompt, sound: np.ndarray) -> None:
    """With a task that has an answer to everything."""
    listener = Listener(small, "colours")
    assert [e for e in play(listener, sound) + listener.finish() if e.kind == "label"] == []
    assert listener.ribbon == []


def test_what_a_task_calls_silence_is_no_answer(mini: SpeechPrompt) -> None:
    sound, _ = in_a_row(["yes"])
    prompt = mini.prompts["keyword_spotting"]
    quiet = SpeechPrompt(mini.backbone, [replace(prompt, form=replace(prompt.form, silence_label="yes"))])
    assert {e.kind for e in play(Listener(quiet, "keyword_spotting"), sound)} == {"begin", "end"}


@pytest.mark.parametrize(
    ("task", "names", "noise"),
    [
        ("keyword_spotting", ["yes", "stop", "right", "yes"], -60),
        ("keyword_spotting", ["right", "yes", "stop"], -48),
        ("spoken_digits", ["three", "seven", "nine"], -55),
        ("arabic_commands", ["arabic_seven", "arabic_cancel"], -55),
    ],
)
def test_words_in_a_row_are_answered_once_each_in_order_and_in_time(
    mini: SpeechPrompt, task: str, names: list[str], noise: float
) -> None:
    sound, spans = in_a_row(names, 0.3, noise)
    events = play(Listener(mini, task), sound)
    final = [e for e in events if e.final]
    alone = [mini.classify(EXAMPLES / f"{name}.flac", [task])[0].label for name in names]
    assert [e.label for e in final] == alone
    assert [e.kind for e in events if e.kind != "label"] == ["begin", "end"] * len(names)
    for event, (first, last) in zip(final, spans, strict=True):
        assert event.start == pytest.approx(first, abs=0.12)
        assert event.decided - last <= 0.35
        assert event.decided - event.end <= 0.205  # the hangover
        assert event.score > 0.5 and event.processing > 0
        assert event.latency >= event.decided - event.end


def test_an_answer_that_is_made_ahead_costs_only_what_is_left_of_it() -> None:
    event = Event("label", 0.0, 1.0, 1.2, "x", 1.0, True, processing=0.15, ahead=0.1)
    assert event.latency == pytest.approx(0.25)
    assert Event("label", 0.0, 1.0, 1.2, "x", 1.0, True, 0.05, 0.1).latency == pytest.approx(0.2)


def test_a_word_is_answered_while_it_is_spoken_and_its_final_answer_is_that_of_the_whole(
    mini: SpeechPrompt,
) -> None:
    sound, ((_, last),) = in_a_row(["yes"])
    events = play(Listener(mini, "keyword_spotting"), sound)
    kinds = [(e.kind, e.final) for e in events]
    assert kinds[0] == ("begin", False) and kinds[-2:] == [("label", True), ("end", False)]
    interim = [e for e in events if e.kind == "label" and not e.final]
    assert interim and interim[0].decided < last
    without = play(Listener(mini, "keyword_spotting"), sound, provisional=False)
    assert facts(without) == [f for f in facts(events) if f[0] != "label" or f[-1]]


def test_provisional_labels_do_not_flicker(small: SpeechPrompt, monkeypatch: pytest.MonkeyPatch) -> None:
    """One odd answer among several of another label does not change what is shown."""
    odds = iter([{"red": 0.9, "blue": 0.1}, {"red": 0.45, "blue": 0.55}, {"red": 0.9, "blue": 0.1}] * 9)

    def answer(units: Any, tasks: Any) -> Any:
        scores = next(odds)
        label = max(scores, key=scores.__getitem__)
        return [[SimpleNamespace(scores=scores, label=label, score=0.5, fits="yes", reason="")]]

    monkeypatch.setattr(small, "classify_units", answer)
    word = audio.load(EXAMPLES / "yes.flac")
    word = word[int(0.18 * RATE) : int(0.8 * RATE)]
    sound = np.r_[room(1), np.tile(word, 3), room(1, seed=1)]
    events = play(Listener(small, "colours"), sound)
    interim = [e for e in events if e.kind == "label" and not e.final]
    assert len(interim) >= 3 and {e.label for e in interim} == {"red"}


def test_long_speech_is_answered_in_pieces_of_eight_seconds(small: SpeechPrompt) -> None:
    clips = [audio.load(EXAMPLES / f"{name}.flac") for name in ("three", "seven", "nine")]
    sound = np.r_[room(1), np.concatenate(clips * 7), room(1, seed=1)] + room(9.1, seed=2)[:1]
    seen: list[int] = []
    listener = Listener(small, "colours")
    listen = small.backbone.listen
    small.backbone.listen = lambda clips: (seen.append(len(clips[0])), listen(clips))[1]  # type: ignore[method-assign]
    try:
        events = play(listener, sound)
    finally:
        small.backbone.listen = listen  # type: ignore[method-assign]
    labels = [e for e in events if e.kind == "label"]
    interim = [e for e in labels if not e.final]
    final = [e for e in labels if e.final]
    assert len(interim) > 15 and max(e.end - e.start for e in interim) <= 4
    assert max(seen) <= (8 + 0.25 + 0.1) * RATE and len(final) == 2
    assert [e.kind for e in events if e.kind != "label"] == ["begin", "end"] * 2
    assert final[0].end - final[0].start == pytest.approx(8, abs=0.06) and final[0].end <= final[1].start
    assert len(listener._runs) <= RIBBON_SECONDS * 50 + 200


def test_stopping_in_the_middle_of_a_word_answers_what_was_heard(mini: SpeechPrompt) -> None:
    sound, ((_, last),) = in_a_row(["yes"])
    listener = Listener(mini, "keyword_spotting")
    assert not any(e.final for e in play(listener, sound[: int(last * RATE)]))
    assert [e.label for e in listener.finish() if e.final] == ["yes"]
    assert not listener.speaking and listener.finish() == []
