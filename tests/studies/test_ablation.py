"""The ablation's one command on a tiny backbone: every row, its page and plot, and going on after a stop."""

from __future__ import annotations

import importlib
import json
import random
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.cli import run_command
from speechprompt.units import Units
from studies.ablation import data
from tests.tiny import N_UNITS, make_backbone

LABELS = ("blue", "green", "red")


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    return importlib.import_module("studies.ablation.__main__")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Clips of units that end in the one which tells their label."""
    rng = random.Random(0)
    rows = []
    for i in range(150):
        label = i % 3
        units = [rng.randrange(3, N_UNITS) for _ in range(rng.randint(3, 8))] + [label]
        rows.append(
            {"id": str(i), "split": "train" if i < 120 else "valid", "colour": LABELS[label], "units": units}
        )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "colours.parquet")
    folder = make_backbone(tmp_path)
    given = [
        "--data",
        tmp_path / "colours.parquet",
        "--task",
        "colours",
        "--label-column",
        "colour",
        "--backbone",
    ]
    given += [folder, "--run", tmp_path / "run", "--out", tmp_path / "page.md", "--steps", 6, "--threads", 1]
    return [str(word) for word in given]


def results(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]


def test_every_row_is_tuned_and_on_the_page(ablation: ModuleType, command: list[str], tmp_path: Path) -> None:
    assert run_command("ablation", ablation, [*command, "--seeds", "2"]) == 0
    found = results(tmp_path)
    assert [(r["row"], r["seed"]) for r in found] == [(row.name, s) for s in (0, 1) for row in ablation.ROWS]
    parameters = {r["row"]: r["parameters"] for r in found}
    # 2 layers, width 16, 24 symbols, 3 labels: keys and values, the separator, the verbalizer
    assert parameters["length-5"] == 2 * 2 * 5 * 16 + 16 + 7 * 24
    assert parameters["input"] == 20 * 16 + 16 + 7 * 24
    assert parameters["frequency"] == parameters["random"] == parameters["length-20"] - 7 * 24
    assert parameters["random-lm"] == parameters["length-20"] < parameters["fine-tuning"]
    page = (tmp_path / "page.md").read_text()
    mean = np.mean([r["accuracy"] for r in found if r["row"] == "input"])
    assert re.search(rf"^\| input prompts.*\| 504 \| {100 * mean:.1f} ± [\d.]+ % \|", page, re.MULTILINE)
    assert all(row.title in page for row in ablation.ROWS) and "2 seeds" in page and str(tmp_path) not in page
    assert "--data colours.parquet --task colours --backbone tiny --label-column colour --steps 6" in page
    plot = ElementTree.parse(tmp_path / "images" / "page.svg")
    texts = [node.text for node in plot.iter("{http://www.w3.org/2000/svg}text")]
    assert {"1", "50", "full fine-tuning", "input prompts"} <= set(texts)


def test_goes_on_where_it_was_stopped_to_the_same_results(
    ablation: ModuleType, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = ["--seeds", "1", "--only", "length-2", "fine-tuning", "random-lm"]
    assert run_command("ablation", ablation, [*command, *some]) == 0
    whole = results(tmp_path)
    path = tmp_path / "run" / "results.jsonl"
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + lines[1][:40])  # as a kill leaves it
    assert run_command("ablation", ablation, [*command, *some, "--only-table"]) == 0
    assert "full fine-tuning" not in (tmp_path / "page.md").read_text()
    assert run_command("ablation", ablation, [*command, *some]) == 0
    again = ablation.done_before(tmp_path / "run")
    assert [(r["row"], r["accuracy"]) for r in again] == [(r["row"], r["accuracy"]) for r in whole]
    assert "2 tunings of 6 steps" in capsys.readouterr().out
    assert run_command("ablation", ablation, [*command, *some, "--fine-tuning-lr", "0.0003"]) == 0
    assert "1 tuning of 6 steps" in capsys.readouterr().out
    assert "of 0.0003," in (tmp_path / "page.md").read_text()
    assert run_command("ablation", ablation, [*command, *some, "--steps", "7"]) == 2
    assert "holds another ablation" in capsys.readouterr().err


def test_kept_units_are_those_that_were_heard() -> None:
    heard = Units(np.array([4, 2]), np.array([0, 3]), np.array([3, 5]), np.array([0.25, -0.5], np.float32))
    (read, answer) = data.read_row(data.write_row("train", heard, (2,)))
    assert answer == (2,) and read.log_f0.dtype == np.float32
    for name in ("ids", "starts", "lengths", "log_f0"):
        np.testing.assert_array_equal(getattr(read, name), getattr(heard, name))
