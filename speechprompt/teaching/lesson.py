"""What a new task is taught with: labels and their recordings, checked, then heard as units."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.audio.augment import Simulation
from speechprompt.audio.silence import is_silent
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import listen_to, nothing_recorded
from speechprompt.storage.schema import is_plain
from speechprompt.tasks.answer_form import MAX_LABEL_CHARACTERS
from speechprompt.teaching import speaking
from speechprompt.teaching.closed_form import Fit, fit_verbalizer
from speechprompt.units import Units

MIN_LABELS, MAX_LABELS = 2, 10
MAX_CLIPS = 500
MAX_CLIP_SECONDS = 20.0
ENOUGH_CLIPS = 3  # of a label; with fewer the user is told so
MAX_TITLE_CHARACTERS = 80

Clip = np.ndarray | bytes  # float32 [T] at 16 kHz, or the bytes of a sound file
Clips = Mapping[str, Sequence[Clip]]  # a label without clips is spoken by espeak-ng


@dataclass(eq=False)
class Lesson:
    """labels; waveforms float32 [T] at 16 kHz with their label indices in truth, of which the first n_recorded are
    recordings and the rest spoken by espeak-ng; silence_label: the label that all-silent clips were given for;
    warnings: one sentence for whatever was left out or is too little."""

    labels: list[str]
    waveforms: list[np.ndarray] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    n_recorded: int = 0
    silence_label: str | None = None
    warnings: list[str] = field(default_factory=list)

    def counts(self) -> list[int]:
        """How many recordings each label has."""
        return [self.truth[: self.n_recorded].count(label) for label in range(len(self.labels))]

    def unrecorded(self) -> list[str]:
        return [name for name, n in zip(self.labels, self.counts(), strict=True) if n == 0]


@dataclass(frozen=True, eq=False)
class Rows:
    """A lesson as units: all clips, then their copies, copy by copy, then recordings of nothing.

    Of every row: truth, the index of its label; clips, which clip it is of, where recordings of nothing
    count on.
    """

    utterances: list[Units]
    truth: list[int]
    clips: list[int]
    n_labels: int

    def fit(self, logits: np.ndarray) -> Fit:
        """The verbalizer in closed form; logits float64 [N, V] of all rows."""
        return fit_verbalizer(logits, self.truth, self.clips, self.n_labels)


def check_title(title: str) -> None:
    """Raise SpeechPromptError unless this can be the title of a task."""
    if not is_plain(title, MAX_TITLE_CHARACTERS) or not title.strip():
        raise SpeechPromptError(
            f"The task needs a title of 1 to {MAX_TITLE_CHARACTERS} printable characters."
        )


def check_label(label: str) -> None:
    """Raise SpeechPromptError unless this can be a label's name."""
    if not is_plain(label, MAX_LABEL_CHARACTERS) or not label.strip():
        raise SpeechPromptError(
            f"A label must be 1 to {MAX_LABEL_CHARACTERS} printable characters: choose another name."
        )


def gather(clips: Clips) -> Lesson:
    """Check labels and clips and decode what is bytes; SpeechPromptError when they cannot be taught.

    Silent clips are left out, unless they are all that one label has: then it is the label of silence.
    A clip that a label has twice counts once.
    """
    labels = list(clips)
    if not MIN_LABELS <= len(labels) <= MAX_LABELS:
        raise SpeechPromptError(
            f"A task needs {MIN_LABELS} to {MAX_LABELS} labels; here {'is' if len(labels) == 1 else 'are'} "
            f"{len(labels)}."
        )
    for label, recordings in clips.items():
        check_label(label)
        if not recordings:
            check_spoken(label)
    total = sum(len(recordings) for recordings in clips.values())
    if total > MAX_CLIPS:
        raise SpeechPromptError(
            f"At most {MAX_CLIPS} clips can be taught, and here are {total}: leave some out."
        )
    lesson = Lesson(labels)
    decoded = {
        name: [audio.load(clip, MAX_CLIP_SECONDS) if isinstance(clip, bytes) else clip for clip in recordings]
        for name, recordings in clips.items()
    }
    owner: dict[bytes, str] = {}
    for index, name in enumerate(labels):
        kept = without_silent(lesson, name, decoded[name])
        repeated = 0
        for waveform in kept:
            key = hashlib.sha256(waveform.tobytes()).digest()
            if owner.get(key, name) != name:
                raise SpeechPromptError(
                    f"The same recording is given for {owner[key]!r} and {name!r}: take it out of one of them."
                )
            if key in owner:
                repeated += 1
                continue
            owner[key] = name
            lesson.waveforms.append(waveform)
            lesson.truth.append(index)
        if repeated:
            lesson.warnings.append(
                f"{name}: what was given more than once counts once ({repeated} left out)."
            )
    lesson.n_recorded = len(lesson.waveforms)
    few = [name for name, n in zip(labels, lesson.counts(), strict=True) if 0 < n < ENOUGH_CLIPS]
    if few:
        lesson.warnings.append(
            f"{', '.join(few)}: fewer than {ENOUGH_CLIPS} clips; five of each label, spoken differently, do better."
        )
    return lesson


