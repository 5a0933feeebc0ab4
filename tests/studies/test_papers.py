"""The papers' table is made from corpora on a disk, goes on where it was stopped, and says what fills an empty cell."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import studies.papers
from speechprompt.backbone import Backbone
from speechprompt.cli import run_command
from speechprompt.data.corpora.catalogue import CORPORA, find
from studies.measures import papers
from tests.data.corpora_trees import asvspoof2019, esc50_tree
from tests.tiny import make_backbone, make_prompt


def run(root: Path, backbone: Path, work: Path) -> str:
    out = work.parent / "reproduction.md"
    given = [str(root), "--backbone", str(backbone), "--work", str(work), "--out", str(out), "--steps", "4"]
    assert run_command("papers", studies.papers, given) == 0
    return out.read_text()


def rows(text: str) -> dict[str, list[str]]:
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[1].strip("`"): row for row in found}


def test_what_is_found_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    backbone, work = make_backbone(tmp_path), tmp_path / "work"
    esc50_tree(tmp_path / "root" / "esc50")
    asvspoof2019(tmp_path / "root" / "asvspoof2019")
    monkeypatch.setattr(papers, "list_backbones", lambda: [])
    table = rows(run(tmp_path / "root", backbone, work))
    assert set(table) >= {task for name in CORPORA for task in find(name).tasks}
    spoof = table["spoofed_speech"]
    assert spoof[2:4] == ["equal error rate", "13.1"]
    assert all(re.fullmatch(r"tiny: \d+\.\d \(test, 8; 4 steps\)", spoof[i]) for i in (4, 5))
    assert "--corpus" not in spoof[-1]
    assert "--backbone tiny --corpus grabo" in table["robot_commands"][-1]
    assert "grabo: not found in root, passed over" in capsys.readouterr().out
    assert (work / "tiny" / "v2" / "environmental_sounds" / "prompt_config.json").is_file()
    plain, augmented = (
        pq.read_table(work / "tiny" / f"asvspoof2019.{kind}.parquet", columns=["split"])["split"].to_pylist()
        for kind in ("units", "any-4.units")
    )
    assert augmented.count("train") == 5 * plain.count(
        "train"
    )  # of ours; the papers have no simulated recordings
    assert augmented.count("test") == plain.count("test") == 8

    monkeypatch.setattr(papers, "main", lambda argv: pytest.fail(f"made again: {argv[0]}"))
    assert rows(run(tmp_path / "root", backbone, work)) == table


def test_units_that_are_there_without_an_encoder_are_those_of_the_first_corpus(tmp_path: Path) -> None:
    backbone = Backbone.load(make_backbone(tmp_path, encoder=False))
    units = tmp_path / "hubert100_units_speech_commands.parquet"
    units.touch()
    found = [
        papers.data_of(
            papers.Cell(f"speech_commands_{version}", "keyword_spotting"), tmp_path, tmp_path, backbone, "v2"
        )
        for version in ("v1", "v2")
    ]
    assert found == [units, None]


def test_the_table_has_what_every_backbone_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers, "list_backbones", lambda: [])
    for name, accuracy in (("one", 0.5), ("two", 0.25)):
        prompt = make_prompt("accent", backbone=name, commands={"tuned": "t", "measured": "m"})
        prompt = replace(
            prompt, metrics={"split": "test", "n": 8, "accuracy": accuracy, "interval95": [0.0, 1.0]}
        )
        prompt.save(tmp_path / name / "v2" / "accent")
    row = rows(papers.table(tmp_path, "one"))["accent"]
    assert row[4] == "one: 50.0 (test, 8)<br>two: 25.0 (test, 8)"
    assert row[-1].startswith("`python -m studies.papers ROOT --backbone one")  # ours was not made


def test_published_figures_belong_to_tasks_that_there_are() -> None:
    assert papers.PUBLISHED.keys() <= {(cell.corpus, cell.task) for cell in papers.cells()}
