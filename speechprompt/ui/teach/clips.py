"""What the Teach tab does with labels and clips: the visitor names, records, uploads, plays, removes, keeps.

Every action changes the visitor's Session alone, and answers with a sentence when something is wrong; nothing that was
given is lost by a mistake.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import gradio as gr
import soundfile
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from speechprompt.audio import load as audio
from speechprompt.audio.silence import is_silent
from speechprompt.errors import SpeechPromptError
from speechprompt.teaching.lesson import MAX_CLIP_SECONDS
from speechprompt.teaching.lesson_zip import FORMAT_VERSION, LessonFile, pack
from speechprompt.teaching.speaking import LANGUAGES
from speechprompt.teaching.teacher import task_name
from speechprompt.ui.complaints import sentence
from speechprompt.ui.desk import load_recording
from speechprompt.ui.session import Session
from speechprompt.ui.teach import board, figures
from speechprompt.ui.teach.board import Action
from speechprompt.ui.teach.events import Changes, TeachingDesk
from speechprompt.ui.teach.files import Opened, ready_made, take


class ClipEvents:
    """The actions of the Teach tab's board; a prompt that a zip brings is for the desk that teaches."""

    def __init__(self, teaching: TeachingDesk) -> None:
        self.teaching, self.parts = teaching, teaching.parts
        self.actions: Mapping[str, Callable[[Session, Action], str]] = {
            "add": self.add_label,
            "rename": self.rename_label,
            "remove": self.remove_label,
            "record": self.add_recording,
            "delete": self.delete_clip,
            "restart": self.start_again,
            "kept": self.kept,
        }

    def act(
        self, session: Session, action: Action | None, title: str, language: str, try_task: str
    ) -> Changes:
        """Do what a person did on the board; the board with what came of it, beside what it is about."""
        if action is None:
            return gr.skip()
        try:
            if action.do == "play":
                return self._shown(session, action, "", file=self.sound(session, action.clip), use="play")
            if action.do == "save":
                file = self.saved(session, title, language)
                return self._shown(session, action, "", file=file, use="save")
            if action.do in ("files", "ready"):
                return self.open(session, action, try_task)
            said = self.actions[action.do](session, action)
            return self._shown(session, action, said)
        except Exception as error:
            said = sentence(error, "The Teach tab failed")
            return self._shown(session, action, said, bad=True)

    def _shown(
        self, session: Session, action: Action, said: str, bad: bool = False, file: str = "", use: str = ""
    ) -> Changes:
        """The board; `said` stands on the card of the action's label, or under the tools."""
        label = action.text.strip() if action.do == "rename" and not bad else action.label
        on_card = label in session.labels or action.do == "add"
        notes = {("" if action.do == "add" else label): (said, bad)} if on_card else {}
        above = "" if on_card else figures.status_line(said, bad)
        cards = figures.cards(session, notes)
        changes: Changes = {
            self.parts.session: session,
            self.parts.board: board.answer(action.sequence, cards, above, file or None, use),
        }
        if use != "play" and not session.busy.locked():
            changes[self.parts.panel] = gr.HTML(figures.readiness(session))
        return changes

    # Labels

    def add_label(self, session: Session, action: Action) -> str:
        if action.text.strip() in session.labels:
            raise SpeechPromptError(f"There is a label {action.text.strip()!r} already.")
        session.add_label(action.text)
        return ""

    def rename_label(self, session: Session, action: Action) -> str:
        return f"It is called {session.rename_label(action.label, action.text)!r} now."

    def remove_label(self, session: Session, action: Action) -> str:
        session.remove_label(action.label)
        return f"{action.label!r} is gone."

    def start_again(self, session: Session, action: Action) -> str:
        session.start_again()
        return "Everything is cleared; tasks that were taught are still in Try."

    # Clips

    def add_recording(self, session: Session, action: Action) -> str:
        session.check_known(action.label)
        waveform = load_recording(action.paths[0] if action.paths else None, MAX_CLIP_SECONDS)
        numbers = [clip.name for clip in session.clips.values() if clip.label == action.label]
        n = next(n for n in range(1, len(numbers) + 2) if f"Recording {n}" not in numbers)
        session.add_clips([(action.label, f"Recording {n}", waveform)])
        silent = " Nothing can be heard in it: check the microphone." if is_silent(waveform) else ""
        return f"Recording {n} is here.{silent}"

    def delete_clip(self, session: Session, action: Action) -> str:
        clip = session.clips.pop(action.clip, None)
        return "" if clip is None else f"{clip.name} is gone."

    def sound(self, session: Session, number: int) -> str:
        """A clip as a file to be heard, at an address by its content: nobody's clip lies at another's."""
        clip = session.clips.get(number)
        if clip is None:
            raise SpeechPromptError("That clip is gone.")
        sound = io.BytesIO()
        soundfile.write(sound, clip.samples, audio.SAMPLE_RATE, format="WAV")
        return save_bytes_to_cache(sound.getvalue(), f"clip-{number}.wav", get_upload_folder())

    # Whole lessons

    def open(self, session: Session, action: Action, try_task: str) -> Changes:
        """Files for a label, labelled ones, a lesson or a prompt that was kept, or the ready-made lesson."""
        if action.do == "ready":
            opened = ready_made(self.teaching.desk.examples_folder)
        else:
            opened = take(session, action.label, [Path(path) for path in action.paths])
        kept = opened.lesson
        if opened.prompt is not None:
            self.teaching.check(opened.prompt)
        if kept is not None:  # as the whole lesson it takes the place of what is there
            if session.n_unsaved and action.do != "ready":
                raise SpeechPromptError(
                    "The zip holds a whole lesson: save this one or start again, then open it."
                )
            session.check_room(len(opened.clips) - len(session.clips), 0)
            session.start_again()
            for label in kept.labels:
                session.add_label(label)
        n = session.add_clips(opened.clips)
        if kept is not None:
            session.kept |= set(session.clips)
        changes = self._shown(session, action, said_of(opened, n))
        if opened.prompt is not None:
            changes |= self.teaching.load(session, opened.prompt, try_task)
        elif kept is not None:
            changes[self.parts.use] = gr.update(visible=False)
        if kept is not None:
            changes[self.parts.title] = kept.title
            changes[self.parts.language] = gr.HTML(value=kept.language, options=figures.languages())
        return changes

    def saved(self, session: Session, title: str, language: str) -> str:
        """The lesson as a zip with its recordings."""
        if not session.labels:
            raise SpeechPromptError("There is nothing to save yet: add a label first.")
        clips = [clip for of_label in session.by_label().values() for clip in of_label]
        spoken = language if language in LANGUAGES else next(iter(LANGUAGES))
        lesson = LessonFile(FORMAT_VERSION, (title or "").strip(), tuple(session.labels), spoken)
        packed = pack(lesson, [(clip.label, clip.name, clip.samples) for clip in clips], session.current)
        session.packed = {clip.number for clip in clips}
        name = f"{task_name(title or '')}{'_with_recordings' if clips else ''}.zip"
        return save_bytes_to_cache(packed, name, get_upload_folder())

    def kept(self, session: Session, action: Action) -> str:
        """The zip has been handed out: what is in it is not lost with the page."""
        session.kept |= session.packed
        return "Saved: the zip brings it back."


def said_of(opened: Opened, n: int) -> str:
    if opened.lesson is not None:
        return f"The lesson is here again: {len(opened.lesson.labels)} labels, {n} clip{'s' * (n != 1)}."
    if opened.prompt is not None:
        return "The prompt is here again, without recordings."
    rest = f" {opened.n_other} other file{'s' * (opened.n_other != 1)} left out." if opened.n_other else ""
    return f"{n} clip{'s' * (n != 1)} added.{rest}"
