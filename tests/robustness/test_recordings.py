"""Every recording of the corpus gives what it must, in bounded memory and time."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.robustness.corpus import cases

ROOT = Path(__file__).parents[2]
MOST_MEMORY = 1.5e9  # bytes above the idle process
MOST_SECONDS = 30.0  # a busy machine may be slow; a case that hangs is what this is about


def run_corpus(folder: Path) -> list[dict[str, Any]]:
    """Make every case's file, then answer them all in one process of their own; what came out, in order."""
    listed = []
    for number, case in enumerate(cases()):
        own = folder / str(number)
        own.mkdir()
        source = case.make(own)
        if source is not None:  # else it cannot be made here
            listed.append((case.name, case.expect, source))
    (folder / "cases.pickle").write_bytes(pickle.dumps(listed))
    done = subprocess.run(
        [sys.executable, "-m", "tests.robustness.run_corpus", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        raise RuntimeError(
            f"The process ended with {done.returncode} at {lines[-1:]}:\n{done.stderr[-2000:]}"
        )
    return [line for line in lines if "name" in line]


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_corpus(tmp_path_factory.mktemp("corpus"))


def test_every_case_gives_what_it_must(came: list[dict[str, Any]]) -> None:
    assert len(came) >= 80 and len({line["name"] for line in came}) == len(came)
    wrong = [
        f"{line['name']}: {line['came']!r}, expected {line['expected']!r}" for line in came if not line["ok"]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_case_takes_much_memory_or_time(came: list[dict[str, Any]]) -> None:
    greedy = {line["name"]: line["memory"] for line in came if line["memory"] > MOST_MEMORY}
    slow = {line["name"]: line["seconds"] for line in came if line["seconds"] > MOST_SECONDS}
    assert not greedy and not slow
