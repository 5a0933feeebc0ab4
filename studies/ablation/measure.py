"""Each row tuned and measured once for each seed, and kept. Door: `measure`."""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from speechprompt.commands import load_backbone
from speechprompt.making.pretrain.unit_lm import new_lm
from speechprompt.models.unit_lm import UnitLM
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import fast_copy, tune
from speechprompt.units import UNIT_OFFSET
from studies.ablation.data import Data, read_data
from studies.ablation.rows import RESULTS, ROWS, Row, done_before

MEASURED = 6  # steps of each row that tell how long all will take


def lm_of(row: Row, lm: UnitLM, seed: int) -> UnitLM:
    """The LM that a row tunes: the backbone's, a copy to change, or one as pretraining would begin with."""
    if row.random_lm:
        sizes = (lm.config.d_model, lm.config.num_layers, lm.config.attention_heads)
        start = new_lm(lm.config.vocab_size - UNIT_OFFSET, *sizes, dropout=0.0, seed=seed)
        return start.requires_grad_(False).eval().to(lm.device)
    return copy.deepcopy(lm).float().requires_grad_(True) if row.fine_tuning else lm


def tuned(
    row: Row,
    data: Data,
    lm: UnitLM,
    args: argparse.Namespace,
    seed: int,
    steps: int,
    before_step: Callable[[], object],
) -> dict[str, Any]:
    """Tune one row once; what came out."""
    config = TuneConfig(steps=steps, check_every=steps, seed=seed, **row.change)
    used = lm_of(row, lm, seed)
    began, worked = time.perf_counter(), time.process_time()
    tensors, accuracy = tune(
        used,
        data.train,
        data.valid,
        AnswerForm(tuple(data.labels)),
        config,
        report=lambda progress: None,
        keep="last",
        should_stop=lambda: bool(before_step()),
        extra=[{"params": list(used.parameters()), "peak": args.fine_tuning_lr}] if row.fine_tuning else (),
    )
    trained = sum(t.numel() for t in tensors.values() if t.is_floating_point())
    if row.fine_tuning:
        trained += sum(p.numel() for p in used.parameters())
    return {
        "row": row.name,
        "seed": seed,
        "accuracy": accuracy,
        "parameters": trained,
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - worked,
        "threads": torch.get_num_threads(),
        "machine": processor(),
        "dtype": str(torch.float32 if row.fine_tuning else fast_copy(used).dtype).removeprefix("torch."),
        "lm_lr": args.fine_tuning_lr if row.fine_tuning else None,
    }


def seconds_a_step(row: Row, data: Data, lm: UnitLM, args: argparse.Namespace) -> float:
    """Median over the first steps, the very first ones apart."""
    times: list[float] = []
    few = Data(data.train, data.valid[:1], data.labels)
    tuned(row, few, lm, args, 0, MEASURED, lambda: times.append(time.perf_counter()))
    return statistics.median(np.diff(times[1:]))


def append(run: Path, result: dict[str, Any]) -> None:
    with (run / RESULTS).open("a", encoding="utf-8") as file:
        file.write("\n" * broken_off(run / RESULTS) + json.dumps(result) + "\n")
        file.flush()
        os.fsync(file.fileno())


def broken_off(path: Path) -> bool:
    text = path.read_bytes()
    return bool(text) and not text.endswith(b"\n")


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text().splitlines() if facts.is_file() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def measure(args: argparse.Namespace) -> None:
    """Tune what the run folder lacks, one result after the other."""
    torch.set_num_threads(args.threads)
    backbone = load_backbone(args)
    data = read_data(args.run, args.data, args.task, args.label_column, args.steps, backbone)
    rows = [row for row in ROWS if not (row.random_lm and backbone.needs_f0)]
    rows = [row for row in rows if not args.only or row.name in args.only]
    rates = (None, args.fine_tuning_lr)  # asked for at another rate, fine-tuning is done again
    done = {(result["row"], result["seed"]) for result in done_before(args.run) if result["lm_lr"] in rates}
    left = [(row, seed) for seed in range(args.seeds) for row in rows if (row.name, seed) not in done]
    seconds_per_step = {
        row.name: seconds_a_step(row, data, backbone.lm, args)
        for row in tqdm(rows, desc="first steps", unit="row")
        if any(row == other for other, _ in left)
    }
    expected = sum(seconds_per_step[row.name] for row, _ in left) * args.steps
    many = f"{len(left)} tuning{'s' * (len(left) != 1)} of {args.steps} steps"
    print(f"{many}, {expected / 60:.0f} minutes at the pace of the first steps")
    for name, step_seconds in seconds_per_step.items():
        print(f"  {name}: {step_seconds:.2f} s a step", flush=True)
    with tqdm(total=len(left) * args.steps, unit="step", mininterval=2) as bar:
        for row, seed in left:
            bar.set_description(f"{row.name}, seed {seed}")
            result = tuned(row, data, backbone.lm, args, seed, args.steps, lambda: bar.update() and None)
            append(args.run, result)
            bar.write(f"{row.name}, seed {seed}: {result['accuracy']:.1%}, {result['seconds']:.0f} s")
