"""A corpus -> a file of its units for one backbone, with simulated copies of train, a few recordings at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from speechprompt.audio import load as audio
from speechprompt.audio.augment import PLAIN, Simulation
from speechprompt.audio.limits import SAMPLE_RATE
from speechprompt.backbone import Backbone
from speechprompt.data.dataset import all_train, files_of, rows_of
from speechprompt.data.hub_layout import short_name
from speechprompt.data.sounds import FileSound, RowSound
from speechprompt.data.unit_file import UnitWriter
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import listen_to

ROWS = 256  # encoded together, at most
BYTES = 64 << 20  # of their sound files, about


@dataclass
class Kept:
    """What was written: rows; how many recordings could not be read and have none, and why the first could not."""

    rows: int = 0
    failed: int = 0
    reason: str = ""

    def leave_out(self, name: str, error: SpeechPromptError) -> None:
        self.failed += 1
        self.reason = self.reason or f"{name}: {error}"


def keep_units(
    backbone: Backbone, paths: Sequence[Path], out: Path, copies: int = 0, simulation: Simulation = PLAIN
) -> Kept:
    """Write the units of every recording, and of so many simulated copies of those of train.

    paths: as dataset.read takes. Text and numbers of the data stand beside the units, as text. A recording that cannot
    be read has no row. SpeechPromptError where none can.
    """
    files = [file for path in paths for file in files_of(path)]
    draw = all_train(files)
    rows = chain.from_iterable(named(file, len(files) > 1, draw) for file in files)
    first = next(rows, None)
    if first is None:
        raise SpeechPromptError("The data has no rows.")
    columns = [name for name, value in first.items() if is_text(name, value)]
    done, number = Kept(), 0
    writer = UnitWriter(out, backbone.name, backbone.encoder_sha256, columns, backbone.needs_f0)
    with writer, tqdm(desc="units", unit="clip", mininterval=2) as progress:
        for window in windows(chain([first], rows), done):
            train = [row for row in window if row["split"] == "train"]
            others = [row for row in window if row["split"] != "train"]
            for own, n, simulated in ((train, copies, simulation), (others, 0, PLAIN)):
                broken: set[int] = set()
                load = loader(own, simulated, number, broken, done)
                found = listen_to(backbone, load, [len(row["audio"]) for row in own], n, progress.update)
                made = list(zip(cells(own, n, columns), found, strict=True))
                made = [row for i, row in enumerate(made) if i % len(own) not in broken]
                writer.add(made)
                done.rows += len(made)
                number += len(own)
        if not done.rows:
            raise SpeechPromptError(f"No recording of the data can be read; the first said: {done.reason}")
    return done


def loader(
    rows: Sequence[dict[str, Any]], simulation: Simulation, first: int, broken: set[int], done: Kept
) -> Callable[[int, int], np.ndarray]:
    """What makes copy `copy` of a clip of the rows, the first of which is clip number `first` of all.

    A clip that cannot be read is noted in `broken` and `done`, and is silence.
    """

    def load(clip: int, copy: int) -> np.ndarray:
        try:
            waveform = audio.load(rows[clip]["audio"])
        except SpeechPromptError as error:
            if clip not in broken:
                broken.add(clip)
                done.leave_out(rows[clip]["id"], error)
            return np.zeros(SAMPLE_RATE // 10, np.float32)
        return simulation.recording(waveform, first + clip, copy)

    return load


def cells(rows: Sequence[dict[str, Any]], copies: int, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The text columns of the rows, copy by copy; ids of copies end in their number."""
    for copy in range(copies + 1):
        for row in rows:
            own = {name: str(row[name]) for name in columns if is_text(name, row.get(name))}
            yield {**own, "id": f"{row['id']}#{copy}" if copy else row["id"], "split": str(row["split"])}


def named(file: Path, several: bool, draw: bool) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows_of(file, lazy=draw, draw=draw)):
        name = str(row.get("id", number))
        yield {**row, "id": f"{short_name(file)}/{name}" if several else name}


def is_text(name: str, value: object) -> bool:
    return name not in ("id", "split", "audio", "units", "encoder_sha256") and isinstance(
        value, str | int | float
    )


def windows(rows: Iterator[dict[str, Any]], done: Kept) -> Iterator[list[dict[str, Any]]]:
    """Rows with the bytes of their sounds, so many or so large together; what has none is noted in `done`."""
    window: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        sound = row.get("audio")
        try:
            found = sound.read() if isinstance(sound, FileSound | RowSound) else sound
            if not isinstance(found, bytes):
                raise SpeechPromptError("There is no audio, of which units could be made.")
        except SpeechPromptError as error:
            done.leave_out(row["id"], error)
            continue
        window.append({**row, "audio": found})
        size += len(found)
        if len(window) >= ROWS or size >= BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window
