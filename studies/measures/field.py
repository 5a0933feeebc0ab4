"""Recordings of strangers, answered by the bundled prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from speechprompt.audio import load as audio
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.metrics import wilson_interval
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.card_texts import percent
from speechprompt.prompts.config import Strangers
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import TASKS

FIELD = "field"
SECONDS = (0.4, 0.8, 1.5, 3.0, 5.0)
# Tasks that the recordings of another field task are for, too: task -> (field task, its label -> the task's own).
ALSO: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "voice": ("gender", {"female": "woman", "male": "man"}),
    "age_group": ("gender", {"female": "adult", "male": "adult"}),
}
# Labels for what is none of the others.
OPEN = {"keyword_spotting": {"unknown"}, "lithuanian_commands": {"unknown"}, "wake_words": {"unknown"}}
MUSIC_IS = {"voice_activity": {"noise"}}
BY_LENGTH = (
    "language_id",
    "gender",
    "voice",
    "age_group",
    "voice_activity",
    "sound_events",
    "sound_events_50",
    "fake_speech",
)


@dataclass(frozen=True)
class Heard:
    """One answer. within: whether the task has the label; seconds: of the stretch, None of the whole recording."""

    task: str
    source: str
    label: str
    answer: str
    flagged: bool
    within: bool
    seconds: float | None = None

    @property
    def right(self) -> bool:
        """Whether the answer is the label or, outside, admits that it has none."""
        if self.within:
            return self.answer == self.label
        admits = OPEN.get(self.task, set()) | {TASKS[self.task].open_label if self.task in TASKS else None}
        return self.flagged or self.answer in admits | MUSIC_IS.get(self.task, set())


def rows_for(task: str, rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """The recordings that a task is asked about, each with the label that is right."""
    field_task, names = ALSO.get(task, (task, {}))
    return [
        (row, names.get(row["label"], row["label"]))
        for row in rows
        if (row["task"] == field_task and not row.get("synthetic", False)) or row["task"] == task
    ]


def tasks_of(there: Sequence[Sequence[str]], wanted: Sequence[str], first: bool) -> list[list[str]]:
    """The tasks that each backbone is asked, of those it has: the wanted ones, or all where none is.

    first: a task that several have is asked of the first of them alone.
    """
    before: set[str] = set()
    found = []
    for tasks in there:
        found.append([task for task in tasks if task not in before and (not wanted or task in wanted)])
        before |= set(tasks) if first else set()
    return found


def middle(waveform: np.ndarray, seconds: float) -> np.ndarray:
    """So many seconds from the middle of a waveform [T] at 16 kHz."""
    n = round(seconds * audio.SAMPLE_RATE)
    start = (len(waveform) - n) // 2
    return waveform[start : start + n]


def answers(backbone: Backbone, tasks: Sequence[str], rows: Sequence[dict[str, Any]]) -> Iterator[Heard]:
    """Every answer to every recording, whole and in stretches."""
    pipeline = SpeechPrompt(backbone)
    asked: dict[int, list[tuple[Prompt, str]]] = {}
    for task in tasks:
        for row, label in rows_for(task, rows):
            asked.setdefault(rows.index(row), []).append((pipeline.prompts[task], label))
    for index, prompts in tqdm(asked.items(), desc=backbone.name, unit="recording", mininterval=5):
        row = rows[index]
        waveform = audio.load(row["audio"])
        long = [(p, label) for p, label in prompts if p.task in BY_LENGTH]
        shorter = [s for s in SECONDS if s * audio.SAMPLE_RATE < len(waveform)] if long else []
        for seconds in (None, *shorter):
            clip = waveform if seconds is None else middle(waveform, seconds)
            asking = prompts if seconds is None else long
            for (prompt, label), (answer, flagged) in zip(
                asking, answered(pipeline, clip, [prompt.task for prompt, _ in asking]), strict=True
            ):
                within = label in prompt.labels
                yield Heard(prompt.task, row["source"], label, answer, flagged, within, seconds)


def answered(pipeline: SpeechPrompt, clip: np.ndarray, tasks: Sequence[str]) -> list[tuple[str, bool]]:
    """(answer, whether it is flagged) of each task; ("", True) where nothing is heard that it has a label for."""
    try:
        return [(found.label, found.flagged) for found in pipeline.classify(clip, tasks)]
    except SpeechPromptError:
        if len(tasks) == 1:
            return [("", True)]
    return [found for task in tasks for found in answered(pipeline, clip, [task])]


def figures(heard: Sequence[Heard]) -> dict[str, Any]:
    """n, right (0..1), interval95, and the shares of right and of wrong answers that are flagged."""
    right = [one for one in heard if one.right]
    wrong = [one for one in heard if not one.right]
    low, high = wilson_interval(len(right), len(heard))
    return {
        "n": len(heard),
        "right": round(len(right) / len(heard), 4) if heard else None,
        "interval95": [round(low, 4), round(high, 4)],
        "right_flagged": share([one.flagged for one in right]),
        "wrong_flagged": share([one.flagged for one in wrong]),
    }


def share(found: Sequence[bool]) -> float | None:
    return round(sum(found) / len(found), 4) if found else None


def strangers_of(heard: Sequence[Heard]) -> Strangers:
    """What a prompt keeps: the figures of whole recordings within its labels, and how it met those outside."""
    whole = [one for one in heard if one.seconds is None]
    within, outside = [one for one in whole if one.within], [one for one in whole if not one.within]
    found = figures(within)
    kept: Strangers = {
        "n": found["n"],
        "right": found["right"],
        "interval95": found["interval95"],
        "right_flagged": found["right_flagged"],
        "wrong_flagged": found["wrong_flagged"],
        "sources": len({one.source for one in within}),
        "outside": len(outside),
        "outside_admitted": share([one.right for one in outside]),
    }
    return kept


def summary(heard: Sequence[Heard]) -> dict[str, Any]:
    """All figures of one task: within, outside, by source, by length."""
    whole = [one for one in heard if one.seconds is None]
    groups: dict[str, dict[str, list[Heard]]] = {"by_label": {}, "by_source": {}, "by_seconds": {}}
    for one in whole:
        groups["by_label"].setdefault(one.label, []).append(one)
        groups["by_source"].setdefault(one.source, []).append(one)
    for one in heard:
        if one.seconds is not None and one.within:
            groups["by_seconds"].setdefault(f"{one.seconds:g}", []).append(one)
    return {
        "within": figures([one for one in whole if one.within]),
        "outside": figures([one for one in whole if not one.within]),
        **{
            name: {key: figures(found) for key, found in sorted(group.items())}
            for name, group in groups.items()
        },
    }


HEAD = (
    "task", "backbone", "test", "strangers", "95 % interval", "sources", "right flagged", "wrong flagged",
    "outside: admitted", "by seconds " + " / ".join(f"{s:g}" for s in SECONDS),
)  # fmt: skip


def line(prompt: Prompt, found: Mapping[str, Any]) -> list[str]:
    within, outside = found["within"], found["outside"]
    low, high = within["interval95"]
    lengths = [found["by_seconds"].get(f"{s:g}", {}).get("right") for s in SECONDS]
    return [
        f"`{prompt.task}`",
        prompt.backbone,
        percent(prompt.metrics.get("accuracy")),
        f"{percent(within['right'])} of {within['n']}",
        f"{100 * low:.0f}–{100 * high:.0f}" if within["n"] else "–",
        str(len(found["by_source"])),
        percent(within["right_flagged"]),
        percent(within["wrong_flagged"]),
        f"{percent(outside['right'])} of {outside['n']}" if outside["n"] else "–",
        " / ".join(percent(value).removesuffix(" %") for value in lengths) if any(lengths) else "–",
    ]


def line_of_all(heard: Sequence[Heard]) -> list[str]:
    """Whole recordings within, of all tasks: how many are right, how many of these and of the others are flagged."""
    found = figures([one for one in heard if one.within and one.seconds is None])
    cells = {
        "task": "all",
        "strangers": f"{percent(found['right'])} of {found['n']}",
        "right flagged": percent(found["right_flagged"]),
        "wrong flagged": percent(found["wrong_flagged"]),
    }
    return [cells.get(name, "") for name in HEAD]


def write(backbone: Backbone, prompt: Prompt, heard: Sequence[Heard]) -> None:
    """Keep the figures in the prompt's folder and its card, where there is one recording or more within."""
    if any(one.within and one.seconds is None for one in heard):
        prompt = replace(prompt, strangers=strangers_of(heard))
        prompt.save(backbone.prompt_folder(prompt.task), prompt_card(prompt))
