"""Many prompts about one recording: who is asked, who answers, and what happens on the Compare tab.

`compare` takes any prompts of any backbones; `Comparison` is what the Compare tab does with them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from speechprompt.audio import load as audio
from speechprompt.backbone import Backbone
from speechprompt.decoding.answer import Answer, make_answer
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.models.quantizer import Quantizer
from speechprompt.prompts.prompt import Prompt
from speechprompt.ui import html as figures
from speechprompt.ui.compare.cards import cards, check, check_group, took
from speechprompt.ui.compare.table import table, to_csv, to_json
from speechprompt.ui.complaints import sentence
from speechprompt.ui.desk import LANGUAGES, Desk, Update, load_recording, panel
from speechprompt.ui.html import percent
from speechprompt.units import Units

NOBODY_HEARS = "No backbone here can hear: fetch an encoder with `python -m speechprompt fetch`."
NO_SILENCE = "Nothing was recorded, and this task has no answer for silence."


@dataclass(frozen=True, eq=False)
class Row:
    """What one prompt said about the recording: an answer, or the sentence that says why there is none."""

    backbone: Backbone
    prompt: Prompt
    answer: Answer | None
    error: str = ""


# Answers


def compare(desk: Desk, waveform: np.ndarray, asked: Sequence[tuple[Backbone, Prompt]]) -> list[Row]:
    """Ask every prompt about a recording (float32 [T], 16 kHz): one row each, in the order asked.

    The prompts must fit their backbones; they need not be those that the desk knows. Each encoder listens
    once, also where backbones share it, and each backbone answers all its prompts in one batch. What one
    prompt or backbone cannot answer is said in its rows and takes nothing from the others. An answer's
    timing is that of its encoder's pass (with the melody, where it is heard) and of its whole batch.
    A lent GPU answers the desk's own prompts.
    """
    if desk.lent is not None and all(
        desk.backbones.get(b.name) is b and b.prompts.get(p.task) is p for b, p in asked
    ):
        said = desk.lent.compare(waveform, [(b.name, p.task) for b, p in asked])
        if said is not None:
            return [Row(*pair, *found) for pair, found in zip(asked, said, strict=True)]
    silent = audio.peak_dbfs(waveform) < audio.SILENCE_DBFS
    heard: dict[Quantizer, tuple[list[Units], float]] = {}
    rows: dict[int, Row] = {}
    for backbone in dict.fromkeys(backbone for backbone, _ in asked):
        places = [i for i, (its, _) in enumerate(asked) if its is backbone]
        deaf = {i for i in places if silent and asked[i][1].silence_label is None}
        rows |= {i: Row(backbone, asked[i][1], None, NO_SILENCE) for i in deaf}
        places = [i for i in places if i not in deaf]
        if not places:
            continue
        prompts = [asked[i][1] for i in places]
        try:
            units, encode_s = listen(backbone, waveform, heard)
            answers = answer_all(desk, backbone, prompts, units, encode_s)
            rows |= {i: Row(backbone, asked[i][1], a) for i, a in zip(places, answers, strict=True)}
        except SpeechPromptError as error:
            rows |= {i: Row(backbone, asked[i][1], None, str(error)) for i in places}
    return [rows[i] for i in range(len(asked))]


def listen(
    backbone: Backbone, waveform: np.ndarray, heard: dict[Quantizer, tuple[list[Units], float]]
) -> tuple[Units, float]:
    """The units that a backbone hears, and how many seconds that took; `heard` is kept up by this."""
    encoder = backbone.encoder
    start = time.perf_counter()
    if encoder not in heard:
        heard[encoder] = backbone.units([waveform]), time.perf_counter() - start
    found, encode_s = heard[encoder]
    start = time.perf_counter()
    return backbone.listen([waveform], found)[0], encode_s + time.perf_counter() - start


def answer_all(
    desk: Desk, backbone: Backbone, prompts: list[Prompt], units: Units, encode_s: float
) -> list[Answer]:
    """All prompts in one batch of the unit LM, with the pipeline's own projections where it has them."""
    if desk.backbones.get(backbone.name) is backbone:
        pipeline = desk.pipeline(backbone.name)
        if all(pipeline.prompts.get(prompt.task) is prompt for prompt in prompts):
            answers = pipeline.classify_units([units], [prompt.task for prompt in prompts])[0]
            return [replace(a, timing=a.timing | {"encode_s": encode_s}) for a in answers]
    prompted = PromptedLM(backbone.lm, prompts)
    start = time.perf_counter()
    (raw,) = prompted.answer([units], range(len(prompts)))
    timing = {"encode_s": encode_s, "lm_s": time.perf_counter() - start}
    return [make_answer(prompt, a, units, timing) for prompt, a in zip(prompts, raw, strict=True)]


# The tab


