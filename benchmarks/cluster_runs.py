"""The runs that `benchmarks.cluster` compares, and what differs between their tables. Door: `measure`."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from speechprompt.audio.load import SAMPLE_RATE, load
from speechprompt.backbone import Backbone
from speechprompt.labelling.cluster import label_on_ray
from speechprompt.labelling.label import label
from speechprompt.labelling.parts import Parts
from speechprompt.labelling.ray_cluster import LOCAL, Cluster, connected

ROOT = Path(__file__).parent.parent
QUARTERS = 4
SAME = 1e-4  # how far a score may be off: batches of another length sum in another order


def write_clips(path: Path, n: int, seed: int) -> None:
    """Pieces of 0.5 to 1 s of the examples, as FLAC in rows of a parquet file; every 500th is no sound."""
    rng = np.random.default_rng(seed)
    sounds = [load(file) for file in sorted((ROOT / "examples").glob("*.flac"))]
    schema = pa.schema([("id", pa.string()), ("audio", pa.binary())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, n, 256):
            rows = []
            for i in range(first, min(n, first + 256)):
                sound, length = sounds[rng.integers(len(sounds))], int(SAMPLE_RATE * rng.uniform(0.5, 1.0))
                start = int(rng.integers(max(1, len(sound) - length)))
                file = io.BytesIO()
                soundfile.write(file, sound[start : start + length], SAMPLE_RATE, format="FLAC")
                rows.append({"id": f"{seed}-{i}", "audio": file.getvalue() if i % 500 else b"no sound"})
            writer.write_table(pa.Table.from_pylist(rows, schema))


def ray_workers() -> list[int]:
    """Processes of Ray that have their models."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::MapWorker" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            pass
    return found


def differing(a: Path, b: Path) -> int:
    """Rows of one table that the other has not, or has with another label or a score that is off."""
    one, other = pq.read_table(a).to_pylist(), pq.read_table(b).to_pylist()

    def same(row: dict[str, Any], its: dict[str, Any]) -> bool:
        return row.keys() == its.keys() and all(
            abs(value - its[key]) < SAME
            if isinstance(value, float) and its[key] is not None
            else value == its[key]
            for key, value in row.items()
        )

    pairs = sum(not same(row, its) for row, its in zip(one, other, strict=False))
    return pairs + abs(len(one) - len(other))


def measure(args: argparse.Namespace) -> int:
    """Print what was found; 1 where a row differs."""
    import torch

    torch.set_num_threads(args.workers)
    tasks: Sequence[str] = args.tasks or ["keyword_spotting"]
    backbone = Backbone.load(args.backbone)
    cluster = Cluster(LOCAL, args.workers)
    spent: dict[str, list[float]] = {"label": [], "ray": [], "ray, answering": [], "processor": []}
    wrong, killed, rows = 0, [], 0
    with tempfile.TemporaryDirectory() as name, connected(LOCAL, args.workers):
        folder = Path(name)
        for quarter in range(QUARTERS):
            clips = folder / f"{quarter}.parquet"
            write_clips(clips, args.clips // QUARTERS, quarter)
            began, used = time.perf_counter(), sum(os.times()[:4])
            label(backbone, tasks, clips, folder / "one.parquet", 1, progress=False)
            spent["label"].append(time.perf_counter() - began)
            spent["processor"].append(sum(os.times()[:4]) - used)
            keep, first = Parts.keep, []

            def watch(parts: Parts, number: int, table: bytes, keep: Any = keep, first: list = first) -> None:
                keep(parts, number, table)
                first.append(time.perf_counter())
                if not killed and len(first) == 3:
                    killed.append(ray_workers()[0])
                    os.kill(killed[0], signal.SIGKILL)

            Parts.keep = watch  # type: ignore[method-assign]
            began = time.perf_counter()
            done = label_on_ray(args.backbone, tasks, clips, folder / "ray.parquet", cluster, progress=False)
            spent["ray"].append(time.perf_counter() - began)
            Parts.keep = keep  # type: ignore[method-assign]
            # From the first part to the last, without the workers' start.
            share = (len(first) - 1) / len(first)
            spent["ray, answering"].append((first[-1] - first[0]) / share)
            rows += done.rows
            wrong += differing(folder / "one.parquet", folder / "ray.parquet")
    found = {
        "clips": rows,
        "rows that differ": wrong,
        "workers killed": len(killed),
        "label, clips a second": rows / sum(spent["label"]),
        "label, processor ms of a clip": 1000 * sum(spent["processor"]) / rows,
        "ray, clips a second": rows / sum(spent["ray"]),
        "ray, clips a second once the workers answer": rows / sum(spent["ray, answering"]),
        "ray answering / label": statistics.median(
            a / b for a, b in zip(spent["label"][1:], spent["ray, answering"][1:], strict=True)
        ),
        "quarters": spent,
    }
    for what, value in found.items():
        print(f"{what}: {value if not isinstance(value, float) else round(value, 2)}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return int(bool(wrong))
