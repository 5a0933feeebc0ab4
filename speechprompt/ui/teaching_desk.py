"""What the Teach tab does: from labels and clips to a task of the visitor's own.

Every handler takes the visitor's Session, changes that alone, and answers with a sentence when
something is wrong; nothing that was given is lost by a mistake.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import gradio as gr
import numpy as np

from speechprompt import audio, hub, prompt_zip
from speechprompt.card import prompt_card
from speechprompt.clip_archive import (
    BOUNDS,
    LabelledFile,
    by_table,
    is_sound,
    read_sound,
    read_table,
    read_zip,
)
from speechprompt.errors import SpeechPromptError
from speechprompt.lesson import MAX_CLIP_SECONDS
from speechprompt.prompt import Prompt
from speechprompt.teaching import Moment, Taught, TeachConfig, task_name, teach
from speechprompt.ui import figures, lesson_figures
from speechprompt.ui.complaints import UNEXPECTED, sentence
from speechprompt.ui.handlers import EXPIRED, Desk
from speechprompt.ui.session import Session

log = logging.getLogger(__name__)

EVERY_S = 0.4  # between two looks of the page at a tuning
MADE = "Taught in the app's Teach tab from the recordings above."


def one_sentence(work: Callable[[], str]) -> tuple[str, bool]:
    """Run it: what it says, and whether that is a complaint."""
    try:
        return work(), False
    except Exception as error:
        return sentence(error, "The Teach tab failed"), True


class TeachingDesk:
    """The handlers of the Teach tab, over the models of a Desk."""

    def __init__(self, desk: Desk, config: TeachConfig | None = None) -> None:
        self.desk, self.config = desk, config

    def backbones(self) -> list[str]:
        """Those that can hear, and so be taught."""
        return [b.name for b in self.desk.backbones.values() if b.has_encoder and b.has_lm]

    def backbone_options(self) -> str:
        known = self.desk.backbones
        return figures.options({"": [(name, known[name].title, "") for name in self.backbones()]})

    # Labels and clips. Each gives: the session, the label list, the clips, what to say.

    def _shown(self, session: Session, chosen: str, said: tuple[str, bool]) -> tuple[Any, ...]:
        if chosen not in session.labels:
            chosen = session.labels[0] if session.labels else ""
        select = gr.HTML(value=chosen, options=lesson_figures.label_options(session.labels))
        clips = gr.HTML(lesson_figures.clip_list(session.by_label()))
        return session, select, clips, gr.HTML(lesson_figures.said(*said))

    def show(self, session: Session, chosen: str) -> tuple[Any, ...]:
        return self._shown(session, chosen, ("", False))

    def add_label(self, session: Session, chosen: str, name: str) -> tuple[Any, ...]:
        said = one_sentence(lambda: f"{session.add_label(name)!r} is chosen: record it or give it files.")
        done = not said[1]
        return *self._shown(session, name.strip() if done else chosen, said), "" if done else name

    def rename_label(self, session: Session, chosen: str, name: str) -> tuple[Any, ...]:
        said = one_sentence(lambda: f"{chosen!r} is called {session.rename_label(chosen, name)!r} now.")
        done = not said[1]
        return *self._shown(session, name.strip() if done else chosen, said), "" if done else name

    def remove_label(self, session: Session, chosen: str) -> tuple[Any, ...]:
        def work() -> str:
            session.remove_label(chosen)
            return f"{chosen!r} is gone, with its clips."

        return self._shown(session, chosen, one_sentence(work))

    def add_recording(self, session: Session, chosen: str, path: str | None) -> tuple[Any, ...]:
        """A recording for the chosen label; the recorder is emptied for the next one."""

        def work() -> str:
            session.check_known(chosen)
            if path is None or not Path(path).is_file():
                raise SpeechPromptError(EXPIRED)
            waveform = audio.load(path, MAX_CLIP_SECONDS)
            if audio.peak_dbfs(waveform) < audio.SILENCE_DBFS:
                note = " Nothing can be heard in it: check the microphone."
            else:
                note = ""
            n = 1 + sum(clip.label == chosen for clip in session.clips.values())
            session.add_clips([(chosen, f"Recording {n}", waveform)])
            return f"Recording {n} of {chosen!r} is kept.{note}"

        if path is None:
            return *([gr.skip()] * 4), gr.skip()
        return *self._shown(session, chosen, one_sentence(work)), None

    def add_files(self, session: Session, chosen: str, paths: list[str] | None) -> tuple[Any, ...]:
        """Uploaded files: recordings of the chosen label, a zip of labelled ones, or a CSV with its recordings."""
        if not paths:
            return *([gr.skip()] * 4), gr.skip()
        said = one_sentence(lambda: self._take(session, chosen, [Path(path) for path in paths]))
        return *self._shown(session, chosen, said), None

    def _take(self, session: Session, chosen: str, paths: list[Path]) -> str:
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
            session.check_room(len(files), samples / audio.SAMPLE_RATE)  # before more is decoded
            try:
                decoded.append((file.label, file.name, audio.load(file.data, MAX_CLIP_SECONDS)))
            except SpeechPromptError as error:
                kind = "" if is_sound(file.name) else " It does not look like a recording."
                raise SpeechPromptError(f"Nothing was added. {file.name[:60]}: {error}{kind}") from error
            samples += len(decoded[-1][2])
        n = session.add_clips(decoded)
        return f"{n} clip{'s' * (n != 1)} added."

    def clip_action(self, session: Session, chosen: str, event: gr.EventData) -> tuple[Any, ...]:
        """Play or Delete of one clip in the list."""
        data = event._data if isinstance(event._data, dict) else {}
        clip = session.clips.get(data.get("clip", -1)) if type(data.get("clip")) is int else None
        if clip is None:
            return *([gr.skip()] * 4), gr.skip()
        if data.get("do") == "delete":
            session.clips.pop(clip.number, None)
            return *self._shown(
                session, chosen, (f"{clip.name} of {clip.label!r} is gone.", False)
            ), gr.skip()
        return *([gr.skip()] * 4), gr.update(value=(audio.SAMPLE_RATE, clip.samples), visible=True)

    # Tuning. Outputs: session, panel, the Try tab's task list, and what can be done with a task.

    def tune(
        self, session: Session, title: str, backbone: str, try_task: str, try_backbone: str
    ) -> Iterator[tuple[Any, ...]]:
        """Teach the task, showing how it goes; at the end it is there to be tried, here and in the Try tab."""
        if not session.busy.acquire(blocking=False):
            yield self._complaint("A task is being taught already: wait for it, or cancel it.")
            return
        session.stop = stop = Event()
        try:
            clips = {name: [c.waveform for c in own] for name, own in session.by_label().items()}
            news: Queue[Moment] = Queue()
            found: list[Taught] = []
            complaints: list[str] = []

            def work() -> None:
                try:
                    if backbone not in self.backbones():
                        raise SpeechPromptError("Choose a backbone that can hear.")
                    here = self.desk.backbones[backbone]
                    found.append(teach(here, title or "", clips, self.config, news.put, stop.is_set))
                except Exception as error:
                    complaints.append(sentence(error, "A task could not be taught"))

            began = time.perf_counter()
            thread = Thread(target=work, name="teach", daemon=True)
            thread.start()
            moments = [Moment("Listening to the clips", 0.0)]
            yield self._live(moments)
            while thread.is_alive():
                thread.join(EVERY_S)
                if drain(news, moments):
                    yield self._live(moments)
            if complaints:
                yield self._complaint(complaints[0])
                return
            (taught,) = found
            self._keep(session, taught.prompt)
            html = lesson_figures.result(taught, time.perf_counter() - began)
            yield self._ready(session, html, try_task, try_backbone)
        finally:  # also when the visitor has gone
            stop.set()
            session.busy.release()

    def cancel(self, session: Session) -> None:
        session.stop.set()

    def _live(self, moments: list[Moment]) -> tuple[Any, ...]:
        return gr.skip(), gr.HTML(lesson_figures.progress(moments)), *([gr.skip()] * 4)

    def _complaint(self, message: str) -> tuple[Any, ...]:
        return (
            gr.skip(),
            gr.HTML(figures.alert(message).replace("No answer", "No new task")),
            *([gr.skip()] * 4),
        )

    def _keep(self, session: Session, prompt: Prompt) -> None:
        """The prompt becomes one of the session's tasks, under a name that no bundled task has."""
        if prompt.task in self.desk.backbones[prompt.backbone].prompts:
            prompt.task = task_name(prompt.title)
            while prompt.task in self.desk.backbones[prompt.backbone].prompts:
                prompt.task += "_"
        session.keep(prompt)

    def _ready(self, session: Session, html: str, try_task: str, try_backbone: str) -> tuple[Any, ...]:
        prompt = session.current
        assert prompt is not None
        shown: Any = gr.skip()
        if try_backbone in self.desk.backbones:
            shown = gr.HTML(value=try_task, options=self.desk.task_options(try_backbone, session))
        zipped = gr.update(value=self._pack(session, prompt), interactive=True)
        return session, gr.HTML(html), shown, gr.update(visible=True), zipped, gr.HTML("")

    def _pack(self, session: Session, prompt: Prompt) -> str:
        if session.folder is None:
            session.folder = tempfile.TemporaryDirectory(prefix="speechprompt-")
        path = Path(session.folder.name) / f"{prompt.task}.zip"
        path.write_bytes(prompt_zip.pack(prompt, prompt_card(prompt, MADE)))
        return str(path)

    def load(self, session: Session, path: str | None, try_task: str, try_backbone: str) -> tuple[Any, ...]:
        """A prompt comes back from its zip."""
        if not path:
            return (gr.skip(),) * 6
        try:
            if not Path(path).is_file():
                raise SpeechPromptError("The file is no longer on the server: choose it again.")
            prompt = prompt_zip.unpack(Path(path))
            if prompt.backbone not in self.backbones():
                raise SpeechPromptError(
                    f"The prompt is for the backbone {prompt.backbone!r}, which cannot hear here."
                )
            self.desk.backbones[prompt.backbone].check_fits(prompt)
            self._keep(session, prompt)
            html = lesson_figures.loaded(prompt.title, len(prompt.labels))
            return self._ready(session, html, try_task, try_backbone)
        except Exception as error:
            return self._complaint(sentence(error, "A prompt could not be loaded"))

    # The new task

    def try_it(self, session: Session, path: str | None) -> gr.HTML:
        """The newest task answers a recording."""
        if path is None:
            return gr.HTML("")
        try:
            prompt = session.current
            if prompt is None:
                raise SpeechPromptError("There is no task of yours yet: teach one first.")
            answer = self.desk.classify(path, prompt.task, prompt.backbone, "", session)[0]
            return gr.HTML(lesson_figures.answer(answer.label, answer.score, answer.scores))
        except Exception as error:
            return gr.HTML(figures.alert(sentence(error, "A taught task could not answer")))

    def push(self, session: Session, repository: str, token: str) -> tuple[gr.HTML, str]:
        """Push the newest task to the Hub; the token's field is emptied."""

        def work() -> str:
            if session.current is None:
                raise SpeechPromptError("There is no task of yours yet: teach one first.")
            card = prompt_card(session.current, MADE)
            return (
                f"It is at {hub.push(session.current, card, repository or '', token or '')}, for you alone."
            )

        try:
            said = work(), False
        except SpeechPromptError as error:
            said = str(error), True
        except Exception as error:  # a traceback could hold the token
            log.error("A prompt could not be pushed: %s", type(error).__name__)
            said = UNEXPECTED, True
        return gr.HTML(lesson_figures.said(*said)), ""


def drain(news: Queue[Moment], moments: list[Moment]) -> bool:
    """Move all news to the moments; whether there were some."""
    before = len(moments)
    try:
        while True:
            moments.append(news.get_nowait())
    except Empty:
        return len(moments) > before