class Comparison:
    """What the Compare tab does: whom it may ask, and what happens on its events."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.hearing = {name: b for name, b in desk.backbones.items() if b.has_encoder and b.has_lm}
        self.first = [desk.default] if desk.default in self.hearing else list(self.hearing)[:1]

    def offered(self, backbones: Iterable[str]) -> dict[str, list[tuple[Backbone, Prompt]]]:
        """Task -> the chosen backbones that have a prompt for it, with that prompt; by group, then title."""
        found: dict[str, list[tuple[Backbone, Prompt]]] = {}
        for name in dict.fromkeys(map(str, backbones)):
            if name not in self.hearing:
                known = ", ".join(self.hearing)
                raise SpeechPromptError(f"No backbone {name[:80]!r} hears here; choose among: {known}.")
            for task, prompt in self.hearing[name].prompts.items():
                found.setdefault(task, []).append((self.hearing[name], prompt))
        return dict(sorted(found.items(), key=lambda kv: (kv[1][0][1].group, kv[1][0][1].title)))

    def rows(
        self, path: str | None, left_out: Iterable[str], backbones: Sequence[str]
    ) -> tuple[list[Row], float]:
        """Ask all tasks but those left out; also the seconds of the recording."""
        if not backbones:
            raise SpeechPromptError("No backbone is chosen: tick at least one.")
        left = set(map(str, left_out))
        asked = [
            pair for task, pairs in self.offered(backbones).items() if task not in left for pair in pairs
        ]
        if not asked:
            raise SpeechPromptError("No task is chosen: tick at least one.")
        waveform = load_recording(path)
        rows = compare(self.desk, waveform, asked)
        if not any(row.answer for row in rows) and all(row.error == NO_SILENCE for row in rows):
            raise SpeechPromptError(
                "Nothing was recorded, and no chosen task has an answer for silence: "
                "check the microphone and speak closer to it."
            )
        return rows, len(waveform) / audio.SAMPLE_RATE

    # Events

    def answer(
        self, path: str | None, left_out: list[str], backbones: list[str]
    ) -> tuple[Update, dict[str, Any], dict[str, Any]]:
        """The cards and the two files to download, or the sentence that says why there are none."""
        try:
            rows, seconds = self.rows(path, left_out, backbones)
            records = table(rows)
            said = "; ".join(
                f"{r.prompt.title}: {r.answer.label}, {percent(r.answer.score)}" for r in rows if r.answer
            )
            shown = panel(cards(rows, self.facts(rows, seconds)), f"{len(rows)} prompts asked. {said}.")
            return shown, download(to_csv(records), "csv"), download(to_json(records), "json")
        except Exception as error:
            return panel(figures.alert(sentence(error, "The page could not compare"))), nothing(), nothing()

    def change(
        self, path: str | None, left_out: list[str], backbones: list[str]
    ) -> tuple[Update, dict[str, Any], dict[str, Any]]:
        """The recording or a choice changed: compare, or invite a recording where there is none."""
        return self.answer(path, left_out, backbones) if path else (panel(INVITATION), nothing(), nothing())

    def choose_backbones(self, backbones: list[str]) -> tuple[Update, Update]:
        """Other backbones: their tasks, and the examples that are for those."""
        try:
            return gr.HTML(options=self.task_checks(backbones)), gr.HTML(self.examples(backbones))
        except SpeechPromptError:  # a name that the page never offered
            return gr.skip(), gr.skip()

    def take_over(self, theirs: str | None, mine: str | None) -> str | dict[str, Any]:
        """The tab was opened: without a recording of its own it takes that of the first tab."""
        return theirs if theirs and not mine and Path(theirs).is_file() else gr.skip()

    def choose_example(self, event: gr.EventData) -> str | dict[str, Any]:
        """An example was clicked: put it into the player, which asks for the comparison."""
        index = event._data.get("index") if isinstance(event._data, dict) else None
        clips = self.desk.clips
        if type(index) is not int or not 0 <= index < len(clips) or "file" not in clips[index]:
            return gr.skip()
        return str(self.desk.clip_path(index))

    # Contents

    def facts(self, rows: Sequence[Row], seconds: float) -> list[str]:
        answered = [row for row in rows if row.answer]
        found = [f"{seconds:.2f} s of sound"]
        for backbone in dict.fromkeys(row.backbone for row in answered):
            its = [row.answer for row in answered if row.backbone is backbone and row.answer]
            tasks = f"{len(its)} tasks in one batch" if len(its) > 1 else "1 task"
            found.append(f"{backbone.name}: {tasks}, {took(its[0])}")
        return [*found, self.desk.device_text()]

    def task_checks(self, backbones: Iterable[str]) -> str:
        """Checkboxes for the tasks of these backbones, by group, each group and all of them under a head."""
        groups: dict[str, list[str]] = {}
        for task, pairs in self.offered(backbones).items():
            prompt = pairs[0][1]
            known = [f"{b.name} {figures.measured(p)}" for b, p in pairs]
            hint = figures.measured(prompt) if len(pairs) == 1 else ", ".join(known)
            groups.setdefault(prompt.group, []).append(check(prompt.title, task, hint))
        if not groups:
            return "<p>These backbones have no tasks yet.</p>"
        html = "".join(check_group(group, entries) for group, entries in groups.items())
        return check("All tasks") + html

    def examples(self, backbones: Iterable[str]) -> str:
        """Buttons for the clips that are for a task of these backbones."""
        offered = self.offered(backbones)
        entries = []
        for index, clip in enumerate(self.desk.clips):
            if "file" in clip and offered.keys() & clip["labels"].keys():
                language = LANGUAGES.get(clip["language"], clip["language"])
                entry = {"index": str(index), "spoken": clip["spoken"], "about": clip["attribution"]}
                entries.append(entry | {"task": language})
        return figures.examples(entries)


INVITATION = (
    '<section class="sp-card sp-empty"><h2>One recording, every task</h2>'
    "<p>Record your voice, choose a file or click an example: every ticked task answers it, side by side.</p></section>"
)


def download(data: bytes, kind: str) -> dict[str, Any]:
    """A file behind a button, kept where gradio clears up by itself."""
    path = save_bytes_to_cache(data, f"comparison.{kind}", get_upload_folder())
    return gr.update(value=path, visible=True)


def nothing() -> dict[str, Any]:
    return gr.update(value=None, visible=False)
