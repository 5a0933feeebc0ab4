"""The papers' table is made from corpora on a disk, goes on where it was stopped, and says what fills an empty cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechprompt.data.corpora.catalogue import CORPORA, find
from studies import papers
from tests.data.corpora_trees import asvspoof2019, esc50_tree
from tests.tiny import make_backbone


def run(root: Path, backbone: Path, work: Path) -> str:
    out = work.parent / "reproduction.md"
    given = [str(root), "--backbone", str(backbone), "--work", str(work), "--out", str(out), "--steps", "4"]
    assert papers.run_command("papers", papers, given) == 0
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
    assert spoof[4].endswith("(test, 8)") and spoof[5].endswith("(test, 8)")
    assert "--corpus" not in spoof[-1]
    assert "--backbone tiny --corpus grabo" in table["robot_commands"][-1]
    assert "grabo: not found in root, passed over" in capsys.readouterr().out
    assert (work / "tiny" / "v2" / "environmental_sounds" / "prompt_config.json").is_file()

    monkeypatch.setattr(papers, "main", lambda argv: pytest.fail(f"made again: {argv[0]}"))
    assert rows(run(tmp_path / "root", backbone, work)) == table


def test_published_figures_belong_to_tasks_that_there_are() -> None:
    assert papers.PUBLISHED.keys() <= {(cell.corpus, cell.task) for cell in papers.cells()}
