"""Labels for many recordings: decoded ahead, answered in batches, kept as they come, in the order given.

Every finished batch is appended to a file beside the output, so a stopped run goes on where it was; at the
end it becomes the output, a CSV, JSON-lines or parquet file. Memory does not grow with the number of clips.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from tqdm import tqdm

from speechprompt import machine
from speechprompt.audio.clips import AHEAD, Decoders
from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.backbone import Backbone
from speechprompt.data.clips import clips_of
from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.fits import Evidence, judge
from speechprompt.decoding.generation import PromptedLM
from speechprompt.decoding.no_speech import check_speech
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import time_limit
from speechprompt.pipeline import judges_of
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import try_lock

SUFFIXES = (".parquet", ".csv", ".jsonl")
CHUNK_SECONDS = 300.0  # recordings answered, and kept, together; 19 MB as waveforms
CHUNK_CLIPS = 2 * AHEAD  # the more, the more alike in length are those of one batch
GPU_FACTOR = 4  # chunks of a GPU are so much larger
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # beginnings of a cell that spreadsheets run
ROWS_AT_ONCE = 10_000  # of the output, in memory

BEGINNING = b'{"format_version": 2'  # of the file that is kept on the way

Row = list[Any]  # id, seconds, what is wrong, then COLUMNS of every task; None where there is none
COLUMNS = ("label", "score", "fits")


@dataclass(frozen=True)
class Labelled:
    """What a run did: rows of the output, those among them without labels, seconds of sound answered now.

    left_out: other files in the folder, which have no row.
    """

    rows: int
    failed: int
    seconds: float
    left_out: int = 0


def label(
    backbone: Backbone,
    tasks: Sequence[str | Prompt],
    source: Path,
    out: Path,
    workers: int = 1,
    progress: bool = True,
) -> Labelled:
    """Answer tasks about every clip of a folder, parquet file or list; one row each, in their order, into `out`.

    tasks: names of the backbone's tasks, or prompts that fit it; without any all of its tasks.
    Columns: id, seconds, `TASK.label`, `TASK.score` and `TASK.fits` of every task, error (why a row has no labels, else
    empty). The suffix of `out` says the kind of file. The answers are those of SpeechPrompt.classify. workers:
    processes that decode. A run that was stopped goes on when it is asked for again. In a CSV file, text that a
    spreadsheet would run as a formula begins with an apostrophe. SpeechPromptError when a task, the source or
    the kind of file is unknown, the run that was stopped was another, another run is at work on `out`, or
    recordings take longer than REQUEST_SECONDS each.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise SpeechPromptError(f"{out.name} must end in {', '.join(SUFFIXES)}, which says the kind of file.")
    if not out.parent.is_dir():
        raise SpeechPromptError(f"The folder of {out.name} does not exist: make it first.")
    if workers < 0:
        raise SpeechPromptError("The number of workers must be 0 or more.")
    asked = [
        task if isinstance(task, Prompt) else backbone.prompt(task) for task in tasks or backbone.prompts
    ]
    prompts = list({prompt.task: prompt for prompt in asked}.values())
    if not prompts:
        raise SpeechPromptError(f"Backbone {backbone.name} has no tasks to answer.")
    clips = clips_of(source)
    factor = 1 if backbone.device.type == "cpu" else GPU_FACTOR
    kept = Kept(out.with_name(out.name + ".part"), settings(backbone, prompts, clips))
    with Decoders(workers, ahead=AHEAD * factor) as decoders:  # they start while the models are read
        prompted, _ = PromptedLM(backbone.lm, prompts, judges_of(backbone)), backbone.encoder
        with kept:
            done, failed = kept.resume(clips.ids())
            bar = tqdm(initial=done, total=len(clips), unit=" clips", desc="label", disable=not progress)
            decoded = decoders.map(clips.clips(done))
            seconds = 0.0
            with bar:
                for chunk in chunks(decoded, CHUNK_SECONDS * factor, CHUNK_CLIPS * factor):
                    rows = answer(backbone, prompted, chunk)
                    kept.append(rows)
                    done, failed = done + len(rows), failed + sum(row[2] is not None for row in rows)
                    seconds += sum(row[1] or 0 for row in rows)
                    bar.update(len(rows))
            kept.check(len(clips))
            names = [f"{prompt.task}.{what}" for prompt in prompts for what in COLUMNS]
            write(out, names, kept.rows())
    kept.path.unlink(missing_ok=True)
    return Labelled(done, failed, seconds, clips.left_out)


def chunks(
    decoded: Iterator[tuple[str, np.ndarray | str]], seconds: float, clips: int
) -> Iterator[list[tuple[str, np.ndarray | str]]]:
    """Clips in their order, so many seconds or so many clips together."""
    chunk: list[tuple[str, np.ndarray | str]] = []
    samples = 0
    for clip_id, waveform in decoded:
        chunk.append((clip_id, waveform))
        samples += 0 if isinstance(waveform, str) else len(waveform)
        if samples >= seconds * SAMPLE_RATE or len(chunk) >= clips:
            yield chunk
            chunk, samples = [], 0
    if chunk:
        yield chunk


