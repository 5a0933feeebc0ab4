"""Everything that waits for a GPU, on one card in under eight minutes: tests, answers, speed, memory, compilation.

    python -m tools.gpu_check --json gpu.json --docs        # writes its table into docs/performance.md too
    python -m tools.gpu_check --dry-run                     # the same steps on the CPU with tiny sizes

Each step is a process of its own with a time limit: one that fails or hangs is reported, and the others still run. The
exit code is 1 where a step failed, 2 where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- gpu_check: begin -->", "<!-- gpu_check: end -->"
LIMITS = {  # seconds of each step; together under eight minutes
    "tests": 150,
    "answers": 60,
    "speed mini": 60,
    "speed gslm": 60,
    "encoder": 60,
    "compile": 80,
}
DRY_SECONDS = 240.0  # of each step of a dry run, which may share its processor
RESULT = "gpu_check: "  # begins the line of a step's output that holds what it found
NOT_RUN = "not run"
Found = dict[str, Any]

# What the table says: the goal, the step and the entry of its result that measures it.
ROWS = (
    ("GPU tests pass (answers, HuBERT, tune, calibrate, evaluate in three dtypes)", "tests", "summary"),
    ("labels as on the CPU in float32, bfloat16 and float16", "answers", "summary"),
    ("mini: ten tasks on a 1 s clip under 15 ms", "speed mini", "summary"),
    ("gslm at its true size: ten tasks on a 1 s clip under 15 ms", "speed gslm", "summary"),
    ("HuBERT, 64 x 10 s at 40 % of the bfloat16 GEMM rate", "encoder", "summary"),
    ("`torch.compile` of the encoder's layers, 1 s", "compile", "summary"),
    ("memory of gslm, ten tasks", "speed gslm", "memory"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="on the CPU with tiny sizes: do the steps work?"
    )
    parser.add_argument("--only", nargs="+", choices=tuple(LIMITS), default=tuple(LIMITS), metavar="STEP")
    parser.add_argument("--json", type=Path, metavar="FILE", help="what every step found")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--step", choices=tuple(LIMITS), help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    if args.step:
        from tools import gpu_steps

        found = gpu_steps.STEPS[args.step](gpu_steps.sizes(args.dry_run))
        print(RESULT + json.dumps(found), flush=True)
        return 0
    if not args.dry_run and not has_gpu():
        print("There is no GPU here: run it where there is one, or with --dry-run.", file=sys.stderr)
        return 2
    results = run_steps(args.only, args.dry_run)
    if args.json:
        args.json.write_text(json.dumps({"dry_run": args.dry_run, "steps": results}, indent=1) + "\n")
    print(main_table(results))
    if args.docs:  # of a dry run nothing is a figure
        write_block(DOCUMENT, main_table({} if args.dry_run else results))
    return 1 if any("error" in found for found in results.values()) else 0


def run_steps(names: Sequence[str], dry_run: bool) -> dict[str, Found]:
    """What each step found, one after the other."""
    results: dict[str, Found] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        results[name] = step(name, dry_run)
        print(f"  {results[name].get('error') or results[name].get('summary')}", file=sys.stderr, flush=True)
    return results


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def step(name: str, dry_run: bool) -> Found:
    """Run one step by itself; what it found with its seconds, or `error` in one sentence."""
    command = [sys.executable, "-m", "tools.gpu_check", "--step", name, *(["--dry-run"] if dry_run else [])]
    limit = DRY_SECONDS if dry_run else LIMITS[name]
    began = time.monotonic()
    code, output = limited(command, limit)
    took = round(time.monotonic() - began, 1)
    if code is None:
        return {"error": f"stopped after the {limit:g} s that it may take", "seconds": took}
    lines = [line for line in output.splitlines() if line.startswith(RESULT)]
    if code or not lines:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
        return {"error": f"failed with code {code}: {last.strip()[:300]}", "seconds": took}
    return json.loads(lines[-1].removeprefix(RESULT)) | {"seconds": took}


def limited(command: list[str], seconds: float) -> tuple[int | None, str]:
    """Exit code and output of a command, with all that it started; None where it took longer and was ended."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    return process.returncode, output


def main_table(results: dict[str, Found]) -> str:
    """What is wanted and what came out; NOT_RUN for what no step measured."""
    card = next((found["device"] for found in results.values() if "device" in found), "a GPU")
    lines = [f"| on {card} | measured |", "| --- | --- |"]
    for wanted, name, entry in ROWS:
        found = results.get(name, {})
        value = found.get("error") or found.get(entry) or NOT_RUN
        lines.append(f"| {wanted} | {str(value).replace('|', '/')} |")
    return "\n".join(lines)


def write_block(path: Path, content: str) -> None:
    """Put the table between the document's marks, in place of the one before."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path.name} has no {BEGIN} … {END} to write into.")
    path.write_text(f"{before}{BEGIN}\n{content}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    from speechprompt.cli import run_command

    sys.exit(run_command("python -m tools.gpu_check", sys.modules[__name__]))
