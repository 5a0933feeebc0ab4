"""Recordings of over a minute on the page and for programs: a timeline, as they are read."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from speechprompt.audio.load import load
from speechprompt.labelling.segments import Segment
from speechprompt.ui.classify import long
from speechprompt.ui.classify.events import Try
from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import Endpoints
from tests import tiny

RATE = 16_000
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tiny.make_backbone(tmp_path_factory.mktemp("root")), None, "cpu")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """One of 150 s with words in it, and one of a word."""
    folder = tmp_path_factory.mktemp("clips")
    word = load(EXAMPLES / "yes.flac")
    sound = np.random.default_rng(0).normal(0, 1e-3, 150 * RATE).astype(np.float32)
    for at in range(0, 140, 10):
        sound[at * RATE : at * RATE + len(word)] += word
    soundfile.write(folder / "long.flac", sound, RATE)
    soundfile.write(folder / "short.flac", word, RATE)
    return str(folder / "long.flac"), str(folder / "short.flac")


def test_only_what_is_over_a_minute_is_long(recordings: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    assert [long.is_long(p) for p in (*recordings, None, str(tmp_path / "text.wav"))] == [True, *[False] * 3]


def test_the_try_tab_shows_a_timeline_as_it_grows(desk: Desk, recordings: tuple[str, str]) -> None:
    events = Try(desk)
    assert "longer than a minute" in events.answer(recordings[0], "colours", "tiny").value
    shown = list(events.timeline(recordings[0], "colours", "tiny"))
    panels = [panel.value for panel, _ in shown]
    assert shown[0][1]["visible"] and not shown[-1][1]["visible"]  # there is something to stop, until the end
    assert any("<progress" in panel for panel in panels[1:-1]) and "<progress" not in panels[-1]
    assert "14 stretches of speech in 0:02:30.0" in panels[-1] and panels[-1].count("<tr") == 15
    assert list(events.timeline(recordings[1], "colours", "tiny")) == [(gr.skip(), gr.update(visible=False))]


def test_a_recording_beyond_the_limit_is_refused_with_the_limit(
    desk: Desk, recordings: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "longest", 100.0)
    *_, (panel, _) = Try(desk).timeline(recordings[0], "colours", "tiny")
    assert "150.0 s long and the limit is 100 s" in panel.value


def test_what_was_answered_stays_when_the_time_is_over(
    desk: Desk, recordings: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long, "LONG_SECONDS", 0.0)
    *_, (panel, stop) = Try(desk).timeline(recordings[0], "colours", "tiny")
    assert "minutes, and it came to 0:01:0" in panel.value and panel.value.count("<tr") > 5
    assert not stop["visible"]


def test_programs_get_new_segments_as_they_are_answered(desk: Desk, recordings: tuple[str, str]) -> None:
    told = list(Endpoints(desk).segments(recordings[0], ["colours", "fruit"], "tiny"))
    assert len(told) >= 3 and sum(len(one["segments"]) for one in told) == 14
    assert list(told[0]["segments"][0]["answers"]) == ["colours", "fruit"]
    assert told[-1]["seconds"] == pytest.approx(150) and told[-1]["total"] == 150 and told[-1]["notice"] == ""
    with pytest.raises(gr.Error, match="has no task 'nonsense'"):
        list(Endpoints(desk).segments(recordings[0], ["nonsense"], "tiny"))


def test_the_timeline_is_bounded_and_escapes(desk: Desk, recordings: tuple[str, str]) -> None:
    from types import SimpleNamespace

    answer = SimpleNamespace(label="<b>x", score=0.5, fits="no", reason='"><script>')
    many = [Segment(i, i + 0.5, {"a": answer}) for i in range(4000)]  # type: ignore[dict-item]
    shown = long.shown("<i>", many, 4000.0, 5000.0)
    assert "<script>" not in shown and "<b>x" not in shown and "<i>" not in shown
    assert len(shown) < 150_000 and f"The newest {long.SHOWN} of 4000" in shown
