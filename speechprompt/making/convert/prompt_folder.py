"""Bring prompt folders of format version 2 to version 3.

The command `convert prompt-folder` says how and why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import CARD_NAME, PROMPT_JSON, Prompt, read_tensors
from speechprompt.storage.folders import read_json, replaced_folder, write_json
from speechprompt.storage.schema import read
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.catalogue import TASKS
from speechprompt.tasks.labels import check_rule

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
