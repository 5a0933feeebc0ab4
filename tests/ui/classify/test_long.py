"""Recordings of over a minute on the page and for programs: a timeline, as they are read."""

from __future__ import annotations

from pathlib import Path

import av
import gradio as gr
import numpy as np
import pytest
import soundfile

from speechprompt.audio import libav
from speechprompt.audio.load import load
from speechprompt.labelling.segments import Segment
from speechprompt.ui.classify import long
from speechprompt.ui.classify import tab as try_tab
from speechprompt.ui.classify.events import Try
from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import Endpoints
from speechprompt.ui.session import Session
from tests import tiny

RATE = 16_000
EXAMPLES = Path(__file__).parents[3] / "examples"


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


def asked(session: Session) -> gr.EventData:
    """What the page sends when an answer says that a recording is long."""
    return gr.EventData(None, {"asked": session.asked})


def timeline(desk: Desk, path: str) -> list[str]:
    session = Session()
    return [shown.value for shown in Try(desk).timeline(path, "colours", "tiny", session, asked(session))]


def test_only_what_is_over_a_minute_is_long(desk: Desk, recordings: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    shown = [
        Try(desk).answer(p, "colours", "tiny").value for p in (*recordings, None, str(tmp_path / "text.wav"))
    ]
    assert ["data-long" in one for one in shown] == [True, False, False, False]
    assert "longer than a minute" in shown[0] and "sp-verdict" in shown[1]


def test_one_look_at_a_file_says_that_it_is_short_or_long(
    desk: Desk, recordings: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose header states no length too: what is decoded to answer it says whether it is long."""
    for path in recordings:
        with av.open(str(tmp_path / f"{Path(path).stem}.webm"), "w", options={"live": "1"}) as box:
            stream = box.add_stream("libopus", rate=48_000)
            resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=48_000)
            sound = load(path, 200)[: 65 * RATE]  # long enough to be long
            frame = av.AudioFrame.from_ndarray((sound[None] * 32767).astype(np.int16), "s16", "mono")
            frame.sample_rate = RATE
            for piece in (*resampler.resample(frame), *resampler.resample(None), None):
                for packet in stream.encode(piece):
                    box.mux(packet)
    decoded: list[str] = []
    decode = libav.decode

    def counted(*given: object) -> object:
        decoded.append("libav")
        return decode(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(libav, "decode", counted)
    monkeypatch.setattr("speechprompt.labelling.segments.SoundStream", lambda *_: decoded.append("stream"))
    assert "sp-verdict" in Try(desk).answer(str(tmp_path / "short.webm"), "colours", "tiny").value
    assert decoded == ["libav"]
    assert "data-long" in Try(desk).answer(str(tmp_path / "long.webm"), "colours", "tiny").value
    assert decoded == ["libav", "libav"]


def test_only_a_long_recording_waits_in_the_queue_of_long_ones(desk: Desk) -> None:
    with gr.Blocks() as page:
        try_tab.build(desk, gr.State(Session()))
    waiting = [fn for fn in page.fns.values() if fn.concurrency_id == long.LONG_QUEUE["concurrency_id"]]
    assert [[event for _, event in fn.targets] for fn in waiting] == [["submit"]]  # what the panel sends


def test_the_try_tab_shows_a_timeline_as_it_grows(desk: Desk, recordings: tuple[str, str]) -> None:
    panels = timeline(desk, recordings[0])
    assert all("data-reading" in panel for panel in panels[:-1])  # there is something to stop, until the end
    assert any("<progress" in panel for panel in panels[:-1])
    assert "<progress" not in panels[-1] and "data-reading" not in panels[-1]
    assert "14 stretches of speech in 0:02:30.0" in panels[-1] and panels[-1].count("<tr") == 15


def test_a_timeline_ends_when_something_else_is_asked_for(desk: Desk, recordings: tuple[str, str]) -> None:
    events, session = Try(desk), Session()
    events.answer(recordings[0], "colours", "tiny", "", session)
    old = asked(session)
    going = events.timeline(recordings[0], "colours", "tiny", session, old)
    assert "<progress" in next(going).value
    events.answer(recordings[1], "colours", "tiny", "", session)
    assert list(going) == [gr.skip()]
    for event in (old, gr.EventData(None, None)):  # one that waited for its turn meanwhile
        assert list(events.timeline(recordings[0], "colours", "tiny", session, event)) == [gr.skip()]
    going = events.timeline(recordings[0], "colours", "tiny", session, asked(session))
    next(going)
    events.stop(session)
    assert list(going) == [gr.skip()]


def test_a_recording_beyond_the_limit_is_refused_with_the_limit(
    desk: Desk, recordings: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "longest", 100.0)
    assert "150.0 s long and the limit is 100 s" in timeline(desk, recordings[0])[-1]


def test_what_was_answered_stays_when_the_time_is_over(
    desk: Desk, recordings: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long, "LONG_SECONDS", 0.0)
    panel = timeline(desk, recordings[0])[-1]
    assert "minutes, and it came to 0:01:0" in panel and panel.count("<tr") > 5
    assert "data-reading" not in panel


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
