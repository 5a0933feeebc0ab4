"""Transcribe recordings into the units of an encoder, for a unit LM to learn from.

  python -m speechprompt pretrain transcripts --data my_speech.parquet --out runs/my_units.parquet
  python -m speechprompt pretrain unit-lm --units runs/units.parquet runs/my_units.parquet --n-units 500 --out my_lm

The files have the columns id, split and audio, what is written the columns id, dataset, split and units. No labels
are read: more speech of the kind that prompts will hear makes a better unit LM.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from speechprompt.audio import augment
from speechprompt.making.pretrain.corpus import Clip, noises_of, read_files, write_rows
from speechprompt.models.encoder import UnitEncoder
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE.parquet")
    parser.add_argument("--encoder", type=Path, default=Path("backbones/mini/encoder"))
    parser.add_argument("--copies", type=int, default=0, help="simulated recordings of each train clip")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=4)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    clips = read_files(args.data, workers=args.threads)
    rows = transcribe(UnitEncoder.load(args.encoder), clips, args.copies, args.seed)
    print(f"{write(rows, args.out):,} units of {len(rows):,} recordings")
