"""What happens on the Try tab: a recording, a task, a backbone or an example is chosen, and the panel answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.backbone import Backbone
from speechprompt.ui import html
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.answer import result
from speechprompt.ui.complaints import sentence
from speechprompt.ui.controls import Update, panel
from speechprompt.ui.desk import Desk, units_only
from speechprompt.ui.session import Session


class Try:
    """The handlers of the Try tab, over the models of a Desk. session: the visitor's, whose own tasks count too."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.choices = desk, Choices(desk)

    def answer(
        self, path: str | None, task: str, backbone: str, ids: str | None = "", session: Session | None = None
    ) -> gr.HTML:
        """One task about one recording: the answer, or the sentence that says why there is none."""
        try:
            answer, prompt, waveform = self.desk.classify(path, task, backbone, ids, session)
            frozen = self.desk.backbone(backbone).n_parameters
            shown = result(answer, prompt, waveform, self.choices.facts(backbone), frozen)
            summary = f"{answer.title}: {answer.label}, {html.percent(answer.score)}."
            return panel(shown, summary + f" {answer.reason}".rstrip())
        except Exception as error:
            what = f"The page could not answer task {task!r} on backbone {backbone!r}"
            return panel(html.alert(sentence(error, what)))

    def choose_audio(
        self, path: str | None, task: str, backbone: str, shown: int | None, session: Session | None = None
    ) -> tuple[Update, int | None]:
        """The recording changed: recorded, uploaded, trimmed, cleared, or set by an example.

        shown: the example that was clicked last; it is answered already, and its way into the player leads here too.
        """
        if path is None:
            return self.invite(task, backbone, session), None
        if shown is not None and same_file(Path(path), self.choices.clip_path(shown)):
            return gr.skip(), shown
        return self.answer(path, task, backbone, "", session), None

    def choose_task(
        self, path: str | None, task: str, backbone: str, ids: str | None = "", session: Session | None = None
    ) -> gr.HTML:
        """Another task: answer it about the recording or the units that are there, or invite some."""
        there = path if self._backbone(backbone).has_encoder else (ids or "").strip()
        if not there:
            return self.invite(task, backbone, session)
        return self.answer(path, task, backbone, ids, session)

    def choose_backbone(
        self, task: str, backbone: str, session: Session | None = None
    ) -> tuple[Update, Update, Any, Any]:
        """Another backbone: its tasks and examples; a recorder, or without an encoder a field for units."""
        if backbone not in self.desk.backbones:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        here = self.desk.backbones[backbone]
        if task not in self.desk.prompts(backbone, session):
            task = self.choices.first_task(backbone)
        return (
            gr.HTML(value=task, options=self.choices.task_options(backbone, session)),
            gr.HTML(self.choices.example_buttons(backbone)),
            gr.update(visible=here.has_encoder),
            gr.update(visible=here.has_lm and not here.has_encoder),
        )

    def choose_example(self, backbone: str, event: gr.EventData) -> tuple[Any, Update, int | None, Any]:
        """An example was clicked: put it into the player (or its units into their field), choose its task."""
        index = self.choices.example(event._data)
        if index is None or backbone not in self.desk.backbones:
            return gr.skip(), gr.skip(), None, gr.skip()
        clip = self.desk.clips[index]
        task = gr.HTML(value=self.choices.example_task(clip, backbone) or "")
        if "file" not in clip:
            return gr.skip(), task, None, " ".join(map(str, clip["units"]))
        return str(self.choices.clip_path(index)), task, index, gr.skip()

    def invite(self, task: str, backbone: str, session: Session | None = None) -> gr.HTML:
        """Nothing recorded yet, or the recording was cleared."""
        here = self._backbone(backbone)
        if not here.has_encoder:
            return panel(html.note(units_only(here)))
        return panel(html.empty(self.desk.prompts(here.name, session).get(task)))

    def _backbone(self, name: str) -> Backbone:
        """The backbone of that name, or the default for a name that the page never offered."""
        return self.desk.backbones.get(name, self.desk.backbones[self.desk.default])


def same_file(one: Path, other: Path) -> bool:
    return one.is_file() and one.name == other.name and one.read_bytes() == other.read_bytes()
