"""What the page does: from a click to the HTML that answers it.

A `Desk` holds the models, loads each backbone when first asked for, and turns every failure into one
sentence. It knows gradio only for its events and errors; the layout is in blocks.py.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import torch

from speechprompt.audio import load as audio
from speechprompt.backbone import Backbone
from speechprompt.decoding.answer import Answer
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import choose_device, time_limit
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.bundled import list_backbones
from speechprompt.ui import html as figures
from speechprompt.ui.classify import answer as answers
from speechprompt.ui.complaints import sentence
from speechprompt.ui.session import Session
from speechprompt.units import parse_units

if TYPE_CHECKING:
    from speechprompt.ui.zero_gpu import LentGpu

log = logging.getLogger(__name__)

EXPIRED = "The recording is no longer on the server: record or choose it again."
MOST_SECONDS = 60.0  # that one request may keep the device; a minute of speech takes 1 to 4 on two cores
FIRST_TASK = "keyword_spotting"
LANGUAGES = {"en": "English", "ar": "Arabic", "zh": "Mandarin", "lt": "Lithuanian", "de": "German"}
Update = gr.HTML | dict[str, Any]  # the latter is gr.skip()


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
        self.lent: LentGpu | None = None  # answers instead of this device, when it can
        self._pipelines: dict[str, SpeechPrompt] = {}
        self._lock = Lock()

    # Models

    def backbone(self, name: str) -> Backbone:
        if name not in self.backbones:
            known = ", ".join(self.backbones)
            raise SpeechPromptError(f"There is no backbone {str(name)[:80]!r} here; choose one of: {known}.")
        return self.backbones[name]

    def pipeline(self, name: str) -> SpeechPrompt:
        """The loaded models of a backbone; loading takes a moment the first time."""
        backbone = self.backbone(name)
        with self._lock:
            if name not in self._pipelines:
                self._pipelines[name] = SpeechPrompt(backbone)
            return self._pipelines[name]

    def warm_up(self) -> Thread:
        """Load the default backbone and run it once, beside the server's start."""

        def run() -> None:
            try:
                pipeline = self.pipeline(self.default)
                noise = np.random.default_rng(0).normal(0, 0.1, audio.SAMPLE_RATE).astype(np.float32)
                pipeline.classify((audio.SAMPLE_RATE, noise), pipeline.tasks[:1])
            except SpeechPromptError as error:  # the page tells whoever asks; the server goes on
                log.warning("Backbone %s is not ready: %s", self.default, error)

        thread = Thread(target=run, name="warm-up", daemon=True)
        thread.start()
        return thread

    def pipeline_for(self, task: str, backbone: str, session: Session | None = None) -> SpeechPrompt:
        """The pipeline that answers a task: the shared one, or one of the session's own prompt alone."""
        own = session.own(backbone) if session is not None else {}
        if task in own:
            return SpeechPrompt(self.backbone(backbone), [own[task]])
        return self.pipeline(backbone)

    def prompts(self, backbone: str, session: Session | None = None) -> dict[str, Prompt]:
        """The tasks on offer for a backbone: everybody's, then the session's own."""
        return self.backbones[backbone].prompts | (session.own(backbone) if session is not None else {})

    def classify(
        self,
        path: str | None,
        task: str,
        backbone: str,
        ids: str | None = "",
        session: Session | None = None,
    ) -> tuple[Answer, Prompt, np.ndarray | None]:
        """Answer one task about the recording at `path`, or where nothing can listen about units as text.

        Also its prompt, and its waveform where there is one. session: whose own tasks can be asked too.
        """
        here = self.backbone(backbone)
        if not here.has_encoder and not (ids or "").strip():
            raise SpeechPromptError(units_only(here))
        pipeline = self.pipeline_for(task, backbone, session)
        prompt = pipeline.prompt(task)  # an unknown task is said before a long recording is decoded
        with time_limit(MOST_SECONDS):
            if not here.has_encoder:
                answer = pipeline.classify_units([parse_units(ids or "")], [task])[0][0]
                return answer, prompt, None
            waveform = load_recording(path)
        ours = prompt is here.prompts.get(task)
        lent = self.lent.classify(waveform, task, backbone) if self.lent is not None and ours else None
        if lent is not None:
            return lent, prompt, waveform
        with time_limit(MOST_SECONDS):
            answer = pipeline.classify((audio.SAMPLE_RATE, waveform), [task])[0]
            return answer, prompt, waveform

    # Events of the page

    def answer(
        self,
        path: str | None,
        task: str,
        backbone: str,
        ids: str | None = "",
        session: Session | None = None,
    ) -> gr.HTML:
        """One task about one recording: the answer, or the sentence that says why there is none."""
        try:
            answer, prompt, waveform = self.classify(path, task, backbone, ids, session)
            frozen = self.backbone(backbone).n_parameters
            html = answers.result(answer, prompt, waveform, self.facts(backbone), frozen)
            said = f"{answer.title}: {answer.label}, {figures.percent(answer.score)}."
            return panel(html, said + (f" {answers.OUTSIDE}." if answer.flagged else ""))
        except Exception as error:
            what = f"The page could not answer task {task!r} on backbone {backbone!r}"
            return panel(figures.alert(sentence(error, what)))

    def choose_audio(
        self,
        path: str | None,
        task: str,
        backbone: str,
        shown: int | None,
        session: Session | None = None,
    ) -> tuple[Update, int | None]:
        """The recording changed: recorded, uploaded, trimmed, cleared, or set by an example.

        shown: the example that was clicked last; it is answered already, and its way into the player leads here too.
        """
        if path is None:
            return self.invite(task, backbone, session), None
        if shown is not None and same_file(Path(path), self.clip_path(shown)):
            return gr.skip(), shown
        return self.answer(path, task, backbone, "", session), None

    def choose_task(
        self,
        path: str | None,
        task: str,
        backbone: str,
        ids: str | None = "",
        session: Session | None = None,
    ) -> gr.HTML:
        """Another task: answer it about the recording or the units that are there, or invite some."""
        here = self.backbones.get(backbone, self.backbones[self.default])
        there = path if here.has_encoder else (ids or "").strip()
        if not there:
            return self.invite(task, backbone, session)
        return self.answer(path, task, backbone, ids, session)

    def choose_backbone(
        self, task: str, backbone: str, session: Session | None = None
    ) -> tuple[Update, Update, Any, Any]:
        """Another backbone: its tasks and examples; a recorder, or a field for units where nothing listens."""
        if backbone not in self.backbones:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        here = self.backbones[backbone]
        if task not in self.prompts(backbone, session):
            task = self.first_task(backbone)
        return (
            gr.HTML(value=task, options=self.task_options(backbone, session)),
            gr.HTML(self.example_buttons(backbone)),
            gr.update(visible=here.has_encoder),
            gr.update(visible=here.has_lm and not here.has_encoder),
        )

    def choose_example(self, backbone: str, event: gr.EventData) -> tuple[Any, Update, int | None, Any]:
        """An example was clicked: put it into the player (or its units into their field), choose its task."""
        index = event._data.get("index") if isinstance(event._data, dict) else None
        if type(index) is not int or not 0 <= index < len(self.clips) or backbone not in self.backbones:
            return gr.skip(), gr.skip(), None, gr.skip()
        clip = self.clips[index]
        task = gr.HTML(value=self.example_task(clip, backbone) or "")
        if "file" not in clip:
            return gr.skip(), task, None, " ".join(map(str, clip["units"]))
        return str(self.clip_path(index)), task, index, gr.skip()

    def invite(self, task: str, backbone: str, session: Session | None = None) -> gr.HTML:
        """Nothing recorded yet, or the recording was cleared."""
        here = self.backbones.get(backbone, self.backbones[self.default])
        if not here.has_encoder:
            return panel(figures.note(units_only(here)))
        return panel(figures.empty(self.prompts(here.name, session).get(task)))

    # Contents

    def facts(self, backbone: str) -> list[str]:
        return [self.device_text(), f"Backbone {backbone}"]

    def device_text(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        n = torch.get_num_threads()
        here = f"{self.device.type.upper()} · {n} thread{'s' * (n != 1)}"
        return here if self.lent is None else f"ZeroGPU, else {here}"

    def task_options(self, backbone: str, session: Session | None = None) -> str:
        """The backbone's tasks by group, each with its measured accuracy."""
        groups: dict[str, list[tuple[str, str, str]]] = {}
        for task, prompt in self.prompts(backbone, session).items():
            text = f"{prompt.title} · {figures.measured(prompt)}"
            groups.setdefault(prompt.group, []).append((task, text, figures.task_hint(prompt)))
        return figures.options(groups or {"": [("", "No tasks yet", "")]})

    def first_task(self, backbone: str) -> str:
        """The task chosen at first: the one people expect, or whatever there is."""
        prompts = self.backbones[backbone].prompts
        return FIRST_TASK if FIRST_TASK in prompts else next(iter(prompts), "")

    def backbone_options(self) -> str:
        entries = [(b.name, b.title, b.info["description"]) for b in self.backbones.values()]
        return figures.options({"": entries})

    def clip_path(self, index: int) -> Path:
        return Path(self.examples_folder or "", self.clips[index]["file"])

    def example_task(self, clip: dict[str, Any], backbone: str) -> str | None:
        """The first of the clip's tasks that the backbone can answer: about a recording, or its own units."""
        here = self.backbones[backbone]
        if ("file" in clip) != here.has_encoder or clip.get("backbone", backbone) != backbone:
            return None
        return next((task for task in clip["labels"] if task in here.prompts), None)

    def example_buttons(self, backbone: str) -> str:
        here = self.backbones[backbone]
        entries = []
        for index, clip in enumerate(self.clips):
            task = self.example_task(clip, backbone)
            if task is not None:
                language = LANGUAGES.get(clip["language"], clip["language"])
                about = f"{language}. {clip['attribution']}"
                entry = {"index": str(index), "spoken": clip["spoken"], "about": about}
                entries.append(entry | {"task": here.prompts[task].title})
        return figures.examples(entries)


def load_recording(path: str | None) -> np.ndarray:
    """The waveform (float32 [T], 16 kHz) of a file that was sent to the server."""
    if path is not None and not Path(path).is_file():
        raise SpeechPromptError(EXPIRED)
    return audio.load(path)  # type: ignore[arg-type]  # None has its own sentence there


def same_file(one: Path, other: Path) -> bool:
    return one.is_file() and one.name == other.name and one.read_bytes() == other.read_bytes()


def units_only(backbone: Backbone) -> str:
    """What is missing where nothing listens, and what can be done all the same."""
    return f"{backbone.missing}{' Or give it units.' if backbone.has_lm else ''}"


def panel(html: str, summary: str = "") -> gr.HTML:
    """The answer panel's new content; `summary` is what a screen reader says."""
    return gr.HTML(value=html, summary=summary)
