"""What the Teach tab does with a lesson: it becomes a task of the visitor's own, to be tried, kept and pushed.

Every handler takes the visitor's Session, changes that alone, and answers with a sentence when
something is wrong; nothing that was given is lost by a mistake.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_space, get_upload_folder
from huggingface_hub import get_token

from speechprompt.errors import SpeechPromptError
from speechprompt.machine import request_time
from speechprompt.machine.request_time import time_limit
from speechprompt.prompts import archive as prompt_zip
from speechprompt.prompts import hub
from speechprompt.prompts.prompt import Prompt
from speechprompt.teaching.teacher import Moment, Taught, TeachConfig, task_name, teach
from speechprompt.ui import html
from speechprompt.ui.choices import Choices
from speechprompt.ui.complaints import UNEXPECTED, sentence
from speechprompt.ui.controls import chosen
from speechprompt.ui.desk import Desk
from speechprompt.ui.session import Session
from speechprompt.ui.teach import figures
from speechprompt.ui.teach.layout import Parts, trial
from speechprompt.ui.visitors import ADDRESS, parsed

Changes = dict[Block, Any]  # component -> what it becomes; the others stay as they are

log = logging.getLogger(__name__)

EVERY_S = 0.4  # between two looks of the page at a tuning
# A lesson may take as long as so many requests: 15 minutes of clips are encoded thrice.
TEACHING_REQUESTS = 10


class TeachingDesk:
    """The handlers of the Teach tab, over the models of a Desk."""

    def __init__(self, desk: Desk, parts: Parts, config: TeachConfig | None = None) -> None:
        self.desk, self.parts, self.config = desk, parts, config or TeachConfig()
        self.choices = Choices(desk)

    def backbones(self) -> list[str]:
        """Those that can hear, and so be taught."""
        return list(self.desk.complete())

    # Teaching

    def tune(
        self, session: Session, title: str, backbone: str, language: str, try_task: str
    ) -> Iterator[Changes]:
        """Teach the task, showing how it goes; at the end it is there to be tried, here and in the other tabs."""
        if not session.busy.acquire(blocking=False):
            yield self.complaint("A task is being taught already: wait for it, or cancel it.")
            return
        session.stop = stop = Event()
        try:
            clips = {
                name: [c.waveform for c in label_clips] for name, label_clips in session.by_label().items()
            }
            config = replace(self.config, language=language)
            news: Queue[Moment] = Queue()
            found: list[Taught] = []
            complaints: list[str] = []

            def work() -> None:
                try:
                    if backbone not in self.backbones():
                        raise SpeechPromptError("Choose a backbone that has an encoder.")
                    here = self.desk.backbones[backbone]
                    with time_limit(TEACHING_REQUESTS * request_time.REQUEST_SECONDS):
                        found.append(teach(here, title or "", clips, config, news.put, stop.is_set))
                except Exception as error:
                    complaints.append(sentence(error, "A task could not be taught"))

            began = time.perf_counter()
            thread = Thread(target=work, name="teach", daemon=True)
            thread.start()
            yield self._live(Moment("Listening to the clips", 0.0))
            while thread.is_alive():
                thread.join(EVERY_S)
                if moment := latest(news):
                    yield self._live(moment)
            if complaints:
                yield self.complaint(complaints[0])
                return
            (taught,) = found
            seconds = time.perf_counter() - began
            self._keep(session, taught.prompt)
            shown = figures.result(replace(taught, prompt=session.current or taught.prompt), seconds)
            done = figures.status_line(f"Taught in {seconds:.0f}\u00a0s.")
            yield self._ready(session, shown, try_task) | {self.parts.panel: gr.HTML(done)}
        finally:  # also when the visitor has gone
            stop.set()
            session.busy.release()

    def cancel(self, session: Session) -> None:
        session.stop.set()

    def _live(self, moment: Moment) -> Changes:
        return {self.parts.panel: gr.HTML(figures.progress(moment))}

    def complaint(self, message: str) -> Changes:
        return {self.parts.panel: gr.HTML(figures.status_line(f"No new task: {message}", bad=True))}

    def _keep(self, session: Session, prompt: Prompt) -> None:
        """The prompt becomes one of the session's tasks, under a name that no bundled task has."""
        taken, name = self.desk.backbones[prompt.backbone].prompts, prompt.task
        if name in taken:
            name = task_name(prompt.title)
            while name in taken:
                name += "_"
        session.keep(replace(prompt, task=name))

    def _ready(self, session: Session, shown: str, try_task: str) -> Changes:
        prompt = session.current
        assert prompt is not None
        tasks = self.choices.task_options("", session)
        return {
            self.parts.session: session,
            self.parts.result: gr.HTML(shown),
            self.parts.use: gr.update(visible=True),
            self.parts.download: gr.update(value=self._pack(prompt), interactive=True),
            self.parts.answer: trial(""),
            self.parts.try_task: chosen(try_task, try_task, tasks),
        }

    def _pack(self, prompt: Prompt) -> str:
        """The prompt as a zip, kept as long as its session's recordings."""
        packed = prompt_zip.pack(prompt)
        return save_bytes_to_cache(packed, f"{prompt.task}.zip", get_upload_folder())

    def check(self, prompt: Prompt) -> None:
        """Raise SpeechPromptError unless a prompt that comes from elsewhere can answer here."""
        if prompt.backbone not in self.backbones():
            raise SpeechPromptError(
                f"The prompt is for the backbone {prompt.backbone!r}, which has no encoder here."
            )
        self.desk.backbones[prompt.backbone].check_fits(prompt)

    def load(self, session: Session, prompt: Prompt, try_task: str) -> Changes:
        """A prompt that was checked becomes one of the session's tasks."""
        self._keep(session, prompt)
        return self._ready(session, figures.loaded(session.current or prompt), try_task)

    # The new task

    def try_it(self, session: Session, path: str | None) -> gr.HTML:
        """The newest task answers a recording."""
        if path is None:
            return trial("")
        try:
            prompt = session.current
            if prompt is None:
                raise SpeechPromptError("There is no task of yours yet: teach one first.")
            answer = self.desk.classify(path, prompt.task, prompt.backbone, "", session)[0]
            shown = figures.answer(answer.label, answer.score, answer.scores)
            return trial(shown, f"{answer.title}: {answer.label}, {html.percent(answer.score)}.")
        except Exception as error:
            return trial(html.alert(sentence(error, "A taught task could not answer")))

    def push(
        self, session: Session, repository: str, request: gr.Request, login: gr.OAuthToken | None = None
    ) -> gr.HTML:
        """Push the newest task to the Hub as whoever is logged in: on a Space there, else on this machine."""

        def work() -> str:
            prompt = session.current
            if prompt is None:
                raise SpeechPromptError("There is no task of yours yet: teach one first.")
            token = login.token if login is not None else cached_token(request)
            return f"It is at {hub.push(prompt, repository or '', token)}, for you alone."

        try:
            status = work(), False
        except SpeechPromptError as error:
            status = str(error), True
        except Exception as error:  # a traceback could hold the token
            log.error("A prompt could not be pushed: %s", type(error).__name__)
            status = UNEXPECTED, True
        return gr.HTML(figures.status_line(*status))


def cached_token(request: gr.Request) -> str:
    """The token that `hf auth login` left on this machine, for who sits at it; "" for all others."""
    scope = {} if request.request is None else request.request.scope
    address = parsed(scope.get(ADDRESS, ""))
    if get_space() is not None or address is None or not address.is_loopback:
        return ""
    return get_token() or ""


def latest(news: Queue[Moment]) -> Moment | None:
    """Empty the queue; its last moment, or None when it held none."""
    moment = None
    try:
        while True:
            moment = news.get_nowait()
    except Empty:
        return moment