def answer(
    backbone: Backbone, prompted: PromptedLM, chunk: Sequence[tuple[str, np.ndarray | str]]
) -> list[Row]:
    """A row for every clip; what could not be decoded, or holds nothing, gets the reason and no labels."""
    rows: list[Row] = []
    waveforms: list[tuple[int, np.ndarray]] = []
    for clip_id, waveform in chunk:
        row: Row = [clip_id, None, None, *[None] * (len(COLUMNS) * len(prompted.prompts))]
        if isinstance(waveform, str):
            row[2] = waveform
        else:
            row[1] = round(len(waveform) / SAMPLE_RATE, 4)
            try:
                check_speech(waveform, prompted.prompts)
                waveforms.append((len(rows), waveform))
            except SpeechPromptError as error:
                row[2] = str(error)
        rows.append(row)
    if waveforms:
        with time_limit(machine.REQUEST_SECONDS * len(waveforms)):
            units = backbone.listen([waveform for _, waveform in waveforms])
            answers = prompted.judged(units)
        for (at, _), of_clip in zip(waveforms, answers, strict=True):
            pairs = zip(prompted.prompts, of_clip, strict=True)
            rows[at][3:] = [x for p, (raw, evidence) in pairs for x in cells(p, raw, evidence)]
    return rows


def cells(prompt: Prompt, raw: RawAnswer, evidence: Evidence) -> tuple[str, float, str]:
    """What COLUMNS hold of one answer."""
    label = prompt.form.text([prompt.labels[i] for i in raw.labels])
    return label, prompt.believed(raw.score), judge(prompt, raw, evidence)[0]


def settings(backbone: Backbone, prompts: Sequence[Prompt], clips: Sized) -> dict[str, Any]:
    """What makes two runs the same: the models, every number of the prompts, how many clips there are."""
    numbers = {}
    for prompt in prompts:
        digest = hashlib.sha256(json.dumps(prompt.config(), sort_keys=True, default=str).encode())
        for name, tensor in sorted(prompt.tensors().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        numbers[prompt.task] = digest.hexdigest()
    models = {"unit_lm": backbone.unit_lm_sha256, "dtype": str(backbone.dtype)}
    return {"format_version": 2, **models, "prompts": numbers, "clips": len(clips)}


class Kept:
    """The rows so far, a JSON line each behind one of settings, in a file that a killed run leaves whole."""

    OTHER = "other data"  # what another run may have been about

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings

    def __enter__(self) -> Self:
        self.file: IO[bytes] = self.path.open("a+b")
        if not try_lock(self.file.fileno()):
            self.file.close()
            raise SpeechPromptError(
                f"Another run is at work on this output, and keeps its rows in {self.path.name}: wait until it ends, "
                "or choose another output."
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def resume(self, ids: Iterable[str]) -> tuple[int, int]:
        """How many rows are there already, and how many of them failed; a half-written last one is cut off."""
        self.begin()
        done = failed = 0
        end = self.file.tell()
        expected = iter(ids)
        for line in self.file:
            row = parsed(line) if line.endswith(b"\n") else None
            if row is None:
                break
            if not isinstance(row, list) or len(row) < 3 or row[0] != next(expected, None):
                raise self.of_another_run()
            done, failed, end = done + 1, failed + (row[2] is not None), end + len(line)
        self.file.truncate(end)
        return done, failed

    def begin(self) -> None:
        """Write the settings where the file is new or hardly begun, and go behind them.

        SpeechPromptError where it holds another run.
        """
        self.file.seek(0)
        header = self.file.readline()
        if not header.endswith(b"\n") and BEGINNING.startswith(header[: len(BEGINNING)]):
            self.file.truncate(0)
            self.append([self.settings])
        elif parsed(header) != self.settings:
            raise self.of_another_run()

    def of_another_run(self) -> SpeechPromptError:
        return SpeechPromptError(
            f"{self.path.name} holds a stopped run with other tasks, {self.OTHER}, another backbone or dtype: "
            "delete it, or choose another output."
        )

    def append(self, rows: Sequence[Any]) -> None:
        """Write rows so that they outlive this process and the machine's power."""
        self.file.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self.file.flush()
        os.fsync(self.file.fileno())

    def check(self, n: int) -> None:
        """Raise unless there are n rows: on a disk that knows no locks two runs may have written the same."""
        found = sum(1 for _ in self.rows())
        if found != n:
            raise SpeechPromptError(
                f"{self.path.name} holds {found} rows for {n} recordings, as after two runs at once: delete it and run "
                "the command again."
            )

    def rows(self) -> Iterator[Row]:
        self.file.seek(0)
        self.file.readline()
        return map(json.loads, self.file)


def parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def write(out: Path, names: Sequence[str], rows: Iterator[Row]) -> None:
    """The output, complete or not there: columns id, seconds, the named ones of the tasks, error."""
    aside = out.with_name(out.name + ".new")
    columns = ["id", "seconds", *names, "error"]
    ordered = ([row[0], row[1], *row[3:], row[2]] for row in rows)
    if out.suffix.lower() == ".parquet":
        write_parquet(aside, columns, ordered)
    else:
        with aside.open("w", encoding="utf-8", newline="") as file:
            if out.suffix.lower() == ".csv":
                table = csv.writer(file)
                table.writerow(columns)
                table.writerows([harmless(cell) for cell in row] for row in ordered)
            else:
                for row in ordered:
                    file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")
    aside.replace(out)


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins as one gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def write_parquet(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    import pyarrow
    import pyarrow.parquet

    numbers = {name for name in columns if name == "seconds" or name.endswith(".score")}
    kinds = [(name, pyarrow.float64() if name in numbers else pyarrow.string()) for name in columns]
    schema = pyarrow.schema(kinds)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := [row for _, row in zip(range(ROWS_AT_ONCE), rows, strict=False)]:
            writer.write_table(
                pyarrow.Table.from_pylist([dict(zip(columns, r, strict=True)) for r in group], schema)
            )