def without_silent(lesson: Lesson, name: str, waveforms: list[np.ndarray]) -> list[np.ndarray]:
    """The clips of one label in which something can be heard, or all when it is the label of silence."""
    audible = [waveform for waveform in waveforms if not is_silent(waveform)]
    if audible or not waveforms:
        if n := len(waveforms) - len(audible):
            lesson.warnings.append(f"{name}: {n} silent clip{'s' * (n > 1)} left out.")
        return audible
    if lesson.silence_label is not None:
        raise SpeechPromptError(
            f"Nothing can be heard in the recordings of {lesson.silence_label!r} and of {name!r}: "
            "check the microphone and record them again."
        )
    lesson.silence_label = name
    lesson.warnings.append(f"{name}: nothing can be heard in its clips, so it is the answer to silence.")
    return waveforms


def check_spoken(label: str) -> None:
    """Raise SpeechPromptError unless a label without recordings can be spoken."""
    if not speaking.can_speak():
        raise SpeechPromptError(f"The label {label!r} has no recordings. {speaking.MISSING}")
    speaking.check_text(label)


def speak_labels(
    lesson: Lesson, language: str, takes: int, seed: int, report: Callable[[float], object]
) -> None:
    """Add `takes` spoken takes of every label, where one label at least has no recordings.

    Of every label, as far as its name can be spoken: else it would be the voice that tells the spoken labels from
    the recorded ones. report is told the share of it that is done (0..1).
    """
    missing = lesson.unrecorded()
    if not missing:
        return
    speech = [name for name in lesson.labels if name != lesson.silence_label and speaking.is_text(name)]
    for done, name in enumerate(speech):
        report(done / len(speech))
        try:
            spoken = speaking.speak(name, takes, language, seed)
        except SpeechPromptError:
            if name in missing:
                raise
            continue  # its recordings will do
        lesson.waveforms += spoken
        lesson.truth += [lesson.labels.index(name)] * len(spoken)
    few = len(missing) < len(lesson.labels)
    which = ", ".join(missing) if few else "All labels"
    lesson.warnings.append(
        f"{which}: spoken by espeak-ng, as there are no recordings; two of your own for each label do better."
    )


def encode_clips(
    lesson: Lesson,
    backbone: Backbone,
    copies: int,
    simulation: Simulation,
    report: Callable[[float], object],
) -> Rows:
    """The units of the lesson and of `copies` simulated recordings of each clip.

    report is told the share of it that is done (0..1). A label of silence gets recordings of nothing beside its own.
    """
    n_clips = len(lesson.waveforms)
    n_rows, n_done = n_clips * (1 + copies), 0

    def more(n: int) -> None:
        nonlocal n_done
        n_done += n
        report(n_done / n_rows)

    sizes = [len(waveform) for waveform in lesson.waveforms]

    def load(clip: int, copy: int) -> np.ndarray:
        return simulation.recording(lesson.waveforms[clip], clip, copy)

    utterances = listen_to(backbone, load, sizes, copies, more)
    clips = [row % n_clips for row in range(n_rows)]
    truth = [lesson.truth[clip] for clip in clips]
    if lesson.silence_label is not None:
        nothing = nothing_recorded(backbone, 3 + n_rows // 20, simulation.seed)
        utterances += nothing
        clips += range(n_clips, n_clips + len(nothing))
        truth += [lesson.labels.index(lesson.silence_label)] * len(nothing)
    return Rows(utterances, truth, clips, len(lesson.labels))
