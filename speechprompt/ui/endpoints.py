"""The endpoints for programs, apart from the page so that their inputs stay plain.

The docstrings are what clients and agents (MCP) read; gradio joins the lines of Returns with commas, so each
line is an item of its own. Every failure is one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.api_component import Api

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.ui.choices import FIRST_TASK
from speechprompt.ui.classify.long import LONG_QUEUE, batches
from speechprompt.ui.comparison import Row
from speechprompt.ui.complaints import FAILED, in_a_sentence, sentence
from speechprompt.ui.controls import DEVICE_QUEUE
from speechprompt.ui.desk import Desk, load_recording
from speechprompt.ui.uploads import FILES

MAX_FILES = 32  # in one request: the device serves one at a time
NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


class Endpoints:
    """The desk's answers as JSON."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @in_a_sentence
    def classify(self, audio_file: str, task: str = FIRST_TASK, backbone: str = "mini") -> dict:
        """Answer one task about a recording, with the units of the recording and those that the model generated.

        Args:
            audio_file: a recording of 0.1 to 60 seconds (WAV, FLAC, Ogg, Opus, MP3, m4a, webm and others)
            task: name of the task, for example keyword_spotting; an unknown name is answered with the known ones
            backbone: name of the backbone, mini unless another one is here

        Returns:
            task, title, label, score (0 to 1)
            scores (label to probability, highest first)
            slots (slot to value, of tasks that fill slots)
            steps (of every label that was answered: label, slot, score, scores, unit, unit_score, unit_label, the
                likeliest units with their scores and labels, and how much each unit contributed to the label)
            fits (yes, unsure or no: whether the recording is one that the task has an answer for)
            reason (one sentence that says why not, empty where it fits)
            flagged (true where fits is not yes), inside (probability of all labels' units, 0 to 1)
            units (ids, starts and lengths in frames of 20 ms)
            generated and generated_scores (the units that the language model generated, which decide)
            verbalizer and timing (in seconds)
        """
        return self.desk.classify(audio_file, task, backbone)[0].to_dict()

    @in_a_sentence
    def compare(self, audio_file: str, tasks: list[str] | None = None, backbone: str = "mini") -> list:
        """Answer several tasks about one recording in one batch of the language model.

        Args:
            audio_file: a recording of 0.1 to 60 seconds (WAV, FLAC, Ogg, Opus, MP3, m4a, webm and others)
            tasks: names of the tasks, in the order of the answers; an empty list asks all tasks of the backbone
            backbone: name of the backbone, mini unless another one is here

        Returns:
            for each task what classify returns, with error empty; one that cannot answer has task, title and error
        """
        return self.answers(audio_file, self.choose(tasks, backbone))

    @in_a_sentence
    def compare_files(
        self, audio_files: list, tasks: list[str] | None = None, backbone: str = "mini"
    ) -> list:
        """Answer several tasks about each of several recordings; a bad one takes nothing from the others.

        Args:
            audio_files: up to 32 recordings of 0.1 to 60 seconds each (WAV, FLAC, Ogg, Opus, MP3, m4a, webm and others)
            tasks: names of the tasks, in the order of the answers; an empty list asks all tasks of the backbone
            backbone: name of the backbone, mini unless another one is here

        Returns:
            for each recording in order: file (its name)
            answers (as compare returns them)
            error (empty, or one sentence that says why there are no answers)
        """
        asked = self.choose(tasks, backbone)
        if not isinstance(audio_files, list) or not 1 <= len(audio_files) <= MAX_FILES:
            raise SpeechPromptError(
                f"audio_files takes 1 to {MAX_FILES} recordings: send more in another request."
            )
        found = []
        for file in audio_files:
            entry: dict[str, Any] = {
                "file": Path(str(file["orig_name"] or file["path"])).name,
                "answers": [],
                "error": "",
            }
            try:
                entry["answers"] = self.answers(file["path"], asked)
            except Exception as error:
                entry["error"] = sentence(error, FAILED)
            found.append(entry)
        return found

    def segments(
        self, audio_file: str, tasks: list[str] | None = None, backbone: str = "mini"
    ) -> Iterator[dict]:
        """Answer tasks about each stretch of speech in a recording of up to an hour, as it is read.

        Args:
            audio_file: a recording (WAV, FLAC, Ogg, Opus, MP3, m4a, webm and others)
            tasks: names of the tasks; an empty list asks all tasks of the backbone
            backbone: name of the backbone, mini unless another one is here

        Returns:
            every few seconds another result: segments (those that are new: start and end in seconds, answers by task)
            seconds (of the recording that were looked through), total (by its header, or null)
            notice (in the last one a sentence where the file was cut off, else empty)
        """
        try:
            names = [task for _, task in self.choose(tasks, backbone)]
            for found, batch in batches(self.desk, audio_file, names, backbone):
                new = [segment.to_dict() for segment in batch]
                yield {
                    "segments": new,
                    "seconds": found.seconds,
                    "total": found.total,
                    "notice": found.notice,
                }
        except Exception as error:
            raise gr.Error(sentence(error, FAILED), print_exception=False) from error

    @in_a_sentence
    def units(self, audio_file: str, backbone: str = "mini") -> dict:
        """Turn a recording into the discrete units that a backbone's language model reads.

        Args:
            audio_file: a recording of 0.1 to 60 seconds (WAV, FLAC, Ogg, Opus, MP3, m4a, webm and others)
            backbone: name of a backbone that has an encoder, mini unless another one is here

        Returns:
            ids (without repeats)
            starts and lengths (of each, in frames of 20 ms; the first starts after a long pause)
            seconds (of the recording)
        """
        here = self.desk.backbone(backbone)
        waveform = load_recording(audio_file)
        units = here.listen([waveform])[0]
        return {**units.to_dict(), "seconds": len(waveform) / audio.SAMPLE_RATE}

    @in_a_sentence
    def classify_units(self, units: str, task: str = FIRST_TASK, backbone: str = "mini") -> dict:
        """Answer one task about speech that is discrete units already.

        Args:
            units: unit ids with spaces or commas between them, for example "71 87 26 61"; repeats may be left in
            task: name of the task; an unknown name is answered with the known ones
            backbone: name of the backbone whose encoder made the units

        Returns:
            what classify returns; starts and lengths count the repeats that were given
        """
        return self.desk.classify_units(units, task, backbone)[0].to_dict()

    @in_a_sentence
    def tasks(self, backbone: str = "mini") -> list:
        """List the tasks of a backbone, with what each can answer and how often it was right when measured.

        Args:
            backbone: name of the backbone, mini unless another one is here

        Returns:
            for each task: task (its name), title, group, labels, answer (label, slots or sequence)
            accuracy (0 to 1), n (recordings it was measured on), split, interval95 (null where nobody measured)
            strangers: n, right, interval95 and more, of recordings like no corpus of the task, or null
            parameters (trained numbers of its prompt)
        """
        here = self.desk.backbone(backbone)
        if not here.has_lm:
            raise SpeechPromptError(str(here.missing))
        return [
            {
                "task": prompt.task,
                "title": prompt.title,
                "group": prompt.heading,
                "labels": list(prompt.labels),
                "answer": prompt.form.kind,
                **{name: prompt.metrics.get(name) for name in ("accuracy", "n", "split", "interval95")},
                "strangers": prompt.strangers,
                "parameters": prompt.n_parameters,
            }
            for prompt in here.prompts.values()
        ]

    def choose(self, tasks: list[str] | None, backbone: str) -> list[tuple[str, str]]:
        """The backbone with each of these tasks once, or with all of its tasks where none is named."""
        here = self.desk.backbone(backbone)
        if tasks and (not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks)):
            raise SpeechPromptError("tasks must be a list of task names, or empty for all.")
        return [(here.name, here.prompt(task).task) for task in dict.fromkeys(tasks or here.prompts)]

    def answers(self, path: str | None, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Every task's answer, or its reason for none."""
        waveform = load_recording(path)
        for backbone, _ in asked:
            here = self.desk.backbone(backbone)
            if not here.has_encoder:
                raise SpeechPromptError(str(here.missing))
        return [to_json(row) for row in self.desk.compare(waveform, asked)]


def to_json(row: Row) -> dict[str, Any]:
    if row.answer is None:
        return {"task": row.prompt.task, "title": row.prompt.title, "error": row.error}
    return row.answer.to_dict() | {"error": ""}


def build(desk: Desk) -> None:
    """The named endpoints; their inputs are never shown."""
    endpoints = Endpoints(desk)

    def add(function: Callable[..., Any], *inputs: Any, queue: dict[str, Any] = DEVICE_QUEUE) -> None:
        answer = gr.JSON(label="answer", visible=False)
        name = function.__name__
        gr.Button(visible=False).click(function, list(inputs), answer, api_name=name, **queue)

    def recording() -> gr.Audio:
        return gr.Audio(type="filepath", label="audio_file", visible=False)

    def text(value: str, label: str) -> gr.Textbox:
        return gr.Textbox(value, label=label, visible=False)

    task, backbone = text(FIRST_TASK, "task"), text(desk.default, "backbone")
    tasks, files = Api([], NAMES, "tasks"), Api(None, FILES, "audio_files")  # what gr.api makes of types
    add(endpoints.classify, recording(), task, backbone)
    add(endpoints.compare, recording(), tasks, backbone)
    add(endpoints.compare_files, files, tasks, backbone)
    add(endpoints.segments, recording(), tasks, backbone, queue=LONG_QUEUE)
    add(endpoints.units, recording(), backbone)
    add(endpoints.classify_units, text("", "units"), task, backbone)
    add(endpoints.tasks, backbone)
