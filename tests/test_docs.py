"""What the documents say is so: tests and modules that they name exist, figures are those of the prompts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechprompt.backbone import Backbone
from speechprompt.prompts.card import percent
from speechprompt.storage.bundled import list_backbones

ROOT = Path(__file__).parent.parent
PAPERS = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
BUNDLED = [(name, task) for name in list_backbones() for task in Backbone.load(name).prompts]


def test_every_feature_of_the_papers_names_tests_and_modules_that_are_there() -> None:
    rows = [row.split("|")[1:-1] for row in PAPERS.splitlines() if row.startswith("|")][2:]
    assert len(rows) > 20
    for feature, _, modules, tests in rows:
        for module in re.findall(r"`([\w/]+)`", modules):
            assert (ROOT / "speechprompt" / f"{module}.py").is_file(), f"{feature}: {module}"
        named = re.findall(r"`([\w/]*test_\w+\.py)::(\w+)`", tests)
        assert named, feature
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{feature}: {test}"


def test_the_examples_in_python_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no running app, one after the other, as a reader would type them."""
    monkeypatch.chdir(ROOT)
    blocks = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Client(" not in code]
    assert len(blocks) == 2
    names: dict[str, Any] = {"chunk": np.zeros(4800, np.float32)}
    for code in blocks:
        exec(code, names)
    assert next(answer.label for answer in names["answers"]) == "yes"
    assert names["a"].slots == {"action": "deactivate", "object": "lights", "location": "none"}
    assert names["listener"].seconds == pytest.approx(0.1, abs=0.01)  # its resampler holds some back


def test_benchmarks_studies_and_tools_start_as_modules() -> None:
    programs = [
        path.relative_to(ROOT).with_suffix("")
        for folder in ("benchmarks", "studies", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if "ArgumentParser(" in path.read_text() or "run_command(" in path.read_text()
    ]
    assert len(programs) >= 13
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", ".".join(program.parts), "--help"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for program in programs
    ]
    for program, process in zip(programs, started, strict=True):
        assert b"usage" in process.communicate()[0], program


@pytest.mark.parametrize(("backbone", "task"), BUNDLED)
def test_the_table_of_tasks_gives_the_figures_of_the_prompt(backbone: str, task: str) -> None:
    prompt = Backbone.load(backbone).prompt(task)
    (row,) = re.findall(rf"^\| `{task}` \| {backbone} \|.*$", README, re.MULTILINE)
    figures, (low, high) = prompt.metrics, prompt.metrics["interval95"]
    assert f"| {percent(figures['accuracy'])} of {figures['n']} ({figures['split']}" in row
    ends = [f"{100 * end:.1f}".replace("100.0", "100") for end in (low, high)]
    assert row.endswith(f"| {'–'.join(ends)} |")
    assert f"| {round(prompt.n_parameters / 1000)} k |" in row
    assert f"| {len(prompt.labels)} |" in row


@pytest.mark.parametrize(("backbone", "task"), BUNDLED)
def test_cards_give_the_figures_of_the_prompt(backbone: str, task: str) -> None:
    prompt = Backbone.load(backbone).prompt(task)
    card = (Backbone.load(backbone).prompt_folder(task) / "README.md").read_text(encoding="utf-8")
    assert f"**{percent(prompt.metrics['accuracy'])}** of {prompt.metrics['n']}" in card
    assert f"{prompt.n_parameters:,} parameters" in card
    command = card.split("```")[1]
    assert f"tune --task {task}" in command or f"tune --backbone {backbone} --task {task}" in command
