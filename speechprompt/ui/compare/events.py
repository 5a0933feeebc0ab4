"""What happens on the Compare tab: many tasks of several backbones about one recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.config import EXPERIMENTAL
from speechprompt.prompts.installed import in_list
from speechprompt.prompts.prompt import Prompt
from speechprompt.ui import html
from speechprompt.ui.choices import SUPERSEDED, Choices, language, name_of
from speechprompt.ui.classify.answer import shown_label
from speechprompt.ui.compare.cards import cards, check, check_group, took
from speechprompt.ui.compare.grid import batch, ordered
from speechprompt.ui.compare.table import table, to_csv, to_json
from speechprompt.ui.comparison import NO_SILENCE, NO_SPEECH, Row
from speechprompt.ui.complaints import sentence
from speechprompt.ui.controls import Update, panel
from speechprompt.ui.desk import Desk, load_recording

MAX_FILES = 32  # recordings answered in one go
BEST = "*"  # among the chosen backbones, for each task the one that is right most often, which Try asks too
NO_ENCODER = "No backbone here can hear: fetch an encoder with `python -m speechprompt fetch`."


class Comparison:
    """The handlers of the Compare tab, over the models of a Desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.choices = desk, Choices(desk)
        self.complete = desk.complete()
        self.first = [BEST]

    def offered(self, backbones: Iterable[str]) -> dict[str, list[tuple[Backbone, Prompt]]]:
        """Task -> the chosen backbones that have a prompt for it, with that prompt; by group, then title."""
        found: dict[str, list[tuple[Backbone, Prompt]]] = {}
        names = dict.fromkeys(map(str, backbones))
        if BEST in names:
            del names[BEST]
            best = {task: self.complete.get(has[0]) for task, has in self.choices.offered().items()}
            found = {task: [(there, there.prompts[task])] for task, there in best.items() if there}
        for name in names:
            if name not in self.complete:
                known = ", ".join(self.complete)
                raise SpeechPromptError(f"No backbone {name[:80]!r} hears here; choose among: {known}.")
            here = self.complete[name]
            for task, prompt in here.prompts.items():
                if (here, prompt) not in found.get(task, []):
                    found.setdefault(task, []).append((here, prompt))
        return dict(sorted(found.items(), key=lambda kv: in_list(kv[1][0][1])))

    def superseded(self, backbones: Iterable[str]) -> list[str]:
        """Those of their tasks in whose place another one here tells more: left out until they are ticked."""
        here = {task for backbone in self.complete.values() for task in backbone.prompts}
        return [task for task in self.offered(backbones) if SUPERSEDED.get(task) in here]

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
        rows = self.desk.compare(waveform, [(backbone.name, prompt.task) for backbone, prompt in asked])
        if {row.error for row in rows} <= {NO_SILENCE, NO_SPEECH}:  # an answer has none
            fact = rows[0].error.partition(",")[0]
            raise SpeechPromptError(
                f"{fact}, and no chosen task has an answer for silence: "
                "check the microphone and speak closer to it."
            )
        return rows, len(waveform) / SAMPLE_RATE

    # Events

    def answer(
        self, path: str | None, second: str | None, left_out: list[str], backbones: list[str]
    ) -> tuple[Update, dict[str, Any], dict[str, Any]]:
        """The table and the two files to download, or the sentence that says why there are none."""
        try:
            rows, seconds = self.rows(path, left_out, backbones)
            others = self.rows(second, left_out, backbones)[0] if second else []
            records = table([*rows, *others])
            answers = "; ".join(
                f"{r.prompt.title}: {shown_label(r.answer)}, {html.percent(r.answer.score)}"
                for r in ordered(rows)
                if r.answer
            )
            status = f"{len(rows)} prompts asked. {answers}."
            shown = panel(cards(rows, self.facts(rows, seconds), others), status)
            return shown, download(to_csv(records), "csv"), download(to_json(records), "json")
        except Exception as error:
            return panel(html.alert(sentence(error, "The page could not compare"))), nothing(), nothing()

    def change(
        self, path: str | None, second: str | None, left_out: list[str], backbones: list[str]
    ) -> tuple[Update, dict[str, Any], dict[str, Any]]:
        """A recording or a choice changed: compare, or invite a recording where there is none."""
        if not path:
            return panel(INVITATION), nothing(), nothing()
        return self.answer(path, second, left_out, backbones)

    def label_files(
        self, paths: list[str] | None, left_out: list[str], backbones: list[str]
    ) -> Iterator[tuple[Update, dict[str, Any], dict[str, Any]]]:
        """Many recordings: the table grows by a row for each; a bad one takes nothing from the others."""
        if not paths:
            return
        found: list[tuple[str, list[Row], str]] = []
        heads: list[Prompt] = []
        records: list[dict[str, Any]] = []
        try:
            if len(paths) > MAX_FILES:
                raise SpeechPromptError(f"At most {MAX_FILES} files are answered at once: choose fewer.")
            for path in paths:
                name = Path(path).name
                try:
                    rows, _ = self.rows(path, left_out, backbones)
                    heads = [row.prompt for row in rows]
                    found.append((name, rows, ""))
                    records += [{"file": name} | record for record in table(rows)]
                except SpeechPromptError as error:
                    found.append((name, [], str(error)))
                yield panel(batch(heads, found, len(paths))), gr.skip(), gr.skip()
            shown = panel(batch(heads, found, len(paths)), f"{len(found)} recordings answered.")
            yield shown, download(to_csv(records), "csv"), download(to_json(records), "json")
        except Exception as error:
            status = sentence(error, "The page could not answer many recordings")
            yield panel(html.alert(status)), nothing(), nothing()

    def choose_backbones(self, backbones: list[str]) -> tuple[Update, Update]:
        """Other backbones: their tasks, and the examples that are for those."""
        try:
            return gr.HTML(
                options=self.task_checks(backbones), caption=CHECKS_CAPTION, field=CHECKS_FIELD
            ), gr.HTML(self.examples(backbones))
        except SpeechPromptError:  # a name that the page never offered
            return gr.skip(), gr.skip()

    def take_over(self, theirs: str | None, mine: str | None) -> str | dict[str, Any]:
        """The tab was opened: without a recording of its own it takes that of the first tab."""
        return theirs if theirs and not mine and Path(theirs).is_file() else gr.skip()

    def choose_example(self, event: gr.EventData) -> str | dict[str, Any]:
        """An example was clicked: put it into the player, which asks for the comparison."""
        index = self.choices.example(event._data)
        if index is None or "file" not in self.desk.clips[index]:
            return gr.skip()
        return str(self.choices.clip_path(index))

    # Contents

    def facts(self, rows: Sequence[Row], seconds: float) -> list[str]:
        answered = [row for row in rows if row.answer]
        found = [f"{seconds:.2f} s of sound"]
        for backbone in dict.fromkeys(row.backbone for row in answered):
            its = [row.answer for row in answered if row.backbone is backbone and row.answer]
            tasks = f"{len(its)} tasks in one batch" if len(its) > 1 else "1 task"
            found.append(f"{backbone.name}: {tasks}, {took(its[0])}")
        return [*found, self.choices.device_text()]

    def task_checks(self, backbones: Iterable[str]) -> str:
        """Checkboxes for the tasks of these backbones, by group, each group and all of them under a head."""
        groups: dict[str, list[str]] = {}
        behind = self.superseded(backbones)
        for task, pairs in sorted(self.offered(backbones).items(), key=lambda kv: kv[0] in behind):
            prompt = pairs[0][1]
            known = [f"{b.name} {html.measured(p)}" for b, p in pairs]
            hint = html.measured(prompt) if len(pairs) == 1 else ", ".join(known)
            heading = EXPERIMENTAL if task in behind else prompt.heading
            groups.setdefault(heading, []).append(check(prompt.title, task, hint))
        if not groups:
            return "<p>These backbones have no tasks yet.</p>"
        return check("All tasks") + "".join(check_group(group, entries) for group, entries in groups.items())

    def examples(self, backbones: Iterable[str]) -> str:
        """Buttons for the clips that are for a task of these backbones."""
        offered = self.offered(backbones)
        entries = []
        for index, clip in enumerate(self.desk.clips):
            if "file" in clip and offered.keys() & clip["labels"].keys():
                about = f"{language(clip)}. {clip['attribution']}".lstrip(". ")
                entry = {"index": str(index), "spoken": clip["spoken"], "about": about}
                entries.append(entry | {"name": name_of(clip)})
        return html.examples(entries, "Hear")


# All that the template names, as a fold that was never opened has its component only from its latest update.
CHECKS_CAPTION, CHECKS_FIELD = "Tasks to compare", "sp-compare-tasks"
INVITATION = (
    '<section class="sp-card sp-empty"><h2>One recording, every task</h2>'
    "<p>Record your voice, choose a file or click an example: every task answers it, in one table.</p></section>"
)


def download(data: bytes, kind: str) -> dict[str, Any]:
    """A file behind a button, kept where gradio clears up by itself."""
    path = save_bytes_to_cache(data, f"comparison.{kind}", get_upload_folder())
    return gr.update(value=path, visible=True)


def nothing() -> dict[str, Any]:
    return gr.update(value=None, visible=False)
