"""Listening to a stream: words in a row, noise, silence, any chunks, ten minutes; and the desk behind the tab."""

from __future__ import annotations

import base64
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
import torchaudio

from speechprompt.audio import load as audio
from speechprompt.audio.resampling import Resampler
from speechprompt.audio.voice_activity import HOP, WINDOW, VoiceDetector, band_levels
from speechprompt.decoding.answer import Answer, Likely, Step
from speechprompt.errors import SpeechPromptError
from speechprompt.live.event import Event
from speechprompt.live.listener import RIBBON_SECONDS, Listener
from speechprompt.pipeline import SpeechPrompt
from speechprompt.ui.complaints import UNEXPECTED
from speechprompt.ui.desk import Desk
from speechprompt.ui.live import figures as live_figures
from speechprompt.ui.live import seats as live_desk
from speechprompt.ui.live.seats import MAX_SEATS, LiveDesk
from speechprompt.ui.page import build
from speechprompt.ui.session import Session
from speechprompt.units import Units
from tests import tiny

EXAMPLES = Path(__file__).parents[2] / "examples"
RATE = audio.SAMPLE_RATE
HOSTILE = "<script>alert('a')</script>\"&`${x}"


@pytest.fixture(scope="module")
def mini() -> SpeechPrompt:
    return SpeechPrompt.from_pretrained("mini", "cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SpeechPrompt:
    return SpeechPrompt.from_pretrained(tiny.make_backbone(tmp_path_factory.mktemp("tiny")), "cpu")


def room(seconds: float, level: float = -55.0, seed: int = 0) -> np.ndarray:
    """float32: noise as in a quiet room, falling by 3 dB an octave, at `level` dBFS."""
    n = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / RATE), 50))
    noise = np.fft.irfft(spectrum, n)
    return (noise / np.sqrt((noise**2).mean()) * 10 ** (level / 20)).astype(np.float32)


