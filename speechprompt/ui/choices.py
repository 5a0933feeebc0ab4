"""What the page offers: tasks with their accuracy, backbones, example clips, and what it all runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from speechprompt.ui import html
from speechprompt.ui.desk import Desk
from speechprompt.ui.session import Session

FIRST_TASK = "keyword_spotting"
LANGUAGES = {"en": "English", "ar": "Arabic", "zh": "Mandarin", "lt": "Lithuanian", "de": "German"}


class Choices:
    """The contents of a desk as the page's tabs show them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

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

    def task_options(self, backbone: str, session: Session | None = None) -> str:
        """The backbone's tasks by group, each with its measured accuracy."""
        groups: dict[str, list[tuple[str, str, str]]] = {}
        for task, prompt in self.desk.prompts(backbone, session).items():
            text = f"{prompt.title} · {html.measured(prompt)}"
            groups.setdefault(prompt.heading, []).append((task, text, html.task_hint(prompt)))
        return html.options(groups or {"": [("", "No tasks yet", "")]})

    def first_task(self, backbone: str) -> str:
        """The task chosen at first: the one people expect, or whatever there is."""
        prompts = self.desk.backbones[backbone].prompts
        return FIRST_TASK if FIRST_TASK in prompts else next(iter(prompts), "")

    def backbone_options(self) -> str:
        """All backbones, each with its description."""
        return html.options(
            {"": [(b.name, b.title, b.info.description) for b in self.desk.backbones.values()]}
        )

    # Examples

    def example(self, data: Any) -> int | None:
        """The index of the example that a click names; None unless there is such a one."""
        index = data.get("index") if isinstance(data, dict) else None
        return index if type(index) is int and 0 <= index < len(self.desk.clips) else None

    def clip_path(self, index: int) -> Path:
        return Path(self.desk.examples_folder or "", self.desk.clips[index]["file"])

    def example_task(self, clip: dict[str, Any], backbone: str) -> str | None:
        """The first of the clip's tasks that the backbone can answer: about a recording, or about its units."""
        here = self.desk.backbones[backbone]
        if ("file" in clip) != here.has_encoder or clip.get("backbone", backbone) != backbone:
            return None
        return next((task for task in clip["labels"] if task in here.prompts), None)

    def example_buttons(self, backbone: str) -> str:
        """A button for each clip that is for a task of the backbone."""
        here = self.desk.backbones[backbone]
        entries = []
        for index, clip in enumerate(self.desk.clips):
            task = self.example_task(clip, backbone)
            if task is not None:
                about = f"{language(clip)}. {clip['attribution']}"
                entry = {"index": str(index), "spoken": clip["spoken"], "about": about}
                entries.append(entry | {"task": here.prompts[task].title})
        return html.examples(entries)


def language(clip: dict[str, Any]) -> str:
    return LANGUAGES.get(clip["language"], clip["language"])
