"""How often answers doubt what belongs to a task and what does not, and whether the generated unit decides."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.data import dataset
from speechprompt.data.dataset import Example
from speechprompt.data.task_data import read_task
from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.fits import VOICE, Evidence, judge
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.calibration import expected_calibration_error, judged, shares_flagged
from speechprompt.labelling.segments import on_words
from speechprompt.pipeline import judges_of
from speechprompt.prompts.card_texts import percent
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import task_of
from speechprompt.units import UNIT_OFFSET
from studies.measures.accuracy import of_split
from studies.measures.kept_units import KeptUnits

KINDS = ("other words", "other languages", "speech", "sounds", "music", "noise")
WORDS = (
    "wakewords_english", "wakewords_more", "speech_commands", "speech_commands_words", "spoken_digits", "words20",
    "arabic_keywords", "arabic_commands", "lithuanian_commands", "digits_more",
)  # fmt: skip
SPOKEN = (
    "languages_gpl", "fish_fillets", "malayalam_sentences", "read_english", "accents_english", "amharic_emotion",
    "emotion_german", "emotion_polish", "urdu_emotion",
)  # fmt: skip
SOUNDS = ("environmental_sounds", "sound_events", "infant_cries", "rooms_noise", "field")
NOISES = ("noise", "silence", "rain", "wind", "vacuum_cleaner", "washing_machine", "engine", "sea_waves")
FIGURES = {  # their headings
    "accuracy": "accuracy", "right_flagged": "right flagged", "wrong_flagged": "wrong flagged",
    "decides": "unit decides", "median": "median of the unit", "calibration_error": "calibration error",
}  # fmt: skip
BELONGING = 300  # recordings of a prompt's own data at most
NONE_OF_THESE = ("unknown", "silence", "noise", "other")  # labels that mean none of the others
UNTESTED = ("field",)  # files without the split that is asked for, of which all rows are taken
WITHOUT_TEST = ("rooms_noise", "wakewords_more", "speech_commands_words")  # all train: prompts may know them


@dataclass(frozen=True)
class Recorded:
    """A recording with what tells whether it belongs to a task."""

    example: Example
    file: str
    label: str
    language: str

    def kind(self, prompt: Prompt) -> str | None:
        """Why it does not belong to a prompt's task, None where it does or may."""
        if not self.language:
            if self.file not in SOUNDS or prompt.task == VOICE or self.label in prompt.labels:
                return None
            sound = "music" if self.label == "music" else "noise" if self.label in NOISES else "sounds"
            return sound if self.file != "field" or sound == "music" else None
        if prompt.expects == "any sound":
            return None if prompt.task == VOICE else "speech"
        if prompt.languages and self.language not in prompt.languages:
            return "other languages"
        if self.file in WORDS and prompt.form.kind == "label" and on_words(prompt):
            return None if self.label in (*prompt.labels, *NONE_OF_THESE) else "other words"
        return None


@dataclass
class Row:
    """A prompt: counts of kind -> (doubted, all), and what was measured on recordings that belong."""

    task: str
    backbone: str
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def recordings(folder: Path, split: str) -> list[Recorded]:
    """All that may not belong to some task: rows of the split, or where a file has none of it of all."""
    found = []
    for file in dict.fromkeys((*WORDS, *SPOKEN, *SOUNDS)):
        path = folder / f"{file}.parquet"
        rows = dataset.read_rows(path) if path.is_file() else []
        for number, row in enumerate(rows):
            if row["split"] == split or file in (*UNTESTED, *WITHOUT_TEST):
                sound = Example(f"{file}/{row.get('id', number)}", split, (), row["audio"], None, file)
                found.append(
                    Recorded(sound, file, str(row.get("label") or ""), str(row.get("language") or ""))
                )
    return found


def drawn(prompt: Prompt, found: Sequence[Recorded], per_kind: int) -> Iterator[tuple[str, list[Example]]]:
    """Each kind of what does not belong to a prompt with at most so many recordings of it, evenly from the files."""
    kinds: dict[str, list[Example]] = {}
    for one in found:
        if (kind := one.kind(prompt)) is not None:
            kinds.setdefault(kind, []).append(one.example)
    for kind in KINDS:
        if kind in kinds:
            yield kind, dataset.at_most(kinds[kind], per_kind, 0)


def doubted(prompt: Prompt, found: tuple[RawAnswer, Evidence], nobody: bool) -> bool:
    """Whether a recording is answered `no` or `unsure`, by a label of none of the others, or not at all."""
    raw, evidence = found
    none = any(prompt.labels[label] in NONE_OF_THESE for label in raw.labels)
    return none or refused(prompt, nobody) or judge(prompt, raw, evidence)[0] != "yes"


