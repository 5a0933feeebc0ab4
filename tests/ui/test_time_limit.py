"""No way of asking takes longer than one request may: with no time left, each answers with that one sentence."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile
import torch
from gradio.state_holder import SessionState

from speechprompt import SpeechPromptError
from speechprompt.audio import load as audio
from speechprompt.backbone import Backbone
from speechprompt.decoding import generation
from speechprompt.labelling.label import label
from speechprompt.live.listener import Listener
from speechprompt.machine import request_time
from speechprompt.models.encoder import UnitEncoder
from speechprompt.ui.comparison import compare
from speechprompt.ui.desk import Desk
from speechprompt.ui.page import build
from speechprompt.ui.session import Session
from speechprompt.ui.uploads import META, Page
from speechprompt.ui.zero_gpu import LentGpu
from speechprompt.units import MAX_TEXT, parse_units
from tests import tiny

SENTENCE = "one request may take"
EXAMPLE = Path(__file__).parents[2] / "examples" / "yes.flac"


def spoken() -> np.ndarray:
    """float32 [T] at 16 kHz: a word in a quiet room, which Live takes for a voice."""
    sound = np.pad(audio.load(EXAMPLE), (16_000, 16_000))
    return (sound + np.random.default_rng(0).normal(0, 1e-3, len(sound))).astype(np.float32)


PCM = base64.b64encode(np.round(32767 * spoken()).astype("<i2").tobytes()).decode()
# Handler -> what it is given; these three stand for a recording, a visitor and their place in Live.
CLIP, SESSION, SEAT = "<clip>", "<session>", "<seat>"
ASKED: dict[str, list[Any]] = {
    "Endpoints.classify": [CLIP, "fruit", "tiny"],
    "Endpoints.compare": [CLIP, ["fruit"], "tiny"],
    "Endpoints.compare_files": [[CLIP], ["fruit"], "tiny"],
    "Endpoints.segments": [CLIP, ["fruit"], "tiny"],
    "Endpoints.units": [CLIP, "tiny"],
    "Endpoints.classify_units": ["1 2 3", "fruit", "tiny"],
    "Try.answer": [CLIP, "fruit", "tiny", "", SESSION],
    "Try.change": [None, "fruit", "deaf", "1 2 3", SESSION],
    "Comparison.change": [CLIP, CLIP, [], ["tiny"]],
    "Comparison.label_files": [[CLIP], [], ["tiny"]],
    "ClipEvents.act": [
        SESSION,
        {"do": "files", "label": "low", "files": [CLIP]},
        "Tones",
        "English",
        "fruit",
    ],
    "TeachingDesk.tune": [SESSION, "Tones", "tiny", "English", "fruit"],
    "TeachingDesk.try_it": [SESSION, CLIP],
    "LiveDesk.receive": [SEAT, "fruit", "tiny", SESSION],
}
QUICK = {
    "Endpoints.tasks",
    "TeachingDesk.push",
    "Try.timeline",
}  # these neither run a model nor read a recording


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    tiny.make_backbone(root, "deaf", encoder=False)
    tiny.make_backbone(root)
    return root


@pytest.fixture(scope="module")
def desk(root: Path) -> Desk:
    """`tiny` and, without an encoder, `deaf`, both in use already."""
    desk = Desk(root / "backbones" / "tiny", None, "cpu")
    desk.backbones["deaf"] = Backbone(root / "backbones" / "deaf")
    desk.pipeline("tiny").classify((16_000, tiny.make_waveform()))
    return desk


@pytest.fixture(scope="module")
def page(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield build(desk)  # type: ignore[misc]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.wav"
    soundfile.write(path, tiny.make_waveform(), 16_000)
    return path


@pytest.fixture
def session(desk: Desk) -> Session:
    """Somebody who has two labels with clips, and a task that was taught."""
    session = Session()
    session.add_clips(
        (word, f"{i}", tiny.make_waveform(0.5, i)) for i, word in enumerate(["low", "high"] * 2)
    )
    session.keep(tiny.make_prompt("mine", sha256=desk.backbones["tiny"].unit_lm_sha256))
    return session


def ask(page: Page, event: Any, given: list[Any]) -> str:
    """Everything that an event answers, or its complaint, as text."""
    state = SessionState(page)
    for block, value in zip(event.inputs, given, strict=True):
        if isinstance(block, gr.State):
            state[block._id] = value
    answers = []

    async def run() -> None:
        sound = gr.EventData(None, {"kind": "stop", "sequence": 1, "rate": 16_000, "pcm": PCM})
        found = await page.process_api(event, given, state, event_data=sound)
        answers.append(found["data"])
        while found["is_generating"]:
            found = await page.process_api(event, [], state, iterator=found["iterator"])
            answers.append(found["data"])

    try:
        with ThreadPoolExecutor(1) as thread:  # playwright leaves a running loop in this one
            thread.submit(asyncio.run, run()).result()
    except gr.Error as error:
        return str(error.message)
    return str(answers)


def test_every_event_that_waits_for_the_models_is_tried_here(page: Page) -> None:
    waiting = [
        e
        for e in page.fns.values()
        if e.concurrency_id in ("device", "live", "long", "teaching") and e.inputs
    ]
    assert {event.fn.__qualname__ for event in waiting} == ASKED.keys() | QUICK


@pytest.mark.parametrize("handler", ASKED)
def test_every_event_and_endpoint_ends_in_time(
    page: Page, clip: Path, session: Session, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = next(event for event in page.fns.values() if getattr(event.fn, "__qualname__", "") == handler)

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if isinstance(value, dict):
            return {name: resolved(item) for name, item in value.items()}
        if value == SEAT:
            return event.fn.__self__.sit("tiny", "fruit")
        if value == CLIP:  # as if it had been uploaded
            folder = page.uploads.folder / "sent"
            folder.mkdir(parents=True, exist_ok=True)
            return {"path": shutil.copy(clip, folder), "meta": META}
        return session if value == SESSION else value

    assert SENTENCE not in ask(page, event, resolved(ASKED[handler]))
    monkeypatch.setattr(request_time, "REQUEST_SECONDS", -1.0)
    assert SENTENCE in ask(page, event, resolved(ASKED[handler]))


def test_labelling_may_take_so_long_for_each_recording(
    desk: Desk, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_time, "REQUEST_SECONDS", -1.0)
    with pytest.raises(SpeechPromptError, match=SENTENCE):
        label(desk.backbones["tiny"], ["fruit"], clip.parent, tmp_path / "labels.csv", 0, progress=False)


def test_a_lent_gpu_works_so_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_time, "REQUEST_SECONDS", -1.0)
    assert desk.compare(tiny.make_waveform(), [("tiny", "fruit")])[
        0
    ].answer  # only whoever serves requests sets it
    found = LentGpu(desk).compare(tiny.make_waveform(), [("tiny", "fruit")])
    assert found is not None and found[0][0] is None and SENTENCE in found[0][1]


def test_units_as_text_are_measured_before_they_are_read(page: Page) -> None:
    event = next(
        event
        for event in page.fns.values()
        if getattr(event.fn, "__qualname__", "") == "Endpoints.classify_units"
    )
    assert "cut them into pieces" in ask(page, event, ["1 " * MAX_TEXT, "fruit", "tiny"])
    with pytest.raises(SpeechPromptError, match="cut them into pieces"):
        parse_units("x" * (MAX_TEXT + 1))  # that this is no unit would be found by reading it
    assert len(parse_units("1 " * (MAX_TEXT // 2))) == MAX_TEXT // 2


@pytest.mark.parametrize("lacking", [(UnitEncoder, "batch"), (generation, "to_batch")])
def test_a_lack_of_memory_is_one_sentence_wherever_it_comes(
    desk: Desk, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[Any, str]
) -> None:
    """Asked of a pipeline, in labelling and live, each of which encodes and answers in its own way."""

    def none_left(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    owner, what = lacking
    monkeypatch.setattr(owner, what, none_left)
    pipeline = desk.pipeline("tiny")
    word = spoken()

    def live() -> None:
        listener = Listener(pipeline, "fruit")
        listener.feed(16_000, word)
        listener.finish()

    ways: list[Any] = [
        lambda: pipeline.classify((16_000, word)),
        lambda: label(pipeline.backbone, ["fruit"], clip.parent, tmp_path / "labels.csv", 0, progress=False),
        live,
    ]
    for way in ways:
        with pytest.raises(SpeechPromptError, match="no memory left"):
            way()
    (row,) = compare(word, [(pipeline, "fruit")])
    assert "no memory left" in row.error
