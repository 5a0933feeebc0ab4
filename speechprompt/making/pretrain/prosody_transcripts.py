"""Transcribe speech for the prosody LM: units, run lengths and normalised log F0 of every clip.

Clips name no speaker here, and an unseen speaker has no mean either: each recording's F0 is freed of its
own mean, as it is when a stranger's recording is answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain import transcripts
from speechprompt.making.pretrain.corpus import Clip
from speechprompt.models import pitch as prosody
from speechprompt.models.encoder import UnitEncoder
from speechprompt.storage.parquet import read_parquet
from speechprompt.units import Units

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("units", pa.list_(pa.int32())),
        ("lengths", pa.list_(pa.int32())),
        ("log_f0", pa.list_(pa.float32())),
    ]
)


def transcribe(
    encoder: UnitEncoder, clips: list[Clip], copies: int, seed: int, workers: int = 0
) -> Iterable[dict[str, Any]]:
    """Rows of SCHEMA for every clip, and for `copies` simulated recordings of each train clip.

    workers: processes that track F0; 0 tracks it here. The rows do not depend on it.
    """
    with ProcessPoolExecutor(workers) if workers else nullcontext() as pool:
        for named, waveforms in transcripts.recordings(clips, copies, seed, "units and F0"):
            tracks = (pool.map if pool else map)(prosody.track_f0, waveforms)
            for (name, clip), units, f0 in zip(named, encoder.batch(waveforms), tracks, strict=True):
                segments = prosody.segment_f0(f0, units.lengths)
                log_f0 = prosody.normalise(segments, prosody.mean_log_f0(f0))
                yield {
                    "id": name,
                    "dataset": clip.dataset,
                    "split": clip.split,
                    "units": units.ids,
                    "lengths": units.lengths,
                    "log_f0": log_f0,
                }


def write(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write the rows as parquet; returns their number of units."""
    return transcripts.write(rows, path, SCHEMA)


def read(path: Path, split: str, longest: int) -> list[Units]:
    """The transcripts of one split, cut into pieces of at most `longest` units."""
    pieces = []
    for row in read_parquet(path, ["split", "units", "lengths", "log_f0"]):
        if row["split"] != split:
            continue
        ids, lengths = np.array(row["units"], np.int64), np.array(row["lengths"], np.int64)
        log_f0, starts = np.array(row["log_f0"], np.float32), np.cumsum(lengths) - lengths
        if not len(ids) == len(lengths) == len(log_f0):
            raise SpeechPromptError(f"{path.name}: units, lengths and log_f0 of a row differ in number.")
        whole = Units(ids, starts, lengths, log_f0)
        pieces += [whole.part(slice(at, at + longest)).rebased() for at in range(0, len(ids), longest)]
    return pieces
