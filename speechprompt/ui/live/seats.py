"""What the Live tab does: from a chunk of sound to what the page shows.

A `LiveDesk` keeps a seat for everybody who is listening: a Listener, its answers and when sound came
last. Seats are few, are taken back from whoever has gone, and never outlast LIMIT_SECONDS.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import gradio as gr
import numpy as np

from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.segments import per_word
from speechprompt.live.event import Event
from speechprompt.live.listener import Listener
from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.complaints import sentence
from speechprompt.ui.controls import Update, chosen, panel
from speechprompt.ui.desk import Desk
from speechprompt.ui.live import figures as live_figures
from speechprompt.ui.session import Session
from speechprompt.ui.visitors import ADDRESS

MAX_SEATS = 4  # each takes about a tenth of a core while somebody speaks
LIMIT_SECONDS = 300.0  # of listening, then one has to start again
GONE_SECONDS = 15.0  # without sound; a page that listens sends it ten times a second
SHARED_SECONDS = 30.0  # after which a seat of an address with several goes to one that has fewer
BEHIND_SECONDS = 0.4  # a chunk that is longer was held up: provisional answers are left out
MAX_PCM_CHARACTERS = 4_000_000  # 6 s of 16 bits at 192 kHz in base64, and some
ANSWERS_KEPT = 10


@dataclass(eq=False)
class Seat:
    """One page that listens."""

    listener: Listener
    asked: tuple[str, str]  # backbone, task
    last_sound: float  # when sound came last, by the desk's clock
    began: float = 0.0
    address: str = ""  # where it listens
    answers: deque[Event] = field(default_factory=lambda: deque(maxlen=ANSWERS_KEPT))
    current: Event | None = None
    lock: Lock = field(default_factory=Lock)


class LiveDesk:
    """Who listens, and what they are told. clock: seconds, for tests."""

    def __init__(self, desk: Desk, clock: Callable[[], float] = time.monotonic) -> None:
        self.desk, self.choices = desk, Choices(desk, per_word, desk.complete())
        self._clock = clock
        self._seats: dict[str, Seat] = {}
        self._lock = Lock()  # of the seats
        self._working = Lock()  # held while somebody's sound is heard

    # Seats

    def sit(self, backbone: str, task: str, address: str = "", session: Session | None = None) -> str:
        """A seat for somebody at an address who begins to listen; SpeechPromptError when all are taken."""
        if backbone not in self.desk.complete():
            raise SpeechPromptError(f"Backbone {str(backbone)[:80]!r} cannot listen here: choose another.")
        prompt = self.desk.prompt(task, backbone, session)
        if not per_word(prompt):
            raise SpeechPromptError(
                f"{prompt.title} needs more than a word: record a sentence on the Try tab."
            )
        listener = Listener(self.desk.pipeline_of(prompt, backbone), task)
        with self._lock:
            now = self._clock()
            self._seats = {
                key: seat
                for key, seat in self._seats.items()
                if now - seat.last_sound < GONE_SECONDS and now - seat.began < LIMIT_SECONDS
            }
            if len(self._seats) >= MAX_SEATS:
                self._share(address, now)
            if len(self._seats) >= MAX_SEATS:
                raise SpeechPromptError(
                    f"{MAX_SEATS} people are listening at once, which is as many as can: try again in a minute."
                )
            token = secrets.token_hex(16)
            self._seats[token] = Seat(listener, (backbone, task), now, now, address)
        return token

    def _share(self, address: str, now: float) -> None:
        """Take a seat back from the address with most, where somebody at another would still have fewer then."""
        held = Counter(seat.address for seat in self._seats.values())
        fullest, most = held.most_common(1)[0]
        old = [k for k, s in self._seats.items() if s.address == fullest and now - s.began >= SHARED_SECONDS]
        if old and most >= held[address] + 2:
            del self._seats[old[0]]

    def leave(self, token: str | None) -> None:
        """Give a seat back; also called when a page is closed."""
        with self._lock:
            self._seats.pop(token or "", None)

    def seat(self, token: str | None) -> Seat:
        with self._lock:
            seat = self._seats.get(token or "")
            if seat is None:
                raise SpeechPromptError(
                    "Listening ended, as nothing was heard for a while or others had no seat: start again."
                )
            return seat

    # Events of the page

    def receive(
        self,
        token: str | None,
        task: str,
        backbone: str,
        event: gr.EventData,
        request: gr.Request | None = None,
        session: Session | None = None,
    ) -> tuple[Update, Update, str | None]:
        """Start, a chunk of sound, or stop: the microphone's reply, what is shown, the seat from now on.

        session: the visitor's, whose own tasks can be asked too.
        """
        message = event._data if isinstance(event._data, dict) else {}
        sequence = message.get("sequence")
        try:
            if message.get("kind") == "start":
                self.leave(token)
                scope = {} if request is None or request.request is None else request.request.scope
                address = scope.get(ADDRESS, "")
                token = self.sit(backbone, task, address, session)
                return reply(sequence, "listening"), shown(None), token
            seat = self.seat(token)
            with seat.lock:
                events = self.listen(seat, task, backbone, message, session)
                if message.get("kind") == "stop":
                    events += seat.listener.finish()
                keep(seat, events)
                full = max(seat.listener.seconds, self._clock() - seat.began) >= LIMIT_SECONDS
                state = "hearing" if seat.listener.speaking else "listening"
                answer = shown(seat, [e for e in events if e.final])
            if message.get("kind") == "stop" or full:
                self.leave(token)
                limit = f"Listening ended after {LIMIT_SECONDS / 60:g} minutes: start again to go on."
                return reply(sequence, "off", limit if full else ""), answer, None
            return reply(sequence, state), answer, token
        except Exception as error:
            self.leave(token)
            what = f"The Live tab could not answer task {task!r} on backbone {backbone!r}"
            return reply(sequence, "off", sentence(error, what)), gr.skip(), None

    def listen(
        self, seat: Seat, task: str, backbone: str, message: dict[str, Any], session: Session | None = None
    ) -> list[Event]:
        """Feed a message's sound, if it holds any, to the seat's listener."""
        # While another task is chosen, the page still names a backbone of the one before for a moment.
        if (backbone, task) != seat.asked and backbone in self.choices.offered(session).get(task, []):
            prompt = self.desk.prompt(task, backbone, session)
            seat.listener.ask(self.desk.pipeline_of(prompt, backbone), task)
            seat.asked, seat.current = (backbone, task), None
        if not message.get("pcm"):
            return []
        rate, samples = decode_chunk(message)
        seat.last_sound = self._clock()
        # Whoever is behind, or meets somebody else at work, does without provisional answers.
        free = self._working.acquire(blocking=False)
        try:
            return seat.listener.feed(rate, samples, free and len(samples) < BEHIND_SECONDS * rate)
        finally:
            if free:
                self._working.release()

    def choose_task(self, task: str, backbone: str, session: Session | None = None) -> tuple[Update, Update]:
        """Another task: the backbone that is right most often, and what can be said."""
        return self._offer(task, backbone, "", session)

    def choose_backbone(
        self, task: str, backbone: str, session: Session | None = None
    ) -> tuple[Update, Update]:
        """Another backbone: see choose_task; one without the task gives way to one that has it."""
        return self._offer(task, backbone, backbone, session)

    def _offer(self, task: str, was: str, wanted: str, session: Session | None) -> tuple[Update, Update]:
        name = self.choices.backbone_of(task, wanted, session)
        if name not in self.choices.offered(session).get(task, []):
            return gr.skip(), gr.skip()
        options = self.choices.backbone_options(task, session)
        return chosen(was, name, options), gr.HTML(self.choices.words(task, name, session))

    def refresh(self, task: str, session: Session) -> Update:
        """The tab was opened: tasks may have been taught since."""
        if task not in self.choices.offered(session):
            return gr.skip()
        return chosen(task, task, self.choices.task_options("", session))


def decode_chunk(message: dict[str, Any]) -> tuple[int, np.ndarray]:
    """{"rate": Hz, "pcm": base64 of 16-bit little-endian mono samples} -> rate, int16 [T]."""
    rate, pcm = message.get("rate"), message.get("pcm")
    if type(rate) is not int or not isinstance(pcm, str):
        raise SpeechPromptError("The page sent something that is no sound: reload it.")
    if len(pcm) > MAX_PCM_CHARACTERS:
        raise SpeechPromptError("The page sent too much sound at once: start again.")
    try:
        data = base64.b64decode(pcm, validate=True)
        return rate, np.frombuffer(data, "<i2")
    except (binascii.Error, ValueError) as error:
        raise SpeechPromptError("The page sent something that is no sound: reload it.") from error


def keep(seat: Seat, events: list[Event]) -> None:
    """Note what was answered last, and the last ten answers that are final."""
    for event in events:
        if event.kind == "label":
            seat.current = event
        if event.final:
            seat.answers.appendleft(event)
        if event.kind == "end" and seat.current is not None and not seat.current.final:
            seat.current = None  # provisional, and in the end there was no answer


def reply(sequence: Any, state: str, message: str = "") -> gr.HTML:
    """What the microphone learns: which message was answered, and "listening", "hearing" or "off"."""
    number = sequence if type(sequence) is int else 0
    return gr.HTML(reply={"sequence": number, "state": state, "message": message})


def shown(seat: Seat | None, final: list[Event] | None = None) -> gr.HTML:
    """The panel; a screen reader says final answers only."""
    if seat is None:
        return panel(live_figures.panel(None, [], [], 0.0))
    html = live_figures.panel(seat.current, list(seat.answers), seat.listener.ribbon, seat.listener.seconds)
    if not final:
        return gr.HTML(value=html)
    return panel(html, "; ".join(f"{e.label}, {figures.percent(e.score)}" for e in final))
