"""What the Teach tab does with labels and clips: the visitor names, records, uploads, plays and deletes.

Every handler takes the visitor's Session, changes that alone, and answers with a sentence when something is
wrong; nothing that was given is lost by a mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.blocks import Block

from speechprompt.audio import load as audio
from speechprompt.audio.silence import is_silent
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import check_time
from speechprompt.teaching.clip_archive import (
    BOUNDS,
    LabelledFile,
    by_table,
    read_sound,
    read_table,
    read_zip,
)
from speechprompt.teaching.lesson import MAX_CLIP_SECONDS
from speechprompt.ui.complaints import sentence
from speechprompt.ui.desk import load_recording
from speechprompt.ui.session import Session
from speechprompt.ui.teach import figures
from speechprompt.ui.teach.layout import Parts

Changes = dict[Block, Any]  # component -> what it becomes; the others stay as they are


def one_sentence(work: Callable[[], str]) -> tuple[str, bool]:
    """Run it: what it says, and whether that is a complaint."""
    try:
        return work(), False
    except Exception as error:
        return sentence(error, "The Teach tab failed"), True


class ClipEvents:
    """The handlers of the Teach tab's labels and clips."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def _shown(
        self,
        session: Session,
        chosen: str,
        status: tuple[str, bool],
        choose: str | None = None,
        new_labels: bool = True,
    ) -> Changes:
        """choose: the label to be chosen from now on; without it the choice stays, which may be another by now.

        new_labels: whether the labels may have changed. If not, the list of them is left alone: an answer that is
        slow to arrive would take away a label added since.
        """
        changes: Changes = {
            self.parts.session: session,
            self.parts.clips: gr.HTML(figures.clip_list(session.by_label())),
            self.parts.status: gr.HTML(figures.status_line(*status)),
        }
        if choose is None and chosen not in session.labels:
            choose = session.labels[0] if session.labels else ""
        options = figures.label_options(session.labels)
        if choose is not None:
            changes[self.parts.label] = gr.HTML(value=choose, options=options)
        elif new_labels:
            changes[self.parts.label] = gr.HTML(options=options)
        return changes

    # Labels

    def add_label(self, session: Session, chosen: str, name: str) -> Changes:
        status = one_sentence(lambda: f"{session.add_label(name)!r} is chosen: record it or give it files.")
        return self._named(session, chosen, status, name)

    def rename_label(self, session: Session, chosen: str, name: str) -> Changes:
        status = one_sentence(lambda: f"{chosen!r} is called {session.rename_label(chosen, name)!r} now.")
        return self._named(session, chosen, status, name)

    def _named(self, session: Session, chosen: str, status: tuple[str, bool], name: str) -> Changes:
        """The label of that name is chosen and its field emptied, unless something was wrong with it."""
        if status[1]:
            return self._shown(session, chosen, status)
        return self._shown(session, chosen, status, name.strip()) | {self.parts.new: ""}

    def remove_label(self, session: Session, chosen: str) -> Changes:
        def work() -> str:
            session.remove_label(chosen)
            return f"{chosen!r} is gone, with its clips."

        return self._shown(session, chosen, one_sentence(work))

    # Clips

    def add_recording(self, session: Session, chosen: str, path: str | None) -> Changes:
        """A recording for the chosen label; the recorder is emptied for the next one."""

        def work() -> str:
            session.check_known(chosen)
            waveform = load_recording(path, MAX_CLIP_SECONDS)
            note = " Nothing can be heard in it: check the microphone." if is_silent(waveform) else ""
            n = 1 + sum(clip.label == chosen for clip in session.clips.values())
            session.add_clips([(chosen, f"Recording {n}", waveform)])
            return f"Recording {n} of {chosen!r} is kept.{note}"

        if path is None:
            return gr.skip()
        status = one_sentence(work)
        return self._shown(session, chosen, status, new_labels=False) | {self.parts.recorder: None}

    def add_files(self, session: Session, chosen: str, paths: list[str] | None) -> Changes:
        """Uploaded files: recordings of the chosen label, a zip of labelled ones, or a CSV with its recordings."""
        if not paths:
            return gr.skip()
        known = list(session.labels)
        status = one_sentence(lambda: take(session, chosen, [Path(path) for path in paths]))
        changes = self._shown(session, chosen, status, new_labels=session.labels != known)
        return changes | {self.parts.files: None}

    def clip_action(self, session: Session, chosen: str, event: gr.EventData) -> Changes:
        """Play or Delete of one clip in the list."""
        data = event._data if isinstance(event._data, dict) else {}
        clip = session.clips.get(data.get("clip", -1)) if type(data.get("clip")) is int else None
        if clip is None:
            return gr.skip()
        if data.get("do") == "delete":
            session.clips.pop(clip.number, None)
            status = (f"{clip.name} of {clip.label!r} is gone.", False)
            return self._shown(session, chosen, status, new_labels=False)
        return {self.parts.player: gr.update(value=(audio.SAMPLE_RATE, clip.samples), visible=True)}


def take(session: Session, chosen: str, paths: list[Path]) -> str:
    """Add uploaded files to the session, all or none: what to say of it, or SpeechPromptError."""
    if not all(path.is_file() for path in paths):
        raise SpeechPromptError("The files are no longer on the server: choose them again.")
    tables = [path for path in paths if path.suffix.lower() == ".csv"]
    archives = [path for path in paths if path.suffix.lower() == ".zip"]
    if len(archives) > 1:
        raise SpeechPromptError("Give one zip at a time.")
    if sum(path.stat().st_size for path in paths) > BOUNDS.all_bytes:
        raise SpeechPromptError(
            f"Together the files have more than {BOUNDS.all_bytes >> 20} MB: choose fewer."
        )
    session.check_room(len(paths) - len(tables) - len(archives), 0)
    files, left_out = read_zip(archives[0]) if archives else ([], 0)
    if tables:
        pairs = [pair for table in tables for pair in read_table(table.read_bytes())]
        session.check_room(len(pairs), 0)
        pairs = [(Path(name).name, label) for name, label in pairs]  # a browser tells no folders
        files += by_table(pairs, {path.name: path for path in paths if path not in (*tables, *archives)})
    elif not archives or len(paths) > len(archives):
        session.check_known(chosen)
        loose = [path for path in paths if path not in archives]
        files += [LabelledFile(chosen, path.name, read_sound(path)) for path in loose]
    decoded: list[tuple[str, str, np.ndarray]] = []
    samples = 0
    for file in files:
        check_time()
        session.check_room(len(files), samples / audio.SAMPLE_RATE)  # before more is decoded
        try:
            decoded.append(
                (file.label, file.name, audio.load({"bytes": file.data, "path": file.name}, MAX_CLIP_SECONDS))
            )
        except SpeechPromptError as error:
            raise SpeechPromptError(f"Nothing was added. {file.name[:60]}: {error}") from error
        samples += len(decoded[-1][2])
    n = session.add_clips(decoded)
    rest = f" {left_out} other file{'s' * (left_out != 1)} in the zip left out." if left_out else ""
    return f"{n} clip{'s' * (n != 1)} added.{rest}"
