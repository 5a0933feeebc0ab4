"""Transcribe recordings into the units of an encoder, for a unit LM to learn from.

The command `pretrain transcripts` says how and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from speechprompt.audio import augment
from speechprompt.making.pretrain.corpus import Clip, noises_of, write_rows
from speechprompt.models.quantizer import Quantizer

BATCH_CLIPS = 64

Row = dict[str, str | list[int]]


def recordings(
    clips: list[Clip], copies: int, seed: int, what: str
) -> Iterator[tuple[list[tuple[str, Clip]], list[np.ndarray]]]:
    """Batches of like length: (id, clip) of each recording, and the waveforms, float32 [T] at 16 kHz.

    Every clip as it is, and `copies` simulated recordings of each train clip, whose ids end in #1, #2, …
    what: said beside the progress bar.
    """
    noises = noises_of(clips) if copies else []
    work = [(clip, 0) for clip in clips]
    work += [(clip, copy) for copy in range(1, copies + 1) for clip in clips if clip.split == "train"]
    work.sort(key=lambda item: len(item[0].samples))
    for at in tqdm(range(0, len(work), BATCH_CLIPS), desc=what, unit="batch", mininterval=5):
        named, waveforms = [], []
        for number, (clip, copy) in enumerate(work[at : at + BATCH_CLIPS], at):
            waveform = clip.waveform
            if copy:
                waveform = augment.another_recording(waveform, np.random.default_rng([seed, number]), noises)
            named.append((f"{clip.dataset}/{clip.id}" + (f"#{copy}" if copy else ""), clip))
            waveforms.append(waveform)
        yield named, waveforms


def transcribe(encoder: Quantizer, clips: list[Clip], copies: int, seed: int) -> list[Row]:
    """Units of every clip, and of `copies` simulated recordings of each train clip."""
    rows: list[Row] = []
    for named, waveforms in recordings(clips, copies, seed, "units"):
        for (name, clip), units in zip(named, encoder.batch(waveforms), strict=True):
            rows.append(
                {"id": name, "dataset": clip.dataset, "split": clip.split, "units": units.ids.tolist()}
            )
    return rows


def write(rows: Iterable[Mapping[str, Any]], path: Path, schema: pa.Schema | None = None) -> int:
    """Write transcripts as parquet, and its folder, aside until it is whole; return how many units they hold."""
    kept = list(rows)
    write_rows(kept, path, schema)
    return sum(len(row["units"]) for row in kept)
