"""Nobody is shut out by somebody else: turns, waiting requests, sessions and what they keep."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.ui import fair_queue, session, uploads, visitors
from speechprompt.ui.session import Session
from speechprompt.ui.uploads import Page
from tests import tiny

GREEDY = "127.0.0.2"  # on Linux every address that begins with 127 is this machine


def wait_until(true: Callable[[], bool], seconds: float = 15) -> bool:
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    return true()


def connection_to(address: str, source: str) -> http.client.HTTPConnection:
    place = urlsplit(address)
    return http.client.HTTPConnection(
        place.hostname or "", place.port, timeout=30, source_address=(source, 0)
    )


def join(page: Page, address: str, source: str, session: str, mark: str) -> tuple[int, str]:
    """Ask `classify` through the queue in the name of a session; mark: told to the handler as the task."""
    index = next(i for i, function in page.fns.items() if function.api_name == "classify")
    connection = connection_to(address, source)
    body = {"data": [None, mark, "tiny"], "fn_index": index, "session_hash": session}
    connection.request(
        "POST", "/gradio_api/queue/join", json.dumps(body), {"Content-Type": "application/json"}
    )
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text


@contextmanager
def connected(address: str, session: str, source: str = "127.0.0.1") -> Iterator[None]:
    """A page that is open."""
    connection = connection_to(address, source)
    connection.request("GET", f"/gradio_api/heartbeat/{session}")
    assert connection.getresponse().status == 200
    try:
        yield
    finally:
        connection.close()


@pytest.fixture
def device(
    running_page: Page, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[list[str], threading.Event]]:
    """What `classify` was asked for, in order; it works as soon as the event is set."""
    asked: list[str] = []
    release = threading.Event()

    def work(audio_file: str, task: str, backbone: str) -> dict:
        asked.append(task)
        release.wait(30)
        return {}

    monkeypatch.setattr(next(f for f in running_page.fns.values() if f.api_name == "classify"), "fn", work)
    yield asked, release
    release.set()


def test_a_greedy_client_takes_one_turn_of_many(
    running_page: Page, served: tuple[str, Path], device: tuple[list[str], threading.Event]
) -> None:
    (address, _), (asked, release) = served, device
    came = [join(running_page, address, GREEDY, f"invented{n}", "greedy") for n in range(97)]
    refused = [text for status, text in came if status == 503]
    assert len(refused) == 97 - 1 - fair_queue.MOST_OF_ONE  # one of them is being answered
    assert all("ask again when one of them has been answered" in text for text in refused)
    with ExitStack() as pages:
        for n in range(20):
            pages.enter_context(connected(address, f"page{n}"))
            assert join(running_page, address, "127.0.0.1", f"page{n}", f"honest{n}")[0] == 200
        release.set()
        n_all = 1 + fair_queue.MOST_OF_ONE + 20
        assert wait_until(lambda: len(asked) == n_all), asked
    assert sorted(asked[1:22], key=str) == sorted(["greedy", *(f"honest{n}" for n in range(20))])
    assert asked[22:] == ["greedy"] * (n_all - 22)


def test_an_address_leaves_room_for_others(
    running_page: Page,
    served: tuple[str, Path],
    device: tuple[list[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where it holds a page open for each of its sessions."""
    (address, _), (asked, release) = served, device
    monkeypatch.setattr(fair_queue, "MOST_OF_AN_ADDRESS", 5)
    with ExitStack() as pages:
        for n in range(7):
            pages.enter_context(connected(address, f"many{n}", GREEDY))
        came = [join(running_page, address, GREEDY, f"many{n}", "greedy") for n in range(7)]
        assert [status for status, _ in came] == [200] * 6 + [503] and "The queue is full" in came[-1][1]
        assert join(running_page, address, "127.0.0.1", "other", "honest")[0] == 200
        release.set()
        assert wait_until(lambda: len(asked) == 7)


