"""The desk behind the Live tab: chunks from pages, seats for few, one sentence for what is wrong."""

from __future__ import annotations

import base64
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from speechprompt.decoding.answer import Answer, Likely, Step
from speechprompt.errors import SpeechPromptError
from speechprompt.live.event import Event
from speechprompt.live.listener import Listener
from speechprompt.ui.complaints import UNEXPECTED
from speechprompt.ui.desk import Desk
from speechprompt.ui.live import figures as live_figures
from speechprompt.ui.live import seats as live_desk
from speechprompt.ui.live.seats import MAX_SEATS, LiveDesk
from speechprompt.ui.page import build
from speechprompt.ui.session import Session
from speechprompt.units import Units
from tests import tiny
from tests.streams import RATE, in_a_row, room

HOSTILE = "<script>alert('a')</script>\"&`${x}"


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
    assert "Start listening, then speak" in panel.value and token
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