def sounding(clip: np.ndarray) -> tuple[float, float]:
    """Seconds from which and to which a clip is within 30 dB of its loudest 10 ms, rumble left out."""
    spectrum = np.fft.rfft(clip)
    spectrum[np.fft.rfftfreq(len(clip), 1 / RATE) < 150] = 0
    frames = np.fft.irfft(spectrum, len(clip))[: len(clip) // 160 * 160].reshape(-1, 160)
    level = 10 * np.log10((frames**2).mean(1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - 30)
    return loud[0] / 100, (loud[-1] + 1) / 100


def in_a_row(names: list[str], pause: float = 0.3, level: float = -55.0) -> tuple[np.ndarray, list[tuple]]:
    """Clips with pauses in a room's noise; and where each sounds, in seconds."""
    parts, spans, at = [np.zeros(RATE // 2, np.float32)], [], 0.5
    for name in names:
        clip = audio.load(EXAMPLES / f"{name}.flac")
        first, last = sounding(clip)
        parts += [clip, np.zeros(int(pause * RATE), np.float32)]
        spans.append((at + first, at + last))
        at += (len(parts[-2]) + len(parts[-1])) / RATE
    sound = np.concatenate([*parts, np.zeros(RATE // 2, np.float32)])
    return sound + room(len(sound) / RATE, level)[: len(sound)], spans


def play(
    listener: Listener, sound: np.ndarray, rate: int = RATE, chunk: float = 0.1, **how: Any
) -> list[Event]:
    step = max(1, int(chunk * rate))
    events = []
    for at in range(0, len(sound), step):
        events += listener.feed(rate, sound[at : at + step], **how)
    return events


def facts(events: list[Event]) -> list[tuple]:
    return [
        (e.kind, round(e.start, 2), round(e.end, 2), round(e.decided, 2), e.label, e.final) for e in events
    ]


# Resampling


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_in_chunks_gives_what_resampling_at_once_gives(rate: int) -> None:
    sound = np.random.default_rng(rate).normal(0, 0.1, int(0.5 * rate) + 7).astype(np.float32)
    at_once = torchaudio.functional.resample(torch.from_numpy(sound), rate, RATE).numpy()
    for sizes in ([len(sound)], [1, 2, 3, 500, 4095], [997]):
        resampler, parts, at = Resampler(rate), [], 0
        while at < len(sound):
            size = sizes[len(parts) % len(sizes)]
            parts.append(resampler.feed(sound[at : at + size]))
            at += size
        parts.append(resampler.finish())
        together = np.concatenate(parts)
        assert len(together) == len(at_once)
        np.testing.assert_allclose(together, at_once, atol=2e-5)


def test_resampling_neither_drifts_nor_grows() -> None:
    resampler, n = Resampler(44_100), 0
    block = np.zeros(4_409, np.float32)
    for _ in range(600):
        n += len(resampler.feed(block))
        assert len(resampler._input) < 200
    n += len(resampler.finish())
    assert n == -(-600 * 4_409 * 160 // 441)


# Voice activity


def test_levels_are_those_of_the_bands() -> None:
    t = np.arange(RATE) / RATE
    for hertz, loud, soft in ((500, 0, 1), (4000, 1, 0)):
        levels = band_levels((0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32))
        assert len(levels) == (RATE - WINDOW) // HOP + 1
        assert levels[:, loud] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.5)
        assert levels[:, soft].max() < -60
    assert band_levels((0.5 * np.sin(2 * np.pi * 50 * t)).astype(np.float32)).max() < -45  # mains hum


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


def test_a_detector_that_was_shaken_by_a_noise_hears_words_again() -> None:
    sound, spans = in_a_row(["yes", "right"], 0.6, -40)
    detector = VoiceDetector()
    before = len(room(6, -60)) // HOP
    changes = list(detector.feed(np.r_[room(6, -60), room(4, -40), sound]))
    begins = [at - before - 400 for at, change in enumerate(changes) if change == "begin"]
    late = [at / 100 for at in begins if at > 0]
    assert late == pytest.approx([first for first, _ in spans], abs=0.15)


# Words


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


# Chunks


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


# The desk


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tiny.make_backbone(tmp_path_factory.mktemp("desk")), device="cpu")


@pytest.fixture
def seats(desk: Desk) -> LiveDesk:
    return LiveDesk(desk, Clock())


def state_of(microphone: Any) -> dict[str, Any]:
    """The reply that the microphone gets."""
    return microphone.props["reply"]


def sent(kind: str, sound: np.ndarray | None = None, rate: int = RATE, sequence: Any = 7) -> Any:
    """What the page's script sends."""
    data: dict[str, Any] = {"kind": kind, "sequence": sequence}
    if sound is not None:
        pcm = np.round(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
        data |= {"rate": rate, "pcm": base64.b64encode(pcm).decode()}
    return SimpleNamespace(_data=data)


def test_the_desk_answers_chunks_and_gives_the_seat_back(seats: LiveDesk) -> None:
    microphone, panel, token = seats.receive(None, "colours", "tiny", sent("start"))
    assert state_of(microphone) == {"sequence": 7, "state": "listening", "message": ""}
    assert "What you say appears here" in panel.value and token
    sound, _ = in_a_row(["yes"])
    states, message = [], []
    for at in range(0, len(sound), 1600):
        microphone, panel, token = seats.receive(
            token, "colours", "tiny", sent("sound", sound[at : at + 1600])
        )
        states.append(state_of(microphone)["state"])
        message.append(panel.props.get("summary", ""))
    assert "hearing" in states and states[-1] == "listening"
    label = seats.seat(token).answers[0].label
    assert [text.split(",")[0] for text in message if text] == [label]
    assert panel.value.count("<li data-fits=") == 1 and label in panel.value
    microphone, panel, token = seats.receive(token, "colours", "tiny", sent("stop"))
    assert state_of(microphone)["state"] == "off" and state_of(microphone)["message"] == "" and token is None
    assert label in panel.value and not seats._seats


def test_the_desk_asks_another_task_from_one_chunk_to_the_next(seats: LiveDesk) -> None:
    _, _, token = seats.receive(None, "colours", "tiny", sent("start"))
    sound, _ = in_a_row(["yes"])
    for task in ("fruit", "colours"):
        _, _, token = seats.receive(token, task, "tiny", sent("sound", sound))
        assert seats.seat(token).answers[0].label in seats.desk.pipeline("tiny").prompts[task].labels
    for task, backbone in (("none", "tiny"), ("colours", "mini"), ("colours", "maxi")):  # not yet in step
        microphone, _, token = seats.receive(token, task, backbone, sent("sound", room(0.1)))
        assert state_of(microphone)["state"] == "listening" and seats.seat(token).asked == ("tiny", "colours")
    microphone, _, token = seats.receive(token, "none", "tiny", sent("start"))
    assert "has no task 'none'" in state_of(microphone)["message"] and token is None


def test_seats_are_few_and_taken_back_from_whoever_has_gone(seats: LiveDesk) -> None:
    tokens = [seats.sit("tiny", "colours") for _ in range(MAX_SEATS)]
    microphone, _, token = seats.receive(None, "colours", "tiny", sent("start"))
    assert token is None and state_of(microphone)["state"] == "off"
    assert state_of(microphone)["message"].startswith(f"{MAX_SEATS} people are listening at once")
    seats.leave(tokens[0])  # as gradio does when a page is closed
    seats.leave(seats.sit("tiny", "colours"))
    seats._clock.now = 10.0  # type: ignore[attr-defined]
    seats.receive(tokens[1], "colours", "tiny", sent("sound", room(0.1)))
    seats._clock.now = 20.0  # type: ignore[attr-defined]
    token = seats.sit("tiny", "colours")
    assert set(seats._seats) == {tokens[1], token}
    microphone, _, token = seats.receive(tokens[2], "colours", "tiny", sent("sound", room(0.1)))
    assert token is None and "start again" in state_of(microphone)["message"]


def test_messages_without_sound_hold_no_seat(seats: LiveDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Any = seats._clock
    tokens = [seats.sit("tiny", "colours", "192.0.2.1") for _ in range(MAX_SEATS)]
    for clock.now in (5.0, 10.0, 14.0):
        for token in tokens:
            assert seats.receive(token, "colours", "tiny", sent("sound"))[2] == token
    clock.now = 16.0
    new = seats.sit("tiny", "colours", "192.0.2.2")
    assert set(seats._seats) == {new}
    monkeypatch.setattr(live_desk, "LIMIT_SECONDS", 20.0)  # of time, whatever sound there was
    for clock.now in (20.0, 30.0, 35.0):
        seats.receive(new, "colours", "tiny", sent("sound", room(0.1)))
    clock.now = 37.0
    microphone, _, token = seats.receive(new, "colours", "tiny", sent("sound"))
    assert token is None and "Listening ended after" in state_of(microphone)["message"] and not seats._seats


def test_an_address_with_several_seats_shares_them(seats: LiveDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Any = seats._clock
    monkeypatch.setattr(live_desk, "GONE_SECONDS", 1000.0)
    tokens = [seats.sit("tiny", "colours", "192.0.2.1") for _ in range(MAX_SEATS)]
    with pytest.raises(SpeechPromptError, match="are listening at once"):
        seats.sit("tiny", "colours", "192.0.2.2")  # so soon nobody is sent away
    clock.now = 40.0
    with pytest.raises(SpeechPromptError, match="are listening at once"):
        seats.sit("tiny", "colours", "192.0.2.1")
    others = [seats.sit("tiny", "colours", f"192.0.2.{n}") for n in (2, 3, 4)]
    assert set(seats._seats) == {tokens[-1], *others}
    with pytest.raises(SpeechPromptError, match="are listening at once"):
        seats.sit("tiny", "colours", "192.0.2.5")


def test_starting_again_and_listening_too_long_leave_no_seat_behind(
    seats: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = None
    for _ in range(MAX_SEATS + 2):
        _, _, token = seats.receive(token, "colours", "tiny", sent("start"))
        assert token is not None
    monkeypatch.setattr(live_desk, "LIMIT_SECONDS", 2.0)
    microphone, _, token = seats.receive(token, "colours", "tiny", sent("sound", room(2.5)))
    assert (
        state_of(microphone)["state"] == "off" and "Listening ended after" in state_of(microphone)["message"]
    )
    assert token is None and not seats._seats


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"kind": "sound", "pcm": "AAAA"},
        {"kind": "sound", "rate": 16000, "pcm": ["AAAA"]},
        {"kind": "sound", "rate": 16000, "pcm": "no base 64!"},
        {"kind": "sound", "rate": 16000, "pcm": "AAAAAA=="[:6] + "="},
        {"kind": "sound", "rate": 16000, "pcm": "AAA="[:3] + "A"},
        {"kind": "sound", "rate": 16000, "pcm": "A" * 4_000_004},
        {"kind": "sound", "rate": True, "pcm": "AAAA"},
        {"kind": "sound", "rate": 10**9, "pcm": "AAAAAAAA"},
        {"kind": "start", "sequence": {"a": HOSTILE}},
    ],
)
def test_whatever_a_page_sends_is_answered_by_a_sentence_or_ignored(seats: LiveDesk, data: Any) -> None:
    token = seats.sit("tiny", "colours")
    microphone, _, _ = seats.receive(token, "colours", "tiny", SimpleNamespace(_data=data))
    reply = state_of(microphone)
    assert reply["state"] in ("off", "listening") and type(reply["sequence"]) is int
    assert (reply["state"] == "off") == bool(reply["message"])
    assert "\n" not in reply["message"] and "went wrong on our side" not in reply["message"]


def test_an_unexpected_failure_is_one_sentence_and_frees_the_seat(
    seats: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = seats.sit("tiny", "colours")
    monkeypatch.setattr(Listener, "feed", lambda *a: 1 / 0)
    microphone, _, token = seats.receive(token, "colours", "tiny", sent("sound", room(0.1)))
    assert state_of(microphone)["message"] == UNEXPECTED and token is None and not seats._seats


def test_provisional_answers_are_left_out_by_whoever_is_behind(
    seats: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[bool] = []
    monkeypatch.setattr(
        Listener, "feed", lambda self, rate, samples, provisional: (wanted.append(provisional), [])[1]
    )
    token = seats.sit("tiny", "colours")
    seats.receive(token, "colours", "tiny", sent("sound", room(0.1)))
    seats.receive(token, "colours", "tiny", sent("sound", room(1.0)))
    with seats._working:  # somebody else's sound is being heard
        seats.receive(token, "colours", "tiny", sent("sound", room(0.1)))
    seats.receive(token, "colours", "tiny", sent("sound", room(0.1)))
    assert wanted == [True, False, False, True]


def test_only_tasks_that_make_sense_of_a_word_are_offered_on_backbones_that_hear(seats: LiveDesk) -> None:
    offered = seats.choices.offered()
    assert {"colours", "keyword_spotting", "spoken_digits", "spelled_words"} <= set(offered)
    assert not {"gender", "language_id", "sound_events", "coffee_orders", "intent_classification"} & set(
        offered
    )
    assert all(seats.desk.backbones[name].complete for has in offered.values() for name in has)
    backbone, say = seats.choose_task("keyword_spotting", "tiny")
    assert backbone.value in offered["keyword_spotting"]  # type: ignore[union-attr]
    assert "Say one of" in say.value and "<button" not in say.value  # type: ignore[union-attr]
    assert seats.choose_task("gender", "mini") == (gr.skip(), gr.skip())
    microphone, _, token = seats.receive(None, "colours", "gslm", sent("start"))
    assert token is None and "cannot listen here" in state_of(microphone)["message"]
    microphone, _, token = seats.receive(None, "gender", "mini", sent("start"))
    assert token is None and "needs more than a word" in state_of(microphone)["message"]


def test_who_taught_a_task_can_listen_with_it_and_nobody_else(seats: LiveDesk) -> None:
    session = Session()
    session.keep(replace(seats.desk.backbones["tiny"].prompts["colours"], task="mine", title="My words"))
    assert "My words" in seats.refresh("colours", session).props["options"]  # type: ignore[union-attr]
    assert "My words" not in seats.refresh("colours", Session()).props["options"]  # type: ignore[union-attr]
    sound, _ = in_a_row(["yes"])
    _, _, token = seats.receive(None, "mine", "tiny", sent("start"), None, session)
    seats.receive(token, "mine", "tiny", sent("sound", sound), None, session)
    assert seats.seat(token).answers[0].answer.title == "My words"  # type: ignore[union-attr]
    microphone, _, token = seats.receive(None, "mine", "tiny", sent("start"))
    assert token is None and "has no task 'mine'" in state_of(microphone)["message"]


def test_the_panel_is_bounded_and_escapes() -> None:
    likeliest = (Likely(7, 0.4, HOSTILE * 50),)
    step = Step(HOSTILE * 50, "", 0.5, {HOSTILE * 50: 0.5, "b": 0.4}, 7, 0.4, None, likeliest)
    odds = np.zeros((200, 20), np.float32)
    answer = Answer(
        "words", HOSTILE, HOSTILE * 50, 0.5, [step] * 200, {}, Units.from_frames([1]), odds, "fixed", {}
    )
    scores = {f"{HOSTILE * 50} {i}": 0.5 / (i + 1) for i in range(500)}
    event = Event("label", 1.0, 2.0, 2.2, HOSTILE * 50, 0.5, True, 0.02)
    event = replace(event, fits="no", reason=HOSTILE, scores=scores, answer=answer)
    seat = live_desk.Seat(SimpleNamespace(ribbon=[], seconds=9.0), ("a", "b"), 0.0)  # type: ignore[arg-type]
    live_desk.keep(seat, [event] * 500)
    ribbon = [(i / 50, (i + 1) / 50, i) for i in range(300)]
    html = live_figures.panel(seat.current, list(seat.answers), ribbon, 6.0)
    assert "<script" not in html and html.count('<li data-fits="no">') == 10 and html.count("<li>") == 3
    assert "and 194 more" in html and len(html) < 60_000
    assert "left:0.00%" in html and "left:99.67%" in html


def test_a_provisional_label_goes_when_there_was_no_answer() -> None:
    seat = live_desk.Seat(SimpleNamespace(), ("a", "b"), 0.0)  # type: ignore[arg-type]
    live_desk.keep(seat, [Event("label", 0, 1, 1, "red", 0.6)])
    assert seat.current is not None and not seat.answers
    live_desk.keep(seat, [Event("end", 0, 1, 1.2)])
    assert seat.current is None


def test_the_live_tab_does_not_queue_behind_recordings_or_before_them(desk: Desk) -> None:
    page = build(desk)
    (chunks,) = (fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") == "receive")
    others = {fn.concurrency_id for fn in page.fns.values() if fn is not chunks}
    assert chunks.concurrency_id == "live" and chunks.concurrency_limit == 2 and "live" not in others
    page.close()
