"""What happens on the Try tab: a recording, a task, a backbone or an example is chosen, and the panel answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from speechprompt.backbone import Backbone
from speechprompt.errors import TooLongError
from speechprompt.ui import html
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.answer import result, shown_label
from speechprompt.ui.classify.long import announced, timeline
from speechprompt.ui.comparison import Row
from speechprompt.ui.complaints import sentence
from speechprompt.ui.controls import Update, chosen, panel
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
        session = session or Session()
        session.ask()
        try:
            here = self.desk.backbone(backbone)
            rows: list[Row] = []
            waveform: np.ndarray | None = None
            if here.has_encoder:
                others = [name for name in here.prompts if name != task]
                row, rows, waveform = self.desk.ask(path, task, backbone, session, others)
                if row.answer is None:
                    return panel(html.alert(row.error))
                answer, prompt = row.answer, row.prompt
            else:
                answer, prompt, _ = self.desk.classify(path, task, backbone, ids, session)
            facts, spoken = self.choices.facts(backbone), self.desk.segments(waveform, prompt, backbone)
            recording = "" if path is None or waveform is None else "/".join(Path(path).parts[-2:])
            shown = result(answer, prompt, waveform, facts, here.n_parameters, rows, spoken, recording)
            summary = f"{answer.title}: {shown_label(answer)}, {html.percent(answer.score)}."
            return panel(shown, f"{summary} {answer.reason}".rstrip())
        except TooLongError:
            return announced(session.asked)
        except Exception as error:
            what = f"The page could not answer task {task!r} on backbone {backbone!r}"
            return panel(html.alert(sentence(error, what)))

    def change(
        self, path: str | None, task: str, backbone: str, ids: str | None = "", session: Session | None = None
    ) -> gr.HTML:
        """A recording or a task was chosen: answer what is there, or invite some."""
        if session is not None:
            session.ask()
        there = path if self._backbone(backbone).has_encoder else (ids or "").strip()
        if not there:
            return self.invite(task, backbone, session)
        return self.answer(path, task, backbone, ids, session)

    def timeline(
        self,
        path: str | None,
        task: str,
        backbone: str,
        session: Session,
        event: gr.EventData,
    ) -> Iterator[Any]:
        """What `answer` found to be long, answered as it is read; nothing where something was asked for since."""
        if event._data == {"asked": session.asked}:
            yield from timeline(self.desk, path, task, backbone, session)
        else:
            yield gr.skip()

    def stop(self, session: Session) -> None:
        """Read a long recording no further."""
        session.ask()

    def choose_task(
        self, task: str, backbone: str, session: Session | None = None
    ) -> tuple[Update, Update, Any, Any]:
        """Another task: the backbone that is right most often, its examples; a recorder or a field for units."""
        return self._offer(task, backbone, "", session)

    def choose_backbone(
        self, task: str, backbone: str, session: Session | None = None
    ) -> tuple[Update, Update, Any, Any]:
        """Another backbone: see choose_task; one without the task gives way to one that has it."""
        return self._offer(task, backbone, backbone, session)

    def _offer(
        self, task: str, was: str, wanted: str, session: Session | None
    ) -> tuple[Update, Update, Any, Any]:
        if was not in self.desk.backbones:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        name = self.choices.backbone_of(task, wanted, session) or was
        here = self.desk.backbones[name]
        return (
            chosen(was, name, self.choices.backbone_options(task, session)),
            gr.HTML(self.choices.say(task, name, session)),
            gr.update(visible=here.has_encoder),
            gr.update(visible=here.has_lm and not here.has_encoder),
        )

    def choose_example(self, event: gr.EventData) -> tuple[Any, Any]:
        """An example was clicked: put it into the recorder, or its units into their field."""
        index = self.choices.example(event._data)
        if index is None:
            return gr.skip(), gr.skip()
        clip = self.desk.clips[index]
        if "file" not in clip:
            return gr.skip(), " ".join(map(str, clip["units"]))
        return str(self.choices.clip_path(index)), gr.skip()

    def invite(self, task: str, backbone: str, session: Session | None = None) -> gr.HTML:
        """Nothing recorded yet, or the recording was cleared."""
        here = self._backbone(backbone)
        if not here.has_encoder:
            examples = self.choices.examples_of(task, here.name)
            heading = "Click an example above: its units are answered at once" if examples else ""
            return panel(html.note(units_only(here), heading))
        return panel(html.empty())

    def _backbone(self, name: str) -> Backbone:
        """The backbone of that name, or the default for a name that the page never offered."""
        return self.desk.backbones.get(name, self.desk.backbones[self.desk.default])