def test_waiting_requests_and_unread_answers_are_bounded(
    running_page: Page,
    served: tuple[str, Path],
    device: tuple[list[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (address, _), (asked, release) = served, device
    assert join(running_page, address, GREEDY, "large", "x")[0] == 200
    assert wait_until(lambda: bool(asked))
    with monkeypatch.context() as patch:
        patch.setattr(fair_queue, "MOST_BYTES", 2500)
        came = [join(running_page, address, GREEDY, "large", "x" * 1000)[0] for _ in range(4)]
        assert came == [200, 200, 503, 503]
    release.set()
    assert wait_until(lambda: len(asked) == 3)
    monkeypatch.setattr(fair_queue, "MOST_UNREAD", 0)
    status, text = join(running_page, address, GREEDY, "large", "x")
    assert status == 503 and "Fetch the answers" in text


def test_a_session_that_is_not_connected_is_forgotten(
    running_page: Page, served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its labels, its state and the answers that it never fetched; one that is connected stays."""
    page, address = running_page, served[0]
    index = next(i for i, function in page.fns.items() if function.name == "act")
    kept = page.state_holder.session_data

    def add(name: str) -> None:
        connection = connection_to(address, "127.0.0.1")
        given = [None, {"do": "add", "text": "high"}, "Title", "English", "fruit"]
        body = {"data": given, "fn_index": index, "session_hash": name}
        connection.request(
            "POST", "/gradio_api/queue/join", json.dumps(body), {"Content-Type": "application/json"}
        )
        assert connection.getresponse().status == 200
        connection.close()
        assert wait_until(lambda: name in kept and not len(page.fair))

    def labels() -> list[list[str]]:
        return [session.labels for session in list(Session.everybody) if session.labels == ["high"]]

    with connected(address, "stays"):
        for name in ("stays", "goes"):
            add(name)
        assert join(page, address, "127.0.0.1", "goes", "no task")[0] == 200
        assert wait_until(lambda: {"stays", "goes"} <= kept.keys() and len(labels()) == 2)
        assert wait_until(lambda: "goes" in page.fair.pending_messages_per_session and not len(page.fair))
        monkeypatch.setattr(visitors, "ABSENT_SECONDS", -1.0)
        assert wait_until(lambda: not page.forget(page.visitors.absent(100)) and "goes" not in kept)
        assert wait_until(
            lambda: not page.forget(["goes"]) and "goes" not in page.fair.pending_event_ids_session
        )
        assert "stays" in kept and len(labels()) == 1
        # Invented sessions above a number go at once, those longest unseen first.
        monkeypatch.setattr(visitors, "ABSENT_SECONDS", 900.0)
        monkeypatch.setattr(uploads, "MAX_SESSIONS", 3)
        for n in range(6):
            add(f"invented{n}")
        found = [name for name in kept if name.startswith("invented") or name == "stays"]
        assert "stays" in found and "invented5" in found and len(found) <= 4


def test_whoever_has_been_away_makes_room_for_who_teaches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Session, "everybody", set())
    monkeypatch.setattr(session, "MAX_SECONDS_IN_ALL", 25)
    away, busy, new = Session(), Session(), Session()
    clip = ("high", "clip", np.zeros(160_000, np.float32))
    away.add_clips([clip])
    busy.add_clips([clip])
    with pytest.raises(SpeechPromptError, match="Too many people are teaching"):
        new.add_clips([clip])
    away.used -= session.IDLE_SECONDS + 1
    assert new.add_clips([clip]) == 1 and not away.clips and busy.clips
    prompt = tiny.make_prompt("mine")
    monkeypatch.setattr(session, "MAX_PARAMETERS_IN_ALL", int(2.5 * prompt.n_parameters))
    for each in (away, busy):
        each.keep(prompt)
    with pytest.raises(SpeechPromptError, match="Too many people are teaching"):
        new.keep(prompt)
    busy.used -= session.IDLE_SECONDS + 1
    new.keep(prompt)
    assert new.current is prompt and busy.current is None and not busy.clips and away.current is prompt
