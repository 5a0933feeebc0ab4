"""What the Teach tab does with labels and clips: the visitor names, records, uploads, plays and deletes.

Every handler takes the visitor's Session, changes that alone, and answers with a sentence when something is
wrong; nothing that was given is lost by a mistake. Each gives the session, the label list, the clips and
what to say, then what else its event fills.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import check_time
from speechprompt.teaching.clip_archive import (
    BOUNDS,
    LabelledFile,
    by_table,
    is_sound,
    read_sound,
    read_table,
    read_zip,
)
from speechprompt.teaching.lesson import MAX_CLIP_SECONDS
from speechprompt.ui.complaints import sentence
from speechprompt.ui.desk import load_recording
from speechprompt.ui.session import Session
from speechprompt.ui.teach import figures as lesson_figures


def one_sentence(work: Callable[[], str]) -> tuple[str, bool]:
    """Run it: what it says, and whether that is a complaint."""
    try:
        return work(), False
    except Exception as error:
        return sentence(error, "The Teach tab failed"), True


def _shown(
    session: Session,
    chosen: str,
    said: tuple[str, bool],
    choose: str | None = None,
    new_labels: bool = True,
) -> tuple[Any, ...]:
    """choose: the label to be chosen from now on; without it the choice stays, which may be another by now.

    new_labels: whether the labels may have changed. If not, the list of them is left alone: an answer that is slow
    to arrive would take away a label added since.
    """
    if choose is None and chosen not in session.labels:
        choose = session.labels[0] if session.labels else ""
    options = lesson_figures.label_options(session.labels)
    if choose is not None:
        select = gr.HTML(value=choose, options=options)
    else:
        select = gr.HTML(options=options) if new_labels else gr.skip()
    clips = gr.HTML(lesson_figures.clip_list(session.by_label()))
    return session, select, clips, gr.HTML(lesson_figures.said(*said))


def add_label(session: Session, chosen: str, name: str) -> tuple[Any, ...]:
    said = one_sentence(lambda: f"{session.add_label(name)!r} is chosen: record it or give it files.")
    done = not said[1]
    return *_shown(session, chosen, said, name.strip() if done else None), "" if done else name


def rename_label(session: Session, chosen: str, name: str) -> tuple[Any, ...]:
    said = one_sentence(lambda: f"{chosen!r} is called {session.rename_label(chosen, name)!r} now.")
    done = not said[1]
    return *_shown(session, chosen, said, name.strip() if done else None), "" if done else name


def remove_label(session: Session, chosen: str) -> tuple[Any, ...]:
    def work() -> str:
        session.remove_label(chosen)
        return f"{chosen!r} is gone, with its clips."

    return _shown(session, chosen, one_sentence(work))


def add_recording(session: Session, chosen: str, path: str | None) -> tuple[Any, ...]:
    """A recording for the chosen label; the recorder is emptied for the next one."""

    def work() -> str:
        session.check_known(chosen)
        waveform = load_recording(path, MAX_CLIP_SECONDS)
        if audio.peak_dbfs(waveform) < audio.SILENCE_DBFS:
            note = " Nothing can be heard in it: check the microphone."
        else:
            note = ""
        n = 1 + sum(clip.label == chosen for clip in session.clips.values())
        session.add_clips([(chosen, f"Recording {n}", waveform)])
        return f"Recording {n} of {chosen!r} is kept.{note}"

    if path is None:
        return *([gr.skip()] * 4), gr.skip()
    return *_shown(session, chosen, one_sentence(work), new_labels=False), None


def add_files(session: Session, chosen: str, paths: list[str] | None) -> tuple[Any, ...]:
    """Uploaded files: recordings of the chosen label, a zip of labelled ones, or a CSV with its recordings."""
    if not paths:
        return *([gr.skip()] * 4), gr.skip()
    known = list(session.labels)
    said = one_sentence(lambda: _take(session, chosen, [Path(path) for path in paths]))
    return *_shown(session, chosen, said, new_labels=session.labels != known), None


def _take(session: Session, chosen: str, paths: list[Path]) -> str:
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
    files: list[LabelledFile] = [file for archive in archives for file in read_zip(archive)]
    if tables:
        pairs = [pair for table in tables for pair in read_table(table.read_bytes())]
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
            decoded.append((file.label, file.name, audio.load(file.data, MAX_CLIP_SECONDS)))
        except SpeechPromptError as error:
            kind = "" if is_sound(file.name) else " It does not look like a recording."
            raise SpeechPromptError(f"Nothing was added. {file.name[:60]}: {error}{kind}") from error
        samples += len(decoded[-1][2])
    n = session.add_clips(decoded)
    return f"{n} clip{'s' * (n != 1)} added."


def clip_action(session: Session, chosen: str, event: gr.EventData) -> tuple[Any, ...]:
    """Play or Delete of one clip in the list."""
    data = event._data if isinstance(event._data, dict) else {}
    clip = session.clips.get(data.get("clip", -1)) if type(data.get("clip")) is int else None
    if clip is None:
        return *([gr.skip()] * 4), gr.skip()
    if data.get("do") == "delete":
        session.clips.pop(clip.number, None)
        said = (f"{clip.name} of {clip.label!r} is gone.", False)
        return *_shown(session, chosen, said, new_labels=False), gr.skip()
    return *([gr.skip()] * 4), gr.update(value=(audio.SAMPLE_RATE, clip.samples), visible=True)
