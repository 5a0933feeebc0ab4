"""The class that `speechprompt` gives: the pipeline, and what is built on it, by one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from speechprompt.audio import load as audio_input
from speechprompt.decoding.answer import Answer
from speechprompt.pipeline import SpeechPrompt as Pipeline

if TYPE_CHECKING:  # imported when first used
    from speechprompt.labelling.label import Labelled
    from speechprompt.labelling.segments import Segments
    from speechprompt.live.listener import Listener
    from speechprompt.teaching.teacher import Taught


class SpeechPrompt(Pipeline):
    """A backbone with its prompts, ready to answer; share one between threads.

        sp = SpeechPrompt.from_pretrained("mini")
        sp("clip.wav", "keyword_spotting").label

    A recording is a file path; the bytes of a file; (rate in Hz, samples) or (samples, rate); a mapping of "array" and
    "sampling_rate"; or samples [T] at 16 kHz, as an array or a torch tensor. SpeechPromptError says in one sentence
    what is wrong with it, or with the name of a task.
    """

    @overload
    def __call__(self, audio: audio_input.AudioInput, task: str) -> Answer: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(
        self, audio: audio_input.AudioInput, task: Sequence[str] | None = None
    ) -> dict[str, Answer]: ...

    def __call__(
        self, audio: audio_input.AudioInput, task: str | Sequence[str] | None = None
    ) -> Answer | dict[str, Answer]:
        """The answer of one task about a recording, or task -> answer, of some tasks or (None) of all."""
        answers = {answer.task: answer for answer in self.classify(audio, task)}
        return answers[task] if isinstance(task, str) else answers

    def teach(
        self,
        title: str,
        clips: Mapping[str, Iterable[audio_input.AudioInput]] | Iterable[str],
        language: str = "English",
    ) -> Taught:
        """Make a task from a few clips of each label, and add it: label -> its clips, each any recording up to 20 s.

        A label without clips, or labels alone in place of the mapping, are spoken by espeak-ng in the language.
        The result has the prompt, whose `task` is the name to ask by, and what was measured on clips left out.
        SpeechPromptError in one sentence when the clips cannot be taught.
        """
        from speechprompt.teaching.lesson import MAX_CLIP_SECONDS
        from speechprompt.teaching.teacher import TeachConfig, teach

        given = clips if isinstance(clips, Mapping) else dict.fromkeys(clips, ())
        waveforms = {
            label: [audio_input.load(clip, MAX_CLIP_SECONDS) for clip in its] for label, its in given.items()
        }
        taught = teach(self.backbone, title, waveforms, TeachConfig(language=language))
        self.add(taught.prompt)
        return taught

    def listen(self, task: str) -> Listener:
        """A listener that answers a task while somebody speaks: feed it chunks of sound (live/)."""
        from speechprompt.live.listener import Listener

        return Listener(self, task)

    def segments(self, audio: audio_input.AudioInput, tasks: str | Sequence[str] | None = None) -> Segments:
        """What tasks (all when None) answer about each stretch of speech in a recording of any length.

        An iterator, which reads and answers as segments are taken; `seconds` and `total` say how far it is, and
        `notice` whether the file was cut off (labelling/segments.py).
        """
        from speechprompt.labelling.segments import Segments

        return Segments(self, audio, tasks)

    def label(
        self, source: str | Path, out: str | Path, tasks: Sequence[str] | None = None, workers: int = 1
    ) -> Labelled:
        """Answer tasks (all when None) about every clip of a folder or parquet file, into a table (labelling/)."""
        from speechprompt.labelling.label import label

        chosen = self.tasks if tasks is None else [tasks] if isinstance(tasks, str) else tasks
        prompts = [self.prompt(task) for task in chosen]
        return label(self.backbone, prompts, Path(source), Path(out), workers, progress=False)
