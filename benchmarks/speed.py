"""How fast answers are, against what one would use instead. One command, a table, a JSON file.

    python -m benchmarks.speed                      # a few minutes on two idle cores, several times that on busy ones
    python -m benchmarks.speed --full --json speed.json
    python -m benchmarks.speed --only length --seconds 1 5 20 60 --threads 2

Within a row all contenders run in turn, round after round, after a warm-up; medians are over the rounds,
so that a machine with other work to do slows all of them alike and the ratios stay.

tasks      K tasks on a clip: ours, K HuBERT-base pipelines, and the floor: the matrix products at the
           machine's own rate, or its memory's bandwidth for the weights, whichever takes longer
reference  answers of three labels for 64 utterances: one batch with a cache, against a pass for every label
length     cost against the length of a clip, with the straight line that fits it best
batch      clips in one batch
tuning     tokens per second of a tuning step, against full fine-tuning and peft's prefix tuning
label      `speechprompt label` on a folder of clips, against the encoder and the LM alone
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from speechprompt.cli import run_command

# Functions of speed_sections.
SECTIONS = ("tasks", "reference", "length", "batch", "tuning", "label")


def table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))

    def text(value: Any) -> str:
        return (
            f"{value:.3g}"
            if isinstance(value, float) and value < 1000
            else f"{value:,.0f}"
            if isinstance(value, float)
            else str(value)
        )

    lines = [columns, ["---"] * len(columns), *([text(row.get(c, "")) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--backbone", nargs="+", choices=("mini", "hubert-mini", "gslm"))
    parser.add_argument("--seconds", nargs="+", type=float, help="of the clip in `tasks`; 0.5 to 60")
    parser.add_argument("--tasks", nargs="+", type=int, help="K, 1 to 32")
    parser.add_argument("--threads", nargs="+", type=int, help="default: as many as PyTorch takes")
    parser.add_argument("--clips", type=int, default=1000, help="in `label`; 32 minutes are 1000")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode in `label`")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="of all models"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time of all threads; with --threads 1 the fairer one beside other programs",
    )
    parser.add_argument("--no-pipelines", action="store_true", help="leave the HuBERT pipelines out")
    parser.add_argument("--full", action="store_true", help="all axes; an hour on two cores")
    parser.add_argument("--json", type=Path, metavar="FILE")


def run(args: argparse.Namespace) -> None:

    # Not above: `label` starts processes that import this file again, and they need none of it.
    import torch

    from benchmarks import speed_sections

    args.threads = args.threads or [torch.get_num_threads()]
    args.backbone = args.backbone or ["mini", "hubert-mini", *(["gslm"] if args.full else [])]
    args.seconds = args.seconds or ([0.5, 1, 5, 15, 60] if args.full else [1])
    args.tasks = sorted(args.tasks or ([1, 2, 4, 8, 10, 16, 32] if args.full else [1, 10]))
    args.dtype = getattr(torch, args.dtype)
    if args.clock == "cpu":
        speed_sections.clock = time.process_time
    where = torch.cuda.get_device_name() if args.device != "cpu" else processor()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    facts = f"{where}, {os.cpu_count()} cores, PyTorch {torch.__version__}{load}, {args.clock} clock"
    print(facts)
    results: dict[str, Any] = {"machine": facts, "sections": {}}
    for section in args.only:
        rows = []
        for threads in args.threads:
            print(f"{section}, {threads} threads:", file=sys.stderr, flush=True)
            torch.set_num_threads(threads)
            rows += getattr(speed_sections, section)(args, threads)
        print(f"\n{section}\n\n{table(rows)}", flush=True)
        results["sections"][section] = rows
        if args.json:
            args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(run_command("python -m benchmarks.speed", sys.modules[__name__]))
