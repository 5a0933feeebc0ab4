"""What one visitor has made: labels, clips and taught tasks. It is never shared, and it is bounded."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event, Lock
from typing import ClassVar
from weakref import WeakSet

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.teaching.lesson import MAX_CLIPS, MAX_LABELS, check_label

MAX_SECONDS = 900  # of clips in one session: 29 MB
MAX_SECONDS_IN_ALL = 4 * 3600  # of clips in all sessions: 460 MB
MAX_TASKS = 5  # taught tasks that a session keeps
MAX_PARAMETERS_IN_ALL = 64 << 20  # of the taught tasks of all sessions: 256 MB
IDLE_SECONDS = 600.0  # after which a session may lose what it made, where others have no room


@dataclass(frozen=True, eq=False)
class SessionClip:
    """One recording: int16 [T] at 16 kHz, half of what floats would take."""

    number: int
    label: str
    name: str
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def waveform(self) -> np.ndarray:
        return self.samples.astype(np.float32) / 32768


class Session:
    """One visitor's labels, clips and tasks; gradio makes one for each by copying an empty one."""

    everybody: ClassVar[WeakSet[Session]] = WeakSet()

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.clips: dict[int, SessionClip] = {}
        self.tasks: dict[str, dict[str, Prompt]] = {}  # backbone -> task -> prompt, the newest last
        self.current: Prompt | None = None  # what the Teach tab tries, packs and publishes
        self.kept: set[int] = (
            set()
        )  # numbers of the clips that are in a zip which was downloaded, or came from one
        self.packed: set[int] = set()  # of those in the last zip that was made, which may still be on its way
        self.stop = Event()
        self.busy = Lock()  # held while a task is taught
        self.asked = 0  # answers that Try was asked for; a long recording is read until there is one more
        self.panel = Lock()  # held while a part of a long recording's answer is on its way to the page
        self.used = time.monotonic()  # when it last asked for something
        self._made = 0
        self.everybody.add(self)

    def __deepcopy__(self, memo: object) -> Session:
        return Session()

    @property
    def seconds(self) -> float:
        return sum(clip.seconds for clip in list(self.clips.values()))

    @property
    def n_parameters(self) -> int:
        return sum(
            prompt.n_parameters for taught in list(self.tasks.values()) for prompt in list(taught.values())
        )

    @property
    def n_unsaved(self) -> int:
        """How many clips would be lost with the page."""
        return sum(number not in self.kept for number in list(self.clips))

    def ask(self) -> None:
        """Something else is asked for in Try: nothing of a long recording follows what is on its way already."""
        waited = self.panel.acquire(timeout=1.0)
        self.asked += 1
        if waited:
            self.panel.release()

    def start_again(self) -> None:
        """Without labels and clips; the tasks that were taught stay."""
        self.labels, self.clips, self.kept, self.current = [], {}, set(), None

    def taught(self, backbone: str) -> dict[str, Prompt]:
        """The tasks taught here for a backbone."""
        self.used = time.monotonic()
        return dict(self.tasks.get(backbone, {}))

    def keep(self, prompt: Prompt) -> None:
        """Add a task, or replace the one of its name; beyond MAX_TASKS the oldest goes.

        SpeechPromptError when the tasks of all visitors leave no room for it.
        """
        self.make_room("n_parameters", prompt.n_parameters, MAX_PARAMETERS_IN_ALL)
        mine = self.tasks.setdefault(prompt.backbone, {})
        mine.pop(prompt.task, None)
        mine[prompt.task] = prompt
        self.current = prompt
        if sum(map(len, self.tasks.values())) > MAX_TASKS:
            fullest = max(self.tasks.values(), key=len)
            fullest.pop(next(task for task, other in fullest.items() if other is not prompt))

    def add_label(self, name: str) -> str:
        """A new label, or the one of that name; SpeechPromptError when it cannot be one more."""
        name = name.strip()
        check_label(name)
        if name not in self.labels:
            if len(self.labels) >= MAX_LABELS:
                raise SpeechPromptError(f"A task has at most {MAX_LABELS} labels: remove one first.")
            self.labels.append(name)
        return name

    def rename_label(self, old: str, new: str) -> str:
        new = new.strip()
        check_label(new)
        self.check_known(old)
        if new != old and new in self.labels:
            raise SpeechPromptError(f"There is a label {new!r} already: give each its own name.")
        self.labels[self.labels.index(old)] = new
        for number, clip in list(self.clips.items()):
            if clip.label == old:
                self.clips[number] = SessionClip(number, new, clip.name, clip.samples)
        return new

    def remove_label(self, name: str) -> None:
        """Remove a label with its clips."""
        self.check_known(name)
        self.labels.remove(name)
        for number, clip in list(self.clips.items()):
            if clip.label == name:
                del self.clips[number]

    def check_known(self, label: str) -> None:
        if label not in self.labels:
            raise SpeechPromptError("Let the files go on the card of a label, or add one first.")

    def check_room(self, n: int, seconds: float) -> None:
        """Raise SpeechPromptError when so many more clips, or seconds of them, would be too many."""
        if len(self.clips) + n > MAX_CLIPS:
            raise SpeechPromptError(f"At most {MAX_CLIPS} clips can be taught: choose fewer files.")
        if self.seconds + seconds > MAX_SECONDS:
            raise SpeechPromptError(f"At most {MAX_SECONDS // 60} minutes can be taught: choose fewer files.")
        self.make_room("seconds", seconds, MAX_SECONDS_IN_ALL)

    def make_room(self, kind: str, more: float, most: float) -> None:
        """For so many more `seconds` of clips or `n_parameters` of tasks: whoever has long been idle loses his.

        SpeechPromptError where that is not enough.
        """
        self.used = time.monotonic()
        others = sorted((s for s in list(self.everybody) if s is not self), key=lambda session: session.used)
        held = sum(getattr(session, kind) for session in (self, *others))
        for session in others:
            if held + more <= most or self.used - session.used < IDLE_SECONDS:
                break
            held -= getattr(session, kind)
            session.clips, session.tasks, session.kept, session.current = {}, {}, set(), None
        if held + more > most:
            raise SpeechPromptError("Too many people are teaching at the moment: try again later.")

    def add_clips(self, clips: Iterable[tuple[str, str, np.ndarray]]) -> int:
        """Add (label, name, float32 [T] at 16 kHz) all or none, with the labels that are new; how many."""
        new = list(clips)
        labels = list(dict.fromkeys([*self.labels, *(label for label, _, _ in new)]))
        for label in labels:
            check_label(label)
        if len(labels) > MAX_LABELS:
            raise SpeechPromptError(
                f"That would make {len(labels)} labels, and a task has at most {MAX_LABELS}."
            )
        self.check_room(len(new), sum(len(waveform) for _, _, waveform in new) / SAMPLE_RATE)
        self.labels = labels
        for label, name, waveform in new:
            self._made += 1
            samples = (waveform.clip(-1, 1) * 32767).round().astype(np.int16)
            self.clips[self._made] = SessionClip(self._made, label, name, samples)
        return len(new)

    def by_label(self) -> dict[str, list[SessionClip]]:
        """Every label with its clips, in order."""
        return {name: [c for c in list(self.clips.values()) if c.label == name] for name in self.labels}
