"""A stream in any chunks and formats, bad ones and ten minutes of it."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.live.listener import Listener
from speechprompt.pipeline import SpeechPrompt
from tests.streams import EXAMPLES, RATE, facts, in_a_row, play, room, sounding


def test_the_ribbon_shows_the_units_of_the_last_six_seconds(mini: SpeechPrompt) -> None:
    sound, ((first, last),) = in_a_row(["yes"])
    listener = Listener(mini, "keyword_spotting")
    play(listener, sound)
    ribbon = listener.ribbon
    assert first - 0.3 < ribbon[0][0] and ribbon[-1][1] < last + 0.5
    assert all(a[1] == pytest.approx(b[0]) for a, b in pairwise(ribbon))
    assert all(0 <= unit < 500 for *_, unit in ribbon)
    play(listener, room(6))
    assert listener.ribbon == []


@pytest.fixture(scope="module")
def played(mini: SpeechPrompt) -> tuple[np.ndarray, list[tuple]]:
    sound, _ = in_a_row(["yes", "right"])
    return sound, facts(play(Listener(mini, "keyword_spotting"), sound))


@pytest.mark.parametrize("chunk", [0.004, 0.0173, 0.25, 9.0])
def test_any_chunk_size_gives_the_same_events(mini: SpeechPrompt, played: tuple, chunk: float) -> None:
    sound, expected = played
    assert facts(play(Listener(mini, "keyword_spotting"), sound, chunk=chunk)) == expected


@pytest.mark.parametrize("kind", ["int16", "int32", "float64", "stereo", "44100", "48000", "8000"])
def test_any_format_gives_the_same_answers(mini: SpeechPrompt, played: tuple, kind: str) -> None:
    sound, expected = played
    rate = int(kind) if kind.isdigit() else RATE
    if kind in ("int16", "int32"):
        sound = (sound * np.iinfo(kind).max).astype(kind)
    elif kind == "float64":
        sound = sound.astype(kind)
    elif kind == "stereo":
        sound = np.stack([sound, sound], 1)
    else:
        sound = torchaudio.functional.resample(torch.from_numpy(sound), RATE, rate).numpy()
    found = facts(play(Listener(mini, "keyword_spotting"), sound, rate, provisional=False))
    expected = [fact for fact in expected if fact[0] != "label" or fact[-1]]
    assert [(f[0], f[4]) for f in found] == [(f[0], f[4]) for f in expected]
    for one, other in zip(found, expected, strict=True):
        # The ends of words fade, so a band that 8 kHz do not carry moves them.
        assert one[1:4] == pytest.approx(other[1:4], abs=0.25 if kind == "8000" else 0.033)


@pytest.mark.parametrize(
    ("rate", "samples", "sentence"),
    [
        (RATE, np.zeros(0, np.float32), "The chunk of sound is empty"),
        (RATE, np.array([0.1, np.nan], np.float32), "not numbers"),
        (RATE, np.array([0.1, np.inf]), "not numbers"),
        (RATE, np.zeros((4, 4, 4)), "Samples must be numbers in an array"),
        (RATE, np.zeros((4, 9)), "9 channels"),
        (RATE, np.array(["a"]), "Samples must be numbers in an array"),
        (RATE, np.zeros(61 * RATE, np.int16), "61.0 s long"),
        (4_000, np.zeros(400), "The sampling rate is 4000 Hz"),
        (16_000.5, np.zeros(400), "whole number"),
        (48_000, np.zeros(400), "The sampling rate changed from 16000 to 48000 Hz"),
    ],
)
def test_a_bad_chunk_is_one_sentence_and_leaves_the_stream_as_it_was(
    mini: SpeechPrompt, rate: Any, samples: np.ndarray, sentence: str
) -> None:
    listener = Listener(mini, "keyword_spotting")
    sound, _ = in_a_row(["yes"])
    half = len(sound) // 2
    events = play(listener, sound[:half], provisional=False)
    with pytest.raises(SpeechPromptError, match=sentence) as error:
        listener.feed(rate, samples)
    assert "\n" not in str(error.value)
    events += play(listener, sound[half:], provisional=False)
    assert [e.label for e in events if e.final] == ["yes"]


def test_an_unknown_task_is_one_sentence_and_another_task_can_be_asked(mini: SpeechPrompt) -> None:
    with pytest.raises(
        SpeechPromptError, match="There is no task 'nothing' on backbone mini; its tasks are: "
    ):
        Listener(mini, "nothing")
    listener = Listener(mini, "keyword_spotting")
    sound, _ = in_a_row(["seven"])
    play(listener, room(1))
    listener.ask(mini, "spoken_digits")
    assert [e.label for e in play(listener, sound) if e.final] == ["7"]


def test_ten_minutes_neither_grow_nor_drift(small: SpeechPrompt) -> None:
    word = audio.load(EXAMPLES / "yes.flac")
    first, _ = sounding(word)
    minute = room(60)
    places = np.arange(2.0, 58, 9.3)
    for place in places:
        at = int(place * RATE)
        minute[at : at + len(word)] += word
    listener, sizes, final = Listener(small, "colours"), [], []
    for _ in range(10):
        final += [e for e in play(listener, minute, chunk=1.0, provisional=False) if e.final]
        kept = {name: value for name, value in vars(listener).items() if name != "_pipeline"}
        sizes.append(len(pickle.dumps(kept)))
    assert listener.seconds == 600
    truth = [60 * i + place + first for i in range(10) for place in places]
    assert [e.start for e in final] == pytest.approx(truth, abs=0.05)
    assert max(sizes) < 1.02 * sizes[1]  # minute 2 on: every deque is full
    assert len(listener._segmenter._kept) < RATE
