"""`label --ray` on this machine against `label`: the same rows, with one worker killed on the way, and how fast.

    python -m benchmarks.cluster                       # 2,000 clips of 0.5 to 1 s, two workers
    python -m benchmarks.cluster --clips 20000 --json cluster.json

Cuts clips from the examples, then answers each of four quarters with `label` and on Ray in turn, so that what else the
machine does meets both. The first quarter's run on Ray loses a worker. Prints clips a second, their ratio, processor
time of a clip, and how many rows differ. 20,000 clips take about 20 minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--task", action="append", dest="tasks", default=[])
    parser.add_argument("--workers", type=int, default=2, help="of Ray, and threads of `label`")
    parser.add_argument("--json", type=Path)


def run(args: argparse.Namespace) -> int:
    from benchmarks.cluster_runs import measure

    return measure(args)


if __name__ == "__main__":
    sys.exit(run_command("python -m benchmarks.cluster", sys.modules[__name__]))
