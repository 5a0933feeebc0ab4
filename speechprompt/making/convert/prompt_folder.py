"""Bring prompt folders of format version 2 to version 3.

  python -m speechprompt convert prompt-folder prompts/mini/my_words prompts/mini/*

Weights and answers stay as they are: prompt_config.json and the card are written anew, in place. What version 2
did not know (a sentence about the task, what it expects, its languages and limits) comes from the task of that
name in speechprompt/tasks/catalogue.py, where there is one; the commands that made the prompt come from its card.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import CARD_NAME, FORMAT_VERSION, PROMPT_JSON, Prompt, read_tensors
from speechprompt.storage.folders import read_json, replaced_folder, write_json
from speechprompt.storage.schema import read
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.catalogue import TASKS
from speechprompt.tasks.labels import KINDS, check_rule

OLD_VERSION = 2
SAME = ("task", "title", "backbone", "unit_lm_sha256", "group", "data", "licence", "metrics")
OF_FORM = {"answer": "kind"} | {
    name: name for name in ("labels", "slots", "max_steps", "beams", "joiner", "window", "silence_label")
}
OF_TASK = ("about", "expects", "languages", "limits")
# Facts of the tensors, which tell them themselves.
OF_TENSORS = ("deep", "length", "verbalizer")


def upgraded(folder: Path) -> Prompt:
    """The prompt in a folder of version 2; SpeechPromptError names the file and the fact."""
    what = f"Prompt {folder.name}"
    old = read_json(folder, PROMPT_JSON, what, version=OLD_VERSION)
    if unknown := old.keys() - {
        *SAME,
        *OF_FORM,
        *OF_TENSORS,
        "absolute_pitch",
        "label_rule",
        "example",
        "calibration",
    }:
        raise SpeechPromptError(f"{what}: {PROMPT_JSON} holds an unknown entry {min(unknown)[:40]!r}.")
    source = f"{what}: {PROMPT_JSON}"
    form = read(AnswerForm, {new: old[name] for name, new in OF_FORM.items() if name in old}, source)
    facts: dict[str, Any] = {name: old[name] for name in SAME if name in old}
    facts |= {"form": form, "absolute_pitch": old.get("absolute_pitch", False), "commands": commands(folder)}
    facts |= {"label_rule": held(old.get("label_rule")), "calibration": old.get("calibration") or None}
    if old.get("example") is not None:
        facts["examples"] = [old["example"]]
    if isinstance(old.get("task"), str) and old["task"] in TASKS:
        facts |= {name: getattr(TASKS[old["task"]], name) for name in OF_TASK}
    return read(Prompt, facts | read_tensors(folder, what, len(form.labels)), source)


def held(rule: Any) -> dict[str, Any] | None:
    """The label rule if prompts may still hold it; None of those that the tasks have as functions now."""
    try:
        return dict(check_rule(rule))
    except (SpeechPromptError, AttributeError, TypeError):
        return None


def commands(folder: Path) -> dict[str, str]:
    """How the prompt was "tuned", "measured" and "calibrated", as its card says."""
    file = folder / CARD_NAME
    card = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    blocks = card.partition("## How it was made")[2].split("```")
    found: dict[str, str] = {}
    how = "tuned"
    for line in blocks[1].strip().splitlines() if len(blocks) > 1 else []:
        if line.startswith("# ") and line.endswith(" by"):
            how = line[2:-3]
        elif line.strip() and how in ("tuned", "measured", "calibrated"):
            found[how] = f"{found[how]} {line}" if how in found else line
    return found


def upgrade(folder: Path) -> Prompt:
    """Write a folder of version 2 anew, as version 3."""
    prompt = upgraded(folder)
    with replaced_folder(folder) as aside:  # the weights and the picture are kept as they are
        write_json(aside / PROMPT_JSON, prompt.config())
        (aside / CARD_NAME).write_text(prompt_card(prompt), encoding="utf-8")
    return prompt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="prompts/BACKBONE/TASK")


def run(args: argparse.Namespace) -> int:
    folders: Sequence[Path] = args.folders
    for folder in folders:
        if read_json(folder, PROMPT_JSON, f"Prompt {folder.name}").get("format_version") == FORMAT_VERSION:
            print(f"{folder}: version {FORMAT_VERSION} already")
            continue
        prompt = upgrade(folder.absolute())
        advice = "" if prompt.label_rule or prompt.task in TASKS else f"; give it a label_rule: {KINDS}"
        print(f"{folder}: version {FORMAT_VERSION}{advice}")
    return 0
