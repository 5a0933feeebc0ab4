"""What the page offers: tasks with their accuracy, backbones, example clips, and what it all runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from speechprompt.prompts.config import EXPERIMENTAL, FEWEST_STRANGERS
from speechprompt.prompts.installed import in_list
from speechprompt.ui import html
from speechprompt.ui.desk import Desk
from speechprompt.ui.session import Session

if TYPE_CHECKING:
    from speechprompt.prompts.prompt import Prompt

FIRST_TASK = "keyword_spotting"
# Tasks that stand among the experimental ones where another is here that tells more, and is right more often.
SUPERSEDED = {"gender": "voice"}
EXAMPLES_SHOWN = 4  # of a task
LANGUAGES = {"en": "English", "ar": "Arabic", "zh": "Mandarin", "lt": "Lithuanian", "de": "German"}


class Choices:
    """The contents of a desk as the page's tabs show them.

    only: the prompts that a tab is for. backbones: those that it asks, all that can answer by itself.
    """

    def __init__(
        self,
        desk: Desk,
        only: Callable[[Prompt], bool] = lambda prompt: True,
        backbones: Iterable[str] | None = None,
    ) -> None:
        self.desk, self.only = desk, only
        self.backbones = tuple(desk.backbones if backbones is None else backbones)

    def device_text(self) -> str:
        """ "CPU · 2 threads": what the models run on."""
        device = self.desk.device
        if device.type == "cuda":
            return torch.cuda.get_device_name(device)
        n = torch.get_num_threads()
        here = f"{device.type.upper()} · {n} thread{'s' * (n != 1)}"
        return here if self.desk.lender is None else f"ZeroGPU, else {here}"

    def facts(self, backbone: str) -> list[str]:
        return [self.device_text(), f"Backbone {backbone}"]

    # Tasks and backbones

    def offered(self, session: Session | None = None) -> dict[str, list[str]]:
        """Every task with the backbones that have a prompt for it: the default first, those without encoder last.

        Of two prompts of a task the one that strangers found right more often comes first, or where these were not
        measured on both or as often right, the one that is right more often on the same test split.
        """
        found: dict[str, list[str]] = {}
        names = sorted(
            self.backbones,
            key=lambda name: (not self.desk.backbones[name].complete, name != self.desk.default),
        )
        for name in names:
            if self.desk.backbones[name].has_lm:
                for task, prompt in self.desk.prompts(name, session).items():
                    if self.only(prompt):
                        found.setdefault(task, []).append(name)
        return {task: self.best_first(task, has, session) for task, has in found.items()}

    def best_first(self, task: str, names: list[str], session: Session | None) -> list[str]:
        """The backbones of a task; those measured alike share their places, best first among complete ones."""
        prompts = {name: self.desk.prompt(task, name, session) for name in names}
        right = {
            name: prompt.strangers["right"]
            for name, prompt in prompts.items()
            if prompt.strangers is not None and prompt.strangers["n"] >= FEWEST_STRANGERS
        }
        tested = measured_alike(prompts)
        if len(right) < 2:
            right = tested

        def rank(name: str) -> tuple[bool, float, float]:
            return not self.desk.backbones[name].complete, -right[name], -tested.get(name, 0.0)

        order = iter(sorted(right, key=rank))
        return [next(order) if name in right else name for name in names]

    def backbone_of(self, task: str, wanted: str = "", session: Session | None = None) -> str:
        """The backbone that answers a task: the wanted one where it can, else the first that has the task."""
        has = self.offered(session).get(task, [])
        return wanted if wanted in has or not has else has[0]

    def task_options(self, backbone: str = "", session: Session | None = None) -> str:
        """The tasks of a backbone, or of all, by group; each says in a sentence what it is and how often right."""
        groups: dict[str, list[tuple[str, str, str]]] = {}
        if backbone:
            names = dict.fromkeys(self.desk.prompts(backbone, session), backbone)
        else:
            names = {task: has[0] for task, has in self.offered(session).items()}
        prompts = [self.desk.prompt(task, name, session) for task, name in names.items()]
        behind = [prompt for prompt in prompts if SUPERSEDED.get(prompt.task) in names]
        for prompt in [*sorted((p for p in prompts if p not in behind), key=in_list), *behind]:
            task, name = prompt.task, names[prompt.task]
            short = "" if self.desk.backbones[name].has_encoder else " (units only)"
            entry = (task, f"{prompt.title}{short}", html.task_hint(prompt))
            groups.setdefault(EXPERIMENTAL if prompt in behind else prompt.heading, []).append(entry)
        return html.options(groups or {"": [("", "No tasks yet", "")]})

    def first_task(self, backbone: str) -> str:
        """The task chosen at first: the one people expect, or whatever there is."""
        prompts = self.desk.backbones[backbone].prompts
        return FIRST_TASK if FIRST_TASK in prompts else next(iter(prompts), "")

    def backbone_options(self, task: str = "", session: Session | None = None) -> str:
        """The backbones that can answer a task (all without one), each with its description."""
        names = self.offered(session).get(task) or list(self.desk.backbones)
        known = [self.desk.backbones[name] for name in names]
        return html.options({"": [(b.name, b.title, b.info.description) for b in known]})

    # Examples

    def example(self, data: Any) -> int | None:
        """The index of the example that a click names; None unless there is such a one."""
        index = data.get("index") if isinstance(data, dict) else None
        return index if type(index) is int and 0 <= index < len(self.desk.clips) else None

    def clip_path(self, index: int) -> Path:
        return Path(self.desk.examples_folder or "", self.desk.clips[index]["file"])

    def examples_of(self, task: str, backbone: str) -> list[int]:
        """The clips that are for a task and that the backbone can answer: recordings, or units without encoder."""
        here = self.desk.backbones[backbone]
        return [
            index
            for index, clip in enumerate(self.desk.clips)
            if task in clip["labels"]
            and ("file" in clip) == here.has_encoder
            and clip.get("backbone", backbone) == backbone
        ]

    def words(self, task: str, backbone: str, session: Session | None = None) -> str:
        """The line under the bar where nothing is played: what can be said for a task."""
        prompt = self.desk.prompts(backbone, session).get(task)
        return "" if prompt is None else html.say(prompt, (), html.WORD_LETTERS)

    def say(self, task: str, backbone: str, session: Session | None = None) -> str:
        """The line under the bar: what can be said for a task, and its own examples to hear."""
        prompt = self.desk.prompts(backbone, session).get(task)
        if prompt is None:
            return ""
        own = self.examples_of(task, backbone)
        # One for each label first: three clips of one class teach less than one of each.
        labels = [self.desk.clips[index]["labels"][task] for index in own]
        own = [index for at, index in enumerate(own) if labels[at] not in labels[:at]][:EXAMPLES_SHOWN]
        entries = []
        for index in own:
            clip = self.desk.clips[index]
            about = f"{language(clip)}. {clip['attribution']}".lstrip(". ")
            entries.append(
                {"index": str(index), "name": name_of(clip), "spoken": clip["spoken"], "about": about}
            )
        return html.say(prompt, entries)


def name_of(clip: dict[str, Any]) -> str:
    """What an address calls an example."""
    return Path(clip["file"]).stem if "file" in clip else clip["spoken"].replace(" ", "_")


def language(clip: dict[str, Any]) -> str:
    return LANGUAGES.get(clip["language"], clip["language"])


def measured_alike(prompts: Mapping[str, Prompt]) -> dict[str, float]:
    """Backbone -> accuracy (0..1) of the prompts that were tested on as many recordings as the first tested one."""
    tested = {name: p.metrics for name, p in prompts.items() if p.metrics.get("split") == "test"}
    n = next((metrics["n"] for metrics in tested.values()), None)
    return {name: metrics["accuracy"] for name, metrics in tested.items() if metrics["n"] == n}
