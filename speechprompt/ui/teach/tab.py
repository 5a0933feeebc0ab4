"""The Teach tab: labels and recordings of the visitor's own become a task. Which event calls which handler."""

from __future__ import annotations

from typing import Any

import gradio as gr

from speechprompt.ui.controls import AT_ONCE, DEVICE_QUEUE, PRIVATE
from speechprompt.ui.desk import Desk
from speechprompt.ui.teach.clips import ClipEvents
from speechprompt.ui.teach.events import TeachingDesk
from speechprompt.ui.teach.from_hub import place as place_hub
from speechprompt.ui.teach.layout import layout

# One teaching at a time, beside the answers: those need not wait for it.
TEACHING_QUEUE: dict[str, Any] = {"concurrency_id": "teaching", "concurrency_limit": 1}


def build(desk: Desk, session: gr.State, try_task: gr.HTML) -> None:
    """The tab's components and events; a new task goes into the Try tab's list of tasks."""
    at = layout(desk, session, try_task)
    teaching = TeachingDesk(desk, at)
    lesson = ClipEvents(teaching)
    decoding: dict[str, Any] = {**PRIVATE, **DEVICE_QUEUE}

    ready: list[Any] = [session, at.panel, try_task, at.use, at.result, at.download, at.answer]
    shown: dict[str, Any] = {"show_progress": "hidden"}
    at.board.input(
        lesson.act,
        [session, at.board, at.title, at.language, try_task],
        [*ready, at.board, at.title, at.language],
        **decoding,
        **shown,
        trigger_mode="multiple",
    )
    asked = [session, at.title, at.backbone, at.language, try_task]
    waiting: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": at.panel}
    at.tune.click(teaching.tune, asked, [*ready, at.board], **PRIVATE, **TEACHING_QUEUE, **waiting)
    at.cancel.click(teaching.cancel, session, None, **AT_ONCE)
    beside: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": at.answer}
    at.trial.input(teaching.try_it, [session, at.trial], at.answer, **decoding, **beside)
    at.push.click(teaching.push, [session, at.repository], at.pushed, **PRIVATE, **TEACHING_QUEUE)
    place_hub(teaching, session, try_task, ready)
