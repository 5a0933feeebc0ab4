"""The house: files that are read in one go, and commands that explain themselves at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LONG

ROOT = Path(__file__).parent.parent
MOST_LINES = 250
PACKAGES = ("speechprompt", "studies", "benchmarks", "tools")
HEAVY = {"torch", "torchaudio", "transformers", "gradio", "sklearn", "pyarrow", "pandas", "playwright"}

# One process for all: what one command's help imported would be seen in the next one's.
HELP = """
import contextlib, importlib, io, sys
from speechprompt.cli import COMMANDS, main, run_command
heavy, failed = set(sys.argv[1].split()), []
names = sys.argv[2:]
for name in [*names, *COMMANDS]:
    code, shown = None, io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            if name in names:
                run_command(name, importlib.import_module(name), ["--help"])
            else:
                main([*name.split(), "--help"])
    except SystemExit as end:
        code = end.code
    if code != 0 or "usage:" not in shown.getvalue() or heavy & sys.modules.keys():
        failed.append((name, code, sorted(heavy & sys.modules.keys())))
        heavy -= sys.modules.keys()
sys.exit(str(failed) if failed else 0)
"""


def test_no_file_is_too_long_to_be_read_in_one_go() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 200
    lines = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8").count("\n") for path in files}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}


def test_no_text_holds_the_marks_of_a_merge() -> None:
    marks = ("<<<<<<< ", ">>>>>>> ")
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "speechprompt").rglob("*.js")]
    assert len(texts) > 20
    marked = [path.name for path in texts if any(f"\n{m}" in path.read_text("utf-8") for m in marks)]
    assert marked == []


@pytest.mark.parametrize("package", ["studies", "benchmarks", "tools"])
def test_every_program_can_be_asked_for_help(package: str) -> None:
    names = programs(package)
    assert len(names) > 2
    for name in names:
        assert f"python -m {name.removesuffix('.__main__')}" in (ROOT / as_path(name)).read_text("utf-8"), (
            name
        )


def test_help_costs_no_heavy_import() -> None:
    names = [name for package in ("studies", "benchmarks", "tools") for name in programs(package)]
    command = [sys.executable, "-c", HELP, " ".join(HEAVY), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def programs(package: str) -> list[str]:
    """The modules of a package that `python -m` runs."""
    files = sorted((ROOT / package).rglob("*.py"))
    own = [path for path in files if '__name__ == "__main__"' in path.read_text("utf-8")]
    return [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in own]


def as_path(name: str) -> str:
    return name.replace(".", "/") + ".py"


def test_what_pytest_alone_leaves_out_is_there() -> None:
    """A test that is renamed would else be run by `pytest` alone again, whatever it takes."""
    for entry in LONG:
        file, _, name = entry.partition("::")
        assert (ROOT / file).exists(), entry
        test = f"def {name.partition('[')[0]}"
        assert not name or test in (ROOT / file).read_text(encoding="utf-8"), entry
