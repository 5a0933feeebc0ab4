"""What each part of the tuning recipe brings: one thing changed at a time, the same number of steps for all.

    python -m studies.ablation --data speech_commands.parquet
    python -m studies.ablation --run runs/ablation --only-table

Tunes a prompt for every row and seed and counts right answers on the valid split, which has no say in the
tuning: the last weights are counted, not the best. Recordings become units once. Every result is kept in the
run folder at once, so the same command goes on where it was stopped; what is there becomes docs/ablation.md
with its plot. A tuning of 600 steps takes 1 to 4 minutes on one thread, all rows with three seeds over an hour.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from speechprompt.cli import run_command
from speechprompt.commands import add_model_arguments, load_backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.unit_lm import new_lm
from speechprompt.models.unit_lm import UnitLM
from speechprompt.storage.folders import read_json
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.checkpoint import run_folder
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import fast_copy, tune
from speechprompt.units import UNIT_OFFSET
from studies.ablation import page
from studies.ablation.data import SETTINGS, Data, read_data

RESULTS = "results.jsonl"
PAGE = Path(__file__).parents[2] / "docs" / "ablation.md"
MEASURED = 6  # steps of each row that tell how long all will take
FINE_TUNING_RATE = 1e-3


@dataclass(frozen=True)
class Row:
    """One way to tune: what differs from the recipe (fields of TuneConfig), and which LM it tunes."""

    name: str
    title: str
    change: dict[str, Any] = field(default_factory=dict)
    random_lm: bool = False
    fine_tuning: bool = False


ROWS = [
    *(
        Row(f"length-{n}", f"prompt length {n}" + " (the recipe)" * (n == 20), {"prompt_length": n})
        for n in (1, 2, 5, 10, 20, 40, 50)
    ),
    Row("input", "input prompts in place of deep ones, length 20", {"input_prompts": True}),
    Row("frequency", "fixed verbalizer, the most frequent units", {"verbalizer": "frequency"}),
    Row("random", "fixed verbalizer, units at random", {"verbalizer": "random"}),
    Row("average", "a mean over the steps, the latest counting most", {"average": True}),
    Row("muon", "Muon for the prompts, Adam for the rest", {"optimizer": "muon", "lr": 0.05}),
    # One input vector stands for no prompt: beside the LM's own weights it adds next to nothing.
    Row(
        "fine-tuning",
        "full fine-tuning: all weights of the LM, no deep prompt",
        {"input_prompts": True, "prompt_length": 1},
        fine_tuning=True,
    ),
    Row("random-lm", "randomly initialised LM, frozen, with the recipe's prompt", random_lm=True),
]


def lm_of(row: Row, lm: UnitLM, seed: int) -> UnitLM:
    """The LM that a row tunes: the backbone's, a copy to change, or one as pretraining would begin with."""
    if row.random_lm:
        sizes = {"dim": lm.config.d_model, "layers": lm.config.num_layers, "heads": lm.config.attention_heads}
        start = new_lm(
            argparse.Namespace(seed=seed, dropout=0.0, **sizes), lm.config.vocab_size - UNIT_OFFSET
        )
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


def done_before(run: Path) -> list[dict[str, Any]]:
    """Results so far; a last line that a kill cut off is none."""
    path = run / RESULTS
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="FILE.parquet")
    parser.add_argument(
        "--task", default="keyword_spotting", help="one of one label (default: keyword_spotting)"
    )
    parser.add_argument("--label-column", help="of a task that this package does not know (default: label)")
    add_model_arguments(parser, only_answers=False)
    parser.add_argument("--steps", type=int, default=600, help="of every tuning (default: 600)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", choices=[row.name for row in ROWS], metavar="ROW", help="some rows"
    )
    parser.add_argument(
        "--fine-tuning-lr", type=float, default=FINE_TUNING_RATE, help="of the LM's own weights"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", type=Path, default=Path("runs/ablation"), help="units and results, kept")
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--only-table", action="store_true", help="write the page from the results so far")


def run(args: argparse.Namespace) -> None:
    if not args.only_table:
        if args.data is None or not args.data.is_file():
            raise SpeechPromptError("Give the labelled recordings with --data FILE.parquet.")
        with run_folder(args.run):
            measure(args)
    results = done_before(args.run)
    if not results:
        raise SpeechPromptError("The run folder has no results yet: let the tuning go on, or give its --run.")
    settings = read_json(args.run, SETTINGS, "Ablation")
    page.write(args.out, settings, {row.name: row.title for row in ROWS}, results)
    print(f"the table is in {args.out}")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.ablation", sys.modules[__name__]))
