"""What prompt_config.json may hold: every entry of a prompt but its tensors, within bounds.

A prompt folder comes from anyone, so all that is shown to people or decides on work is checked here.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from speechprompt.answer_form import AnswerForm
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts import confusion

MAX_LABELS = 1000
MAX_LABEL_CHARACTERS = 80
MAX_SLOTS = 16
MAX_STEPS = 400  # labels in one answer: what a minute of speech may spell
MAX_BEAMS = 16
MAX_SEEDS = 100

TASK_PATTERN = re.compile(r"[a-z0-9_]{1,64}")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
# Control characters, halves of characters, and what turns the direction of text around.
CONTROL_PATTERN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
TEXT_LIMITS = {"title": 80, "group": 40, "backbone": 80, "data": 2000, "licence": 300}  # characters

# Facts about the prompt, as its fields; then what its tensors are, to be held against them.
FACTS = (
    "task",
    "title",
    "labels",
    "backbone",
    "unit_lm_sha256",
    "answer",
    "slots",
    "max_steps",
    "beams",
    "joiner",
    "group",
    "label_rule",
    "silence_label",
    "data",
    "metrics",
    "licence",
    "example",
    "calibration",
)
# Entries that make the answer form -> its fields.
FORM_FACTS = {"answer": "kind"} | {
    name: name for name in ("labels", "slots", "max_steps", "beams", "joiner", "window", "silence_label")
}
# What a calibration holds (calibration.py): bounds of its numbers; those that may be null end in "flagged".
CALIBRATION_BOUNDS = {
    "temperature": (0.01, 100.0),
    "threshold": (0.0, 1.0),
    "error_before": (0.0, 1.0),
    "error_after": (0.0, 1.0),
    "right_flagged": (0.0, 1.0),
    "wrong_flagged": (0.0, 1.0),
}
ENTRIES = {"format_version", *FACTS, "deep", "length", "verbalizer"}
OPTIONAL = {"absolute_pitch", "window"}  # entries that are there only where they say something
MIN_WINDOW, MAX_WINDOW = 0.5, 60.0  # s


def is_task(value: object) -> bool:
    return isinstance(value, str) and TASK_PATTERN.fullmatch(value) is not None


def is_text(value: object, limit: int) -> bool:
    return isinstance(value, str) and len(value) <= limit and CONTROL_PATTERN.search(value) is None


def check_config(config: dict[str, Any], what: str) -> None:
    """Raise SpeechPromptError unless prompt_config.json holds exactly what it should, within bounds."""
    if wrong := (config.keys() - OPTIONAL) ^ ENTRIES:
        name = min(wrong)
        fault = "lacks the" if name in ENTRIES else "holds an unknown"
        raise SpeechPromptError(f"{what} {fault} entry {name[:40]!r}.")
    if not is_task(config["task"]):
        raise SpeechPromptError(f"{what}: a task's name has 1 to 64 of a-z, 0-9 and _.")
    for name, limit in TEXT_LIMITS.items():
        if not is_text(config[name], limit):
            raise SpeechPromptError(f"{what}: {name} must be plain text of at most {limit} characters.")
    sha256 = config["unit_lm_sha256"]
    if not isinstance(sha256, str) or not SHA256_PATTERN.fullmatch(sha256):
        raise SpeechPromptError(f"{what}: unit_lm_sha256 must be 64 hexadecimal digits.")
    _check_labels(config, what)
    _check_metrics(config, what)
    _check_calibration(config["calibration"], config["answer"], what)
    if config.get("absolute_pitch", True) is not True:
        raise SpeechPromptError(f"{what}: absolute_pitch must be true where it is given.")
    if "window" in config:
        window = config["window"]
        if type(window) not in (int, float) or not MIN_WINDOW <= window <= MAX_WINDOW:
            raise SpeechPromptError(
                f"{what}: window must be {MIN_WINDOW} to {MAX_WINDOW:g} seconds where it is given."
            )
        if config["answer"] != "label":
            raise SpeechPromptError(f"{what}: a window is for answers of one label.")
    if not isinstance(config["label_rule"], dict):
        raise SpeechPromptError(f"{what}: label_rule must be an object such as {{'column': 'label'}}.")
    if (example := config["example"]) is not None:
        path = PurePosixPath(example) if is_text(example, 200) else PurePosixPath("/")
        if path.is_absolute() or ".." in path.parts or "\\" in str(path):
            raise SpeechPromptError(f"{what}: example must be a relative path inside the project.")


def _check_labels(config: dict[str, Any], what: str) -> None:
    labels, answer, slots = config["labels"], config["answer"], config["slots"]
    if answer not in ("label", "slots", "sequence"):
        raise SpeechPromptError(f"{what}: answer must be label, slots or sequence.")
    for name, high in (("max_steps", MAX_STEPS), ("beams", MAX_BEAMS)):
        if type(config[name]) is not int or not 1 <= config[name] <= (high if answer == "sequence" else 1):
            raise SpeechPromptError(f"{what}: {name} must be 1, or up to {high} for a sequence.")
    if not is_text(config["joiner"], 8):
        raise SpeechPromptError(f"{what}: joiner must be plain text of at most 8 characters.")
    if not isinstance(labels, list) or not 2 <= len(labels) <= MAX_LABELS:
        raise SpeechPromptError(f"{what}: labels must be a list of 2 to {MAX_LABELS}.")
    for label in labels:
        # Spelled answers have the space for a letter.
        if not is_text(label, MAX_LABEL_CHARACTERS) or not (
            label.strip() or (label and answer == "sequence")
        ):
            raise SpeechPromptError(
                f"{what}: every label must be text of 1 to {MAX_LABEL_CHARACTERS} printable characters."
            )
    if not isinstance(slots, dict) or bool(slots) != (answer == "slots") or len(slots) > MAX_SLOTS:
        raise SpeechPromptError(f"{what}: an answer in slots, and no other, names 1 to {MAX_SLOTS} slots.")
    if not all(is_text(name, 40) and name.strip() and type(n) is int and n > 0 for name, n in slots.items()):
        raise SpeechPromptError(f"{what}: slots must map each slot's name to the number of its labels.")
    if slots and sum(slots.values()) != len(labels):
        raise SpeechPromptError(f"{what}: the slots hold {sum(slots.values())} of {len(labels)} labels.")
    for _, first, end in AnswerForm(
        tuple(labels), slots=slots
    ).spans:  # slots may share a label such as "none"
        own = labels[first:end]
        if len(set(own)) != len(own):
            twice = next(label for label in own if own.count(label) > 1)
            raise SpeechPromptError(f"{what}: the label {twice!r} is there twice.")
    if config["silence_label"] is not None and config["silence_label"] not in labels:
        raise SpeechPromptError(f"{what}: silence_label must be one of the labels, or null.")


def _check_metrics(config: dict[str, Any], what: str) -> None:
    metrics = config["metrics"]
    if not isinstance(metrics, dict):
        raise SpeechPromptError(f"{what}: metrics must be an object.")
    interval = metrics.get("interval95", [0, 1])
    rates = [metrics.get("accuracy", 0), *(interval if isinstance(interval, (list, tuple)) else [])]
    if len(rates) != 3 or not all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in rates):
        raise SpeechPromptError(f"{what}: accuracy and interval95 in metrics must lie between 0 and 1.")
    if not is_text(metrics.get("split", ""), 80) or type(metrics.get("n", 0)) is not int:
        raise SpeechPromptError(f"{what}: metrics must name the split as text and n as a whole number.")
    if "confusion" in metrics:
        spans = AnswerForm(tuple(config["labels"]), slots=config["slots"]).spans
        sequence = config["answer"] == "sequence"
        fault = confusion.fault(metrics["confusion"], spans, metrics.get("n"))
        if sequence or fault:
            fault = "is not for sequences" if sequence else fault
            raise SpeechPromptError(f"{what}: confusion in metrics {fault}.")
    if "tuning" in metrics:
        _check_tuning(metrics["tuning"], what)


def _check_tuning(tuning: object, what: str) -> None:
    """Of a prompt that was chosen among those of several seeds, see recipe.tune_task."""
    if not isinstance(tuning, dict) or tuning.keys() != {"seeds", "mean", "deviation"}:
        raise SpeechPromptError(f"{what}: tuning in metrics must hold seeds, mean and deviation.")
    if type(tuning["seeds"]) is not int or not 2 <= tuning["seeds"] <= MAX_SEEDS:
        raise SpeechPromptError(f"{what}: seeds of tuning in metrics must be 2 to {MAX_SEEDS}.")
    rates = (tuning["mean"], tuning["deviation"])
    if not all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in rates):
        raise SpeechPromptError(f"{what}: mean and deviation in metrics must lie between 0 and 1.")


def _check_calibration(calibration: object, answer: str, what: str) -> None:
    if calibration == {}:  # not calibrated
        return
    if not isinstance(calibration, dict) or calibration.keys() != {*CALIBRATION_BOUNDS, "split", "n"}:
        names = ", ".join((*CALIBRATION_BOUNDS, "split", "n"))
        raise SpeechPromptError(f"{what}: calibration must be empty or hold {names}.")
    if answer == "sequence":
        raise SpeechPromptError(
            f"{what}: the scores of sequences are not calibrated; leave calibration empty."
        )
    for name, (low, high) in CALIBRATION_BOUNDS.items():
        value = calibration[name]
        if value is None and name.endswith("flagged"):
            continue
        if type(value) not in (int, float) or not low <= value <= high:
            raise SpeechPromptError(f"{what}: {name} in calibration must lie between {low:g} and {high:g}.")
    if not is_text(calibration["split"], 80) or type(calibration["n"]) is not int or calibration["n"] < 1:
        raise SpeechPromptError(f"{what}: calibration must name the split as text and n as a whole number.")
