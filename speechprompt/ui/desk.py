"""The models that the page serves: each backbone's pipeline, loaded when first asked for, and who answers."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Protocol

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.audio.segmenter import stretches_of_speech
from speechprompt.backbone import Backbone
from speechprompt.decoding.answer import Answer
from speechprompt.decoding.no_speech import check_speech
from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.segments import Segment, Segments, on_words
from speechprompt.machine.device import choose_device
from speechprompt.machine.request_time import check_time
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.bundled import list_backbones
from speechprompt.storage.hub import parse
from speechprompt.ui.comparison import Row, compare
from speechprompt.ui.session import Session
from speechprompt.units import parse_units

log = logging.getLogger(__name__)

FROM_HUB = "SPEECHPROMPT_PROMPTS"  # repositories of prompts, with spaces between, that an app begins with
EXPIRED = "The recording is no longer on the server: record or choose it again."


class Lender(Protocol):
    """A device that is lent for one request at a time (zero_gpu.LentGpu)."""

    def compare(
        self, waveform: np.ndarray, asked: Sequence[tuple[str, str]]
    ) -> list[tuple[Answer | None, str]] | None:
        """Answer or error of each (backbone, task); None when nothing can be lent."""


class Desk:
    """The backbones on offer, their pipelines once loaded, and the example clips.

    default: a bundled backbone's name or the folder of one. examples: the folder of examples.json.
    """

    def __init__(
        self, default: str | Path = "mini", examples: Path | None = None, device: str = "auto"
    ) -> None:
        self.device = choose_device(device)
        first = Backbone.load(default, self.device)
        others = [Backbone.load(name, self.device) for name in list_backbones() if name != first.name]
        self.backbones: dict[str, Backbone] = {backbone.name: backbone for backbone in (first, *others)}
        self.default = first.name
        self.examples_folder = examples
        self.clips: list[dict[str, Any]] = []
        if examples is not None and (examples / "examples.json").is_file():
            self.clips = json.loads((examples / "examples.json").read_text(encoding="utf-8"))
        self.longest = 3600.0  # seconds of a recording that is answered stretch by stretch
        self.lender: Lender | None = None  # answers everybody's tasks instead of this device, when it can
        self._pipelines: dict[str, SpeechPrompt] = {}
        self._lock = Lock()
        self.add_prompts(os.environ.get(FROM_HUB, "").split())

    # What is here

    def add_prompts(self, addresses: Sequence[str]) -> None:
        """Take prompts from the Hub among everybody's tasks; one that cannot be had is logged and left out."""
        for address in addresses:
            try:
                prompt = Prompt.from_pretrained(*parse(address))
                backbone = self.backbone(prompt.backbone)
                backbone.check_fits(prompt)
                backbone.prompts[prompt.task] = prompt
            except SpeechPromptError as error:
                log.warning("%s is not among the tasks: %s", address[:200], error)

    def backbone(self, name: str) -> Backbone:
        if name not in self.backbones:
            known = ", ".join(self.backbones)
            raise SpeechPromptError(f"There is no backbone {str(name)[:80]!r} here; choose one of: {known}.")
        return self.backbones[name]

    def complete(self) -> dict[str, Backbone]:
        """The backbones that can encode audio and answer about it, by name."""
        return {name: b for name, b in self.backbones.items() if b.complete}

    def prompts(self, backbone: str, session: Session | None = None) -> dict[str, Prompt]:
        """The tasks on offer for a backbone: everybody's, then the session's own."""
        return self.backbone(backbone).prompts | (session.taught(backbone) if session is not None else {})

    def prompt(self, task: str, backbone: str, session: Session | None = None) -> Prompt:
        """The prompt of a task, the session's own before everybody's; SpeechPromptError when there is none."""
        taught = session.taught(backbone) if session is not None else {}
        return taught[task] if task in taught else self.backbone(backbone).prompt(task)

    def pipeline(self, name: str) -> SpeechPrompt:
        """The loaded models of a backbone; loading takes a moment the first time."""
        backbone = self.backbone(name)
        with self._lock:
            if name not in self._pipelines:
                self._pipelines[name] = SpeechPrompt(backbone)
            return self._pipelines[name]

    def pipeline_of(self, prompt: Prompt, backbone: str) -> SpeechPrompt:
        """The pipeline that answers with a prompt: the shared one, or one of a session's own prompt alone."""
        here = self.backbone(backbone)
        return (
            self.pipeline(backbone)
            if here.prompts.get(prompt.task) is prompt
            else SpeechPrompt(here, [prompt])
        )

    def warm_up(self) -> Thread:
        """Load the default backbone and run it once, beside the server's start."""

        def run() -> None:
            try:
                pipeline = self.pipeline(self.default)
                noise = np.random.default_rng(0).normal(0, 0.1, audio.SAMPLE_RATE).astype(np.float32)
                # as units: tasks that expect speech refuse noise
                pipeline.classify_units(pipeline.backbone.listen([noise]), pipeline.tasks[:1])
            except SpeechPromptError as error:  # the page shows it to whoever asks; the server keeps running
                log.warning("Backbone %s is not ready: %s", self.default, error)

        thread = Thread(target=run, name="warm-up", daemon=True)
        thread.start()
        return thread

    # Answers

    def compare(
        self, waveform: np.ndarray, asked: Sequence[tuple[str, str]], session: Session | None = None
    ) -> list[Row]:
        """Ask each (backbone, task) about a recording (float32 [T], 16 kHz): one row each, in the order asked.

        Everybody's tasks go to the lender where there is one; without it, and where it has nothing to lend, this
        machine answers. session: whose own tasks can be asked too.
        """
        prompts = [self.prompt(task, backbone, session) for backbone, task in asked]
        shared = all(
            self.backbones[backbone].prompts.get(task) is prompt
            for (backbone, task), prompt in zip(asked, prompts, strict=True)
        )
        lent = self.lender.compare(waveform, asked) if self.lender is not None and shared else None
        if lent is not None:
            return [
                Row(self.backbones[backbone], prompt, *found)
                for (backbone, _), prompt, found in zip(asked, prompts, lent, strict=True)
            ]
        pipelines = [
            (self.pipeline_of(prompt, backbone), task)
            for (backbone, task), prompt in zip(asked, prompts, strict=True)
        ]
        return compare(waveform, pipelines)

    def classify(
        self, path: str | None, task: str, backbone: str, ids: str | None = "", session: Session | None = None
    ) -> tuple[Answer, Prompt, np.ndarray | None]:
        """Answer one task about the recording at `path`, or without an encoder about units as text.

        Also its prompt, and its waveform where there is one. session: whose own tasks can be asked too.
        """
        here = self.backbone(backbone)
        if not here.has_encoder:
            if not (ids or "").strip():
                raise SpeechPromptError(units_only(here))
            return self.classify_units(ids or "", task, backbone, session)
        row, _, waveform = self.ask(path, task, backbone, session)
        if row.answer is None:
            raise SpeechPromptError(row.error)
        return row.answer, row.prompt, waveform

    def ask(
        self,
        path: str | None,
        task: str,
        backbone: str,
        session: Session | None = None,
        also: Sequence[str] = (),
    ) -> tuple[Row, list[Row], np.ndarray]:
        """Ask a task, and in the same pass others of its backbone, about the recording at `path`.

        The task's row, the others' in their order, and the waveform. session: whose own tasks can be asked too.
        """
        prompt = self.prompt(task, backbone, session)  # an unknown task is refused before a file is decoded
        waveform = load_recording(path)
        check_speech(waveform, [prompt])
        first, *others = self.compare(waveform, [(backbone, name) for name in (task, *also)], session)
        return first, others, waveform

    def segments(self, waveform: np.ndarray | None, prompt: Prompt, backbone: str) -> list[Segment]:
        """The answers of a task on words about each of several in a recording; none where there is only one."""
        if waveform is None or not on_words(prompt) or len(stretches_of_speech(waveform)) < 2:
            return []
        return list(Segments(self.pipeline_of(prompt, backbone), (audio.SAMPLE_RATE, waveform), prompt.task))

    def classify_units(
        self, text: str, task: str, backbone: str, session: Session | None = None
    ) -> tuple[Answer, Prompt, None]:
        """Answer one task about units as text, with its prompt."""
        prompt = self.prompt(task, backbone, session)
        pipeline = self.pipeline_of(prompt, backbone)
        return pipeline.classify_units([parse_units(text)], [task])[0][0], prompt, None


def load_recording(path: str | None, max_seconds: float = audio.MAX_SECONDS) -> np.ndarray:
    """The waveform (float32 [T], 16 kHz) of a file that was sent to the server."""
    if path is not None and not Path(path).is_file():
        raise SpeechPromptError(EXPIRED)
    waveform = audio.load(path, max_seconds)  # type: ignore[arg-type]  # None has its own sentence there
    check_time()
    return waveform


def units_only(backbone: Backbone) -> str:
    """What is missing without an encoder, and what can be done all the same."""
    return f"{backbone.missing}{' Or give it units.' if backbone.has_lm else ''}"
