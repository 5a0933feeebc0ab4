"""The check that is ready for a GPU: its dry run does every step; one that fails or hangs takes no other along."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tools import gpu_check
from tools.gpu_check import BEGIN, END, LIMITS, NOT_RUN, ROWS, limited, main_table, run_steps


@pytest.mark.long
def test_a_dry_run_does_every_step(tmp_path: Path) -> None:
    results = run_steps(tuple(LIMITS), dry_run=True)
    errors = {name: found["error"] for name, found in results.items() if "error" in found}
    assert not errors
    assert list(results) == list(LIMITS) and all(found["summary"] for found in results.values())
    assert NOT_RUN not in main_table(results)
    json.dumps(results)


def test_the_steps_take_under_eight_minutes_together_and_every_row_has_one() -> None:
    assert sum(LIMITS.values()) < 8 * 60
    assert {step for _, step, _ in ROWS} == set(LIMITS)


def test_a_step_that_fails_or_hangs_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter(
        [(1, "Traceback\nValueError: no such card\n"), (None, ""), (0, 'gpu_check: {"summary": "fine"}\n')]
    )
    monkeypatch.setattr(gpu_check, "limited", lambda command, seconds: next(found))
    results = run_steps(("tests", "answers", "encoder"), dry_run=False)
    assert results["tests"]["error"] == "failed with code 1: ValueError: no such card"
    assert "stopped after the 60 s" in results["answers"]["error"]
    assert results["encoder"]["summary"] == "fine"
    shown = main_table(results)
    assert "ValueError: no such card" in shown and "| fine |" in shown and shown.count(NOT_RUN) == 4


def test_what_hangs_is_ended_with_all_that_it_started() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    began = time.monotonic()
    assert limited([sys.executable, "-c", child], 1.0) == (None, "")
    assert time.monotonic() - began < 50
    assert limited([sys.executable, "-c", "print(7)"], 50) == (0, "7\n")


def test_the_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        gpu_check.write_block(document, main_table({}))
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count(NOT_RUN) == len(ROWS)
    document.write_text("no marks")
    with pytest.raises(SystemExit, match="no <!-- gpu_check"):
        gpu_check.write_block(document, "x")


def test_the_document_has_the_block() -> None:
    text = gpu_check.DOCUMENT.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert all(wanted in text for wanted, *_ in ROWS)
