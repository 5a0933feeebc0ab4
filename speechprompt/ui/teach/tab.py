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


def build(desk: Desk, session: gr.State, try_task: gr.HTML, try_backbone: gr.HTML) -> None:
    """The tab's components and events; a new task goes into the Try tab's list of tasks."""
    at = layout(desk, session, try_task, try_backbone)
    clips, teaching = ClipEvents(at), TeachingDesk(desk, at)

    lesson: list[Any] = [session, at.label, at.clips, at.status]
    named: list[Any] = [session, at.label, at.new]
    at.add.click(clips.add_label, named, [*lesson, at.new], **AT_ONCE)
    at.new.submit(clips.add_label, named, [*lesson, at.new], **AT_ONCE)
    at.rename.click(clips.rename_label, named, [*lesson, at.new], **AT_ONCE)
    at.remove.click(clips.remove_label, [session, at.label], lesson, **AT_ONCE)
    at.clips.click(clips.clip_action, [session, at.label], [*lesson, at.player], **AT_ONCE)
    decoding: dict[str, Any] = {**PRIVATE, **DEVICE_QUEUE}
    recorded: list[Any] = [session, at.label, at.recorder]
    at.recorder.input(clips.add_recording, recorded, [*lesson, at.recorder], **decoding)
    at.files.upload(clips.add_files, [session, at.label, at.files], [*lesson, at.files], **decoding)

    ready: list[Any] = [session, at.panel, try_task, at.use, at.download, at.answer]
    at.tune.click(
        teaching.tune,
        [session, at.title, at.backbone, try_task, try_backbone],
        ready,
        **PRIVATE,
        **TEACHING_QUEUE,
        show_progress="hidden",
    )
    at.cancel.click(teaching.cancel, session, None, **AT_ONCE)
    at.loaded.upload(teaching.load, [session, at.loaded, try_task, try_backbone], ready, **decoding)
    shown: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": at.answer}
    at.trial.input(teaching.try_it, [session, at.trial], at.answer, **decoding, **shown)
    at.push.click(teaching.push, [session, at.repository], at.pushed, **PRIVATE, **TEACHING_QUEUE)
    place_hub(teaching, session, try_task, try_backbone, ready)