def refused(prompt: Prompt, nobody: bool) -> bool:
    """Whether a recording in which nobody speaks gets no answer at all."""
    return nobody and prompt.form.silence_label is None and prompt.expects == "speech"


def measured(
    prompt: Prompt, kept: KeptUnits, found: Sequence[Recorded], folder: Path, split: str, per_kind: int
) -> Row:
    backbone = kept.backbone
    row = Row(prompt.task, backbone.name)
    try:
        task = task_of(prompt.task, prompt.label_rule, prompt.labels)
        examples = read_task([folder], task, None, backbone.has_encoder)
        _, belonging = of_split([e for e in examples if set(e.labels) <= set(prompt.labels)], split)
    except SpeechPromptError as error:
        row.note = str(error)
        return row
    belonging = random.Random(0).sample(belonging, min(BELONGING, len(belonging)))
    prompted = PromptedLM(backbone.lm, [prompt], judges_of(backbone))
    units = kept.of(belonging)
    answers = judged(prompted, [u for u, _ in units])
    pairs = zip(answers, belonging, strict=True)
    right = np.array([raw.labels == list(prompt.form.indices(e.labels)) for (raw, _), e in pairs])
    flagged = np.array(
        [
            refused(prompt, nobody) or judge(prompt, *one)[0] != "yes"
            for one, (_, nobody) in zip(answers, units, strict=True)
        ]
    )
    scores = np.array([prompt.believed(raw.score) for raw, _ in answers])
    row.kinds["belonging"] = int(flagged.sum()), len(flagged)
    row.figures = {"n": len(right), "accuracy": float(right.mean())}
    row.figures["right_flagged"], row.figures["wrong_flagged"] = shares_flagged(flagged, right)
    row.figures["calibration_error"] = float(expected_calibration_error(scores, right))
    if prompt.verbalizer == "fixed":
        decides, odds = zip(*(generated(prompt, raw) for raw, _ in answers), strict=True)
        row.figures["decides"] = float(np.mean(decides))
        row.figures["median"] = float(np.median(np.array(odds)[right])) if right.any() else None
    for kind, others in drawn(prompt, found, per_kind):
        sounds = kept.of(others)
        said = judged(prompted, [u for u, _ in sounds])
        shares = [doubted(prompt, one, nobody) for one, (_, nobody) in zip(said, sounds, strict=True)]
        row.kinds[kind] = sum(shares), len(shares)
    return row


def generated(prompt: Prompt, raw: RawAnswer) -> tuple[bool, float]:
    """Whether the likeliest unit of every label's step belongs to it, and the least probability of these units."""
    belongs, least = True, 1.0
    for label, logits in zip(raw.labels, raw.vocabulary_logits, strict=False):
        odds = np.exp(logits[UNIT_OFFSET:] - logits.max())
        odds = odds / np.exp(logits - logits.max()).sum()
        belongs &= prompt.unit_label(int(odds.argmax())) == prompt.labels[label]
        least = min(least, float(odds.max()))
    return belongs, least


def tables(rows: Sequence[Row]) -> str:
    """Both tables as Markdown; the last row of the first sums over the prompts."""
    lines = [("task", "backbone", "belonging", *KINDS, "all that does not"), ["---"] * (len(KINDS) + 4)]
    total: dict[str, list[int]] = {}
    for row in rows:
        counts = dict(row.kinds)
        others = [counts[kind] for kind in KINDS if kind in counts]
        counts["all"] = sum(a for a, _ in others), sum(b for _, b in others)
        for kind, (a, b) in counts.items():
            total[kind] = [x + y for x, y in zip(total.get(kind, [0, 0]), (a, b), strict=True)]
        lines.append([f"`{row.task}`", row.backbone, *cells(counts, row.note)])
    lines.append(["all", "", *cells({kind: (a, b) for kind, (a, b) in total.items()}, "")])
    lines2 = [["task", "backbone", "n", *FIGURES.values()], ["---"] * (len(FIGURES) + 3)]
    for row in rows:
        found = row.figures
        figures = [percent(found.get(name)) for name in FIGURES]
        lines2.append([f"`{row.task}`", row.backbone, str(found.get("n", "–")), *figures])
    return "\n\n".join("\n".join(f"| {' | '.join(line)} |" for line in each) for each in (lines, lines2))


def cells(counts: dict[str, tuple[int, int]], note: str) -> list[str]:
    if note:
        return [f"not measured: {note}", *["–"] * (len(KINDS) + 1)]
    found = [counts.get(kind, (0, 0)) for kind in ("belonging", *KINDS, "all")]
    return [f"{percent(a / b)} of {b}" if b else "–" for a, b in found]
