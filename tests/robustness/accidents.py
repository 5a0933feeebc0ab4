"""Work that is interrupted: what a child process does while its parent kills it, fills its disk or takes its memory.

The children are forked from a server that has imported everything once, so that each starts in milliseconds.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tests import tiny

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["speechprompt.tuning.loop", "speechprompt.making.convert.unit_lm", "tests.robustness.accidents"]
)
CHECKPOINTS = Path(__file__).parents[1] / "fixtures" / "checkpoints"
SEEDS = (1, 2)  # of the two prompts or models that a writer writes in turns


def start(work: Callable[..., None], *args: Any, log: Path | None = None) -> Any:
    process = CONTEXT.Process(target=quietly, args=(work, log, *args), daemon=True)
    process.start()
    return process


def quietly(work: Callable[..., None], log: Path | None, *args: Any) -> None:
    """Run in the child: one thread, and whatever it prints goes to a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background work has it ignored
    torch.set_num_threads(1)
    file = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    work(*args)


def command(*argv: str) -> None:
    from speechprompt.cli import main

    sys.exit(main(list(argv)))


def command_with_limit(n_bytes: int, *argv: str) -> None:
    """The command on a disk where no file may grow beyond n_bytes, which is how a full one looks to it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    command(*argv)


# Writers that never end


def save_prompts(folder: Path) -> None:
    for seed in itertools.cycle(SEEDS):
        tiny.make_prompt(seed=seed).save(folder, card=f"# {seed}\n")


def save_lms(folder: Path) -> None:
    from speechprompt.models import unit_lm

    for seed in itertools.cycle(SEEDS):
        unit_lm.save(tiny.make_lm(seed=seed), folder)


def convert_lms(folder: Path) -> None:
    from speechprompt.making.convert.unit_lm import convert

    for dtype in itertools.cycle((torch.float16, torch.float32)):
        convert(CHECKPOINTS / "base_lm.pt", CHECKPOINTS / "dict.txt", folder, dtype)


def tune_forever(backbone: Path, data: Path, run: Path, out: Path, steps: int = 100_000) -> None:
    options = ["--steps", str(steps), "--check-every", "1", "--patience", "1000000", "--prompt-length", "2"]
    where = ["--backbone", str(backbone), "--data", str(data), "--run", str(run), "--out", str(out)]
    command("tune", "--task", "sizes", *where, *options)


def pretrain_forever(units: Path, run: Path, out: Path, epochs: int = 100_000) -> None:
    from speechprompt.making.pretrain import unit_lm
    from speechprompt.making.pretrain.config import LMTraining

    sizes: Any = {"dim": 16, "layers": 1, "heads": 2, "dropout": 0.0, "threads": 1}
    unit_lm.pretrain([units], out, tiny.N_UNITS, LMTraining(run, epochs, 1e-3, 256, **sizes))


def write_units(path: Path, n: int = 40) -> Path:
    """A parquet file of labelled units: utterances of small units are "a", the others "b"."""
    rng, rows = random.Random(0), []
    for i in range(n):
        low = 0 if i % 2 else tiny.N_UNITS // 2
        units = [low + rng.randrange(tiny.N_UNITS // 2) for _ in range(6)]
        rows.append({"split": "train" if i % 4 else "valid", "units": units, "label": "ab"[low > 0]})
        rows.append({"split": "valid" if i % 4 else "train", "units": units[::-1], "label": "ab"[low > 0]})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def kill_often(
    work: Callable[..., None],
    args: tuple[Any, ...],
    made: Path,
    check: Callable[[], None],
    n: int,
    within: float = 0.15,
) -> int:
    """Start the work n times; once it wrote `made`, kill -9 it within so many seconds, and check what it left.

    Returns how many of the kills came in the midst of a write, by the folders that were left aside.
    """
    rng, amidst = random.Random(0), 0
    for _ in range(n):
        before = stamp(made)
        process = start(work, *args)
        wait_for(lambda: stamp(made) not in (0, before) or not process.is_alive())  # noqa: B023
        time.sleep(rng.random() * within)
        process.kill()
        process.join()
        if process.exitcode != -9:
            raise RuntimeError(f"{work.__name__} ended by itself with {process.exitcode}.")
        check()
        amidst += any(made.parent.parent.glob(".*.aside")) or any(made.parent.glob(".*.new"))
    return amidst


def stamp(path: Path) -> int:
    """When the file was last written, in ns; 0 while there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError("What was waited for did not happen.")
        time.sleep(0.002)
