"""The speech that the bundled encoder and unit LM learn from: packed parquet files -> clips in memory.

Only sets that allow any use are admitted, so that the weights are free for everyone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.phones import phones_of
from speechprompt.storage.folders import replaced_file
from speechprompt.storage.parquet import read_parquet

# Share of the training draws that each set gets: by what it holds, not by its size.
OPEN_SETS = {
    "speech_commands": 0.27,
    "speech_commands_extra": 0.08,
    "words20": 0.17,
    "arabic_keywords": 0.16,
    "spoken_digits": 0.08,
    "coffee_orders": 0.05,
    "read_english": 0.05,
    "librispeech_clips": 0.09,
    "synthetic_speech": 0.03,
    "sound_events": 0.02,
}


@dataclass(frozen=True)
class Clip:
    """One recording: samples int16 [T] at 16 kHz; phones "" where nothing is said, None where unknown.

    speaker: "" where unknown.
    """

    dataset: str
    id: str
    split: str
    samples: np.ndarray
    phones: str | None
    hubert_units: list[int] | None
    speaker: str = ""

    @property
    def waveform(self) -> np.ndarray:
        return self.samples.astype(np.float32) / 32768


def _decode(recording: bytes) -> np.ndarray:
    return (np.clip(audio.load(recording), -1, 1) * 32767).astype(np.int16)


def read_corpus(folder: Path, splits: tuple[str, ...] = ("train", "valid"), workers: int = 2) -> list[Clip]:
    """Decode every admitted set found in `folder` (about 8 h of speech: 1 GB, under a minute)."""
    found = [path for name in OPEN_SETS if (path := folder / f"{name}.parquet").is_file()]
    if not found:
        raise SpeechPromptError("None of the packed speech sets is in the data folder.")
    return read_files(found, splits, workers)


def read_files(
    paths: Sequence[Path], splits: tuple[str, ...] = ("train", "valid"), workers: int = 2
) -> list[Clip]:
    """Decode the clips of packed files; a file's name without its ending is the name of its set."""
    clips: list[Clip] = []
    with ProcessPoolExecutor(workers) as pool:
        for path in tqdm(paths, desc="decode", unit="set"):
            every = read_parquet(path, ["id", "split", "audio"], others=True)
            rows = [row for row in every if row["split"] in splits]
            decoded = pool.map(_decode, [row["audio"] for row in rows], chunksize=64)
            for row, samples in zip(rows, decoded, strict=True):
                hubert = row.get("hubert100")
                clips.append(
                    Clip(
                        path.stem,
                        row["id"],
                        row["split"],
                        samples,
                        phones_of(path.stem, row),
                        [int(unit) for unit in hubert.split()] if hubert else None,
                        str(row.get("speaker") or ""),
                    )
                )
    return clips


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path, schema: pa.Schema | None = None) -> None:
    """Write rows as parquet, and its folder, aside until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(path) as aside:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), aside)


def by_set(clips: list[Clip], split: str) -> dict[str, list[Clip]]:
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.split == split:
            groups[clip.dataset].append(clip)
    return dict(groups)


def noises_of(clips: list[Clip]) -> list[np.ndarray]:
    """float32 waveforms without speech in the train split: background recordings and sound events."""
    silent = [c for c in clips if c.split == "train" and (c.phones == "" or c.dataset == "sound_events")]
    return [c.waveform for c in silent if np.abs(c.samples).mean() > 3]
