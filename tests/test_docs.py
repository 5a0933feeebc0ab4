"""What the documents say is so: tests and modules that they name exist, figures are those of the prompts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechprompt.prompts.card_texts import percent
from tests.shipped import BACKBONES, PROMPTS

ROOT = Path(__file__).parent.parent
PAPERS = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
ACCURACY = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_feature_of_the_papers_names_tests_and_modules_that_are_there() -> None:
    rows = [row.split("|")[1:-1] for row in PAPERS.splitlines() if row.startswith("|")]
    rows = [row for row in rows if len(row) == 4][2:]
    assert len(rows) > 20
    for feature, _, modules, tests in rows:
        for module in re.findall(r"`([\w/]+)`", modules):
            assert (ROOT / "speechprompt" / f"{module}.py").is_file(), f"{feature}: {module}"
        named = re.findall(r"`([\w/]*test_\w+\.py)::(\w+)`", tests)
        assert named, feature
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{feature}: {test}"


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_examples_in_python_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no running app, one after the other, as a reader would type them."""
    monkeypatch.chdir(ROOT)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Client(" not in code]
    assert len(blocks) == (1 if page == "README.md" else 2)
    names: dict[str, Any] = {"chunk": np.zeros(4800, np.float32)}
    for code in blocks:
        exec(code, names)
    if page == "README.md":
        assert names["a"].label == "yes"
        return
    assert names["answers"]["keyword_spotting"].label == "yes" and names["taught"].prompt.title == "Doors"
    assert names["a"].slots == {"action": "deactivate", "object": "lights", "location": "none"}
    assert names["listener"].seconds == pytest.approx(0.1, abs=0.01)  # its resampler holds some back


def test_the_readme_is_read_in_a_minute_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    pages = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
    links = re.findall(r"\]\(([\w./-]+)\)", README)
    assert [page for page in pages if links.count(page) != 1] == []
    for page in ("README.md", "CONTRIBUTING.md", *pages):
        text = (ROOT / page).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([\w./-]+)\)", text):
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_the_tree_for_newcomers_names_every_wing_and_door() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = re.findall(r"^  (\S.*?)  ", text.split("```")[1], re.MULTILINE)
    named = {name for line in tree for name in line.split()}
    there = {f"{path.parent.name}/" for path in (ROOT / "speechprompt").glob("*/__init__.py")}
    there |= {path.stem for path in (ROOT / "speechprompt").glob("[!_]*.py")}
    assert named == there


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
        output = process.communicate()[0].decode()
        assert "usage" in output, program
        if program.parts[0] != "tools":
            assert re.search("seconds|minute|hour", output), f"{program}: how long does it take?"


def interval(low: float, high: float) -> str:
    return "–".join(f"{100 * end:.1f}" for end in (low, high))


@pytest.mark.parametrize(("backbone", "task"), PROMPTS)
def test_the_tables_of_tasks_give_the_figures_of_the_prompt(backbone: str, task: str) -> None:
    prompt = BACKBONES[backbone].prompt(task)
    figures = prompt.metrics
    ends = interval(*figures["interval95"])
    (row,) = re.findall(rf"^\| `{task}` \| {backbone} \|.*$", ACCURACY, re.MULTILINE)
    assert f"| {figures['n']} ({figures['split']}" in row and f"| {percent(figures['accuracy'])} |" in row
    assert f"| {ends} |" in row and row.endswith(f"| {prompt.n_parameters:,} |")
    for row in re.findall(rf"^\| `{task}` \| {backbone} \|.*$", README, re.MULTILINE):
        assert f"| {percent(figures['accuracy'])} of {figures['n']} ({figures['split']}" in row
        assert row.endswith(f"| {ends} |")


@pytest.mark.parametrize(("backbone", "task"), PROMPTS)
def test_cards_give_the_figures_of_the_prompt(backbone: str, task: str) -> None:
    prompt = BACKBONES[backbone].prompt(task)
    card = (BACKBONES[backbone].prompt_folder(task) / "README.md").read_text(encoding="utf-8")
    assert f"**{percent(prompt.metrics['accuracy'])}** of {prompt.metrics['n']}" in card
    assert f"{prompt.n_parameters:,} parameters" in card
    command = card.split("```")[1]
    assert f"tune --task {task}" in command or f"tune --backbone {backbone} --task {task}" in command
