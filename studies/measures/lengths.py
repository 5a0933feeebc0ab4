"""Recordings in stretches of several lengths, and what each stretch is answered with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from speechprompt.audio import load as audio
from speechprompt.data import dataset
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import waveform_of
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.card_texts import percent
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import task_of
from studies.measures.field import FIELD, answered, middle, rows_for

SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Recording:
    """A recording with its label. same: whether it is one of those that every length is measured on."""

    label: str
    waveform: np.ndarray
    same: bool


@dataclass(frozen=True)
class Stretch:
    """One answer to a stretch of a recording."""

    label: str
    answer: str
    flagged: bool
    seconds: float
    same: bool


def recordings(
    folder: Path, prompt: Prompt, truth: Collection[str], per_label: int, longest: float
) -> Iterator[tuple[str, list[Recording]]]:
    """(split, recordings with a label of truth), of valid, test and field, those that there are.

    Of a split at most per_label of each label that last `longest` seconds, which are the same at every length, and as
    many of those that are shorter, evenly from the files; of field all.
    """
    task = task_of(prompt.task, prompt.label_rule, prompt.labels)
    known = [e for e in read_task([folder], task) if len(e.labels) == 1 and e.labels[0] in truth]
    for split in SPLITS:
        of_split = [e for e in known if e.split == split]
        lasting = {e.id for e in of_split if len(waveform_of(e)) >= longest * audio.SAMPLE_RATE}
        found = []
        for same in (True, False):
            some = dataset.at_most([e for e in of_split if (e.id in lasting) == same], per_label, 0)
            found += [Recording(e.labels[0], waveform_of(e), same) for e in some]
        if found:
            yield split, found
    path = folder / f"{FIELD}.parquet"
    rows = rows_for(prompt.task, dataset.read_rows(path)) if path.is_file() else []
    waveforms = [(label, audio.load(row["audio"])) for row, label in rows if label in truth]
    if waveforms:
        enough = longest * audio.SAMPLE_RATE
        yield FIELD, [Recording(label, one, len(one) >= enough) for label, one in waveforms]


def answered_by_length(
    pipeline: SpeechPrompt, task: str, some: Sequence[Recording], lengths: Sequence[float]
) -> list[Stretch]:
    """What a task answers about the middle of each recording, in every length that it is long enough for."""
    found = []
    for one in tqdm(some, desc=task, unit="recording", mininterval=5):
        for seconds in lengths:
            if seconds * audio.SAMPLE_RATE <= len(one.waveform):
                ((answer, flagged),) = answered(pipeline, middle(one.waveform, seconds), [task])
                found.append(Stretch(one.label, answer, flagged, seconds, one.same))
    if not found:
        raise SpeechPromptError(f"No recording of {task} lasts {min(lengths):g} s.")
    return found


HEAD = (
    "split", "seconds", "the same recordings", "{}, not flagged", "{}, flagged", "flagged", "right",
    "shorter ones", "{}, not flagged", "{}, flagged", "flagged", "right",
)  # fmt: skip


def table(found: Mapping[str, Sequence[Stretch]], wrong: str, lengths: Sequence[float]) -> str:
    """A line of Markdown for each split and length. wrong: the label that is counted."""
    lines = [[cell.format(f"`{wrong}`") for cell in HEAD], ["---"] * len(HEAD)]
    for split, stretches in found.items():
        for seconds in lengths:
            of_length = [one for one in stretches if one.seconds == seconds]
            groups = [[one for one in of_length if one.same == same] for same in (True, False)]
            lines.append(
                [split, f"{seconds:g}", *(cell for group in groups for cell in shares(group, wrong))]
            )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def shares(stretches: Sequence[Stretch], wrong: str) -> list[str]:
    """Their number, and of them: wrong and not flagged, wrong and flagged, all flagged, right."""
    counts = [
        [one.answer == wrong and not one.flagged for one in stretches],
        [one.answer == wrong and one.flagged for one in stretches],
        [one.flagged for one in stretches],
        [one.answer == one.label for one in stretches],
    ]
    n = len(stretches)
    return [str(n), *(percent(sum(count) / n) if n else "–" for count in counts)]
