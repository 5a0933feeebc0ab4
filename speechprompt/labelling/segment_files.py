"""A recording's segments as a file: CSV, JSON, RTTM, TextGrid, SRT or Audacity's labels. Door: `write`.

Segments come in order and do not overlap, so each format takes them as they are; a label is text, which each quotes by
its rules.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.segments import Segment
from speechprompt.labelling.table import harmless
from speechprompt.storage.folders import replaced_file

Row = list[Any]  # start, end in seconds, then label, score and fits of every task
DOUBT = " ?"  # behind a label where the format has no place for what fits


@dataclass(frozen=True)
class Timeline:
    """What is written. rows: gives them anew at every call; seconds: of the recording; notice: as of Segments."""

    name: str
    tasks: Sequence[str]
    rows: Callable[[], Iterator[Row]]
    seconds: float
    notice: str = ""


def row_of(segment: Segment) -> Row:
    cells = [cell for one in segment.answers.values() for cell in (one.label, round(one.score, 4), one.fits)]
    return [round(segment.start, 3), round(segment.end, 3), *cells]


def check_kind(out: Path, tasks: Sequence[str]) -> None:
    """Raise SpeechPromptError where no such file can be written of these tasks, before anything is answered."""
    if out.suffix.lower() not in WRITERS:
        raise SpeechPromptError(f"{out.name} must end in {', '.join(KINDS)}, which says the kind of file.")
    if out.suffix.lower() == ".rttm" and len(tasks) != 1:
        raise SpeechPromptError(
            "An RTTM file holds one label for each stretch: ask one task, or write TextGrid, CSV or JSON."
        )
    if not out.parent.is_dir():
        raise SpeechPromptError(f"The folder of {out.name} does not exist: make it first.")


def write(out: Path, timeline: Timeline) -> None:
    """The file whose suffix says its kind, complete or not there."""
    check_kind(out, timeline.tasks)
    with replaced_file(out) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        WRITERS[out.suffix.lower()](file, timeline)


def texts(timeline: Timeline) -> Iterator[tuple[float, float, str]]:
    """Start, end and one line of text: the label, or `task: label` of several tasks; DOUBT where one does not fit."""
    for start, end, *cells in timeline.rows():
        labels = [
            one_line(label) + (DOUBT if fits != "yes" else "")
            for label, fits in zip(cells[::3], cells[2::3], strict=True)
        ]
        named = [f"{task}: {label}" for task, label in zip(timeline.tasks, labels, strict=True)]
        yield start, end, labels[0] if len(labels) == 1 else "; ".join(named)


def one_line(text: str) -> str:
    """Text without line breaks, tabs and other controls, which end a field in all of these formats."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def write_csv(file: IO[str], timeline: Timeline) -> None:
    """start, end, and TASK.label, TASK.score, TASK.fits of every task; no cell that a spreadsheet would run."""
    table = csv.writer(file)
    names = [f"{task}.{what}" for task in timeline.tasks for what in ("label", "score", "fits")]
    table.writerow(["start", "end", *names])
    table.writerows([harmless(cell) for cell in row] for row in timeline.rows())


def write_json(file: IO[str], timeline: Timeline) -> None:
    """One object: recording, seconds, notice, tasks, segments."""
    head = {"recording": timeline.name, "seconds": round(timeline.seconds, 3), "notice": timeline.notice}
    file.write(json.dumps({**head, "tasks": list(timeline.tasks)}, ensure_ascii=False)[:-1])
    file.write(', "segments": [')
    for number, (start, end, *cells) in enumerate(timeline.rows()):
        answers = {
            task: {"label": label, "score": score, "fits": fits}
            for task, label, score, fits in zip(
                timeline.tasks, cells[::3], cells[1::3], cells[2::3], strict=True
            )
        }
        entry = json.dumps({"start": start, "end": end, "answers": answers}, ensure_ascii=False)
        file.write(f"{',' if number else ''}\n{entry}")
    file.write("\n]}\n")


def write_rttm(file: IO[str], timeline: Timeline) -> None:
    """Fields between spaces, of which none may hold one; the label stands for the speaker, its score for confidence."""
    name = re.sub(r"\s+", "_", one_line(timeline.name)) or "recording"
    for start, end, label, score, _ in timeline.rows():
        word = re.sub(r"\s+", "_", one_line(label)) or "<NA>"
        file.write(f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {word} {score:.4f} <NA>\n")


def write_textgrid(file: IO[str], timeline: Timeline) -> None:
    """Praat's long text: a tier for each task, whose intervals cover all of the recording; quotes are doubled."""
    starts_and_ends = [(row[0], row[1]) for row in timeline.rows()]
    end = max([timeline.seconds, *(end for _, end in starts_and_ends[-1:])])
    file.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
    file.write(f"xmin = 0\nxmax = {end:.3f}\ntiers? <exists>\nsize = {len(timeline.tasks)}\nitem []:\n")
    edges = [0.0, *(edge for pair in starts_and_ends for edge in pair), end]
    n_intervals = sum(f"{a:.3f}" != f"{b:.3f}" for a, b in pairwise(edges)) or 1
    for tier, task in enumerate(timeline.tasks):
        file.write(
            f'    item [{tier + 1}]:\n        class = "IntervalTier"\n        name = "{quoted(task)}"\n'
            f"        xmin = 0\n        xmax = {end:.3f}\n        intervals: size = {n_intervals}\n"
        )
        for number, (begin, until, text) in enumerate(intervals(timeline, tier, end), 1):
            file.write(
                f"        intervals [{number}]:\n            xmin = {begin:.3f}\n            xmax = {until:.3f}\n"
                f'            text = "{quoted(text)}"\n'
            )


def intervals(timeline: Timeline, tier: int, end: float) -> Iterator[tuple[float, float, str]]:
    """The recording from its beginning to its end: segments of one task, with empty text between them."""
    at, any_yet = 0.0, False
    for start, until, *cells in timeline.rows():
        if f"{start:.3f}" != f"{at:.3f}":
            yield at, start, ""
        label, _, fits = cells[3 * tier : 3 * tier + 3]
        yield start, until, one_line(label) + (DOUBT if fits != "yes" else "")
        at, any_yet = until, True
    if f"{at:.3f}" != f"{end:.3f}" or not any_yet:
        yield at, end, ""


def quoted(text: str) -> str:
    return one_line(text).replace('"', '""')


def write_srt(file: IO[str], timeline: Timeline) -> None:
    """Numbered subtitles; an arrow in a label would end their times, and tags would be styles."""
    for number, (start, end, text) in enumerate(texts(timeline), 1):
        harmless_text = text.replace("-->", "-›").replace("<", "‹").replace(">", "›") or "–"
        file.write(f"{number}\n{srt_time(start)} --> {srt_time(end)}\n{harmless_text}\n\n")


def srt_time(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    hours, minutes = divmod(milliseconds // 60_000, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000 % 60:02},{milliseconds % 1000:03}"


def write_audacity(file: IO[str], timeline: Timeline) -> None:
    """A label track: start, end and text, with tabs between."""
    for start, end, text in texts(timeline):
        file.write(f"{start:.6f}\t{end:.6f}\t{text}\n")


WRITERS: dict[str, Callable[[IO[str], Timeline], None]] = {
    ".csv": write_csv,
    ".json": write_json,
    ".rttm": write_rttm,
    ".textgrid": write_textgrid,
    ".srt": write_srt,
    ".txt": write_audacity,
}
KINDS = (".csv", ".json", ".rttm", ".TextGrid", ".srt", ".txt (Audacity's labels)")
