"""A Space's folder holds what it needs and nothing else, its app starts there, and ZeroGPU lends it the GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speechprompt.errors import SpeechPromptError
from tools import space, space_check

ROOT = Path(__file__).parents[2]

# What ZeroGPU does to an app, without its GPU: it wants to come before torch, lends for as long as it is
# asked to, and what goes in and out is pickled. The models that ask for "cuda" get the CPU.
SPACES = """
import pickle, sys
first = "torch" not in sys.modules
import torch
import speechprompt.machine.device
devices, durations, refuse = [], [], []

def choose_device(device):
    devices.append(device)
    return torch.device("cpu")

speechprompt.machine.device.choose_device = choose_device

def GPU(duration):
    def decorate(function):
        def lent(*args):
            if refuse:
                raise RuntimeError("You have exceeded your GPU quota")
            durations.append((function.__name__, duration(*args)))
            return pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(args)))))
        return lent
    return decorate
"""
ASK = """
import json
import app, spaces
from speechprompt.ui.choices import Choices

clip, mini = str(app.EXAMPLES / "yes.flac"), app.desk.backbones["mini"]
loaded = app.desk.lender.desk.backbones["mini"]
found = {"first": spaces.first, "devices": spaces.devices, "badge": Choices(app.desk).device_text(),
         "loaded": loaded._lm is not None and loaded._encoder is not None}
answer, prompt, waveform = app.desk.classify(clip, "keyword_spotting", "mini")
found["label"], found["same prompt"] = answer.label, prompt is mini.prompts["keyword_spotting"]
rows = app.desk.compare(waveform, [("mini", task) for task in ("spoken_digits", "keyword_spotting")])
found["compared"], found["error"] = rows[1].answer.label, rows[0].error
found["silence"] = app.desk.compare(0 * waveform, [("mini", "spoken_digits")])[0].error
found["durations"] = list(spaces.durations)
spaces.refuse.append(True)
found["without"] = app.desk.classify(clip, "keyword_spotting", "mini")[0].label
found["compared without"] = app.desk.compare(waveform, [("mini", "keyword_spotting")])[0].answer.label
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("space") / "out"
    files = space.build(ROOT, out)
    assert sorted(files) == sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    return out


def small_checkout(folder: Path) -> Path:
    """What a Space is built from, with little in it, and with things that must not get in."""
    for name in (
        "app.py",
        "requirements.txt",
        "packages.txt",
        "README.md",
        "LICENSE",
        ".gitignore",
        "pyproject.toml",
    ):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    kept = ("speechprompt/a.py", "backbones/gslm/backbone.json", "prompts/mini/mine/prompt.safetensors",
            "backbones/mini/encoder/model.safetensors", "examples/examples.json")  # fmt: skip
    left = ("speechprompt/__pycache__/a.pyc", "backbones/gslm/encoder/model.safetensors", "runs/log.txt",
            "backbones/gslm/fetched.json", "backbones/gslm/.fetch/part", "speechprompt/.secret",
            "token.txt")  # fmt: skip
    for name in (*kept, *left):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "examples" / "link.flac").symlink_to("/etc/hostname")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def test_the_folder_holds_what_the_app_needs_and_what_its_page_links_to(built: Path) -> None:
    names = ("app.py", "LICENSE", "prompts/mini/keyword_spotting/prompt.safetensors", "examples/yes.flac",
             "speechprompt/ui/page.css", "docs/images/desktop-light.png", "docs/performance.md")  # fmt: skip
    for name in names:
        assert (built / name).read_bytes() == (ROOT / name).read_bytes()
    attributes = (built / ".gitattributes").read_text(encoding="utf-8")
    kinds = {path.suffix for path in built.rglob("*") if path.is_file() and b"\0" in path.read_bytes()}
    assert kinds and all(f"*{kind} filter=lfs" in attributes for kind in kinds)
    assert not (built / "tests").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="needs git")
def test_nothing_that_git_ignores_gets_in(built: Path) -> None:
    names = "\n".join(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
    told = subprocess.run(
        ["git", "check-ignore", "--stdin"], cwd=ROOT, input=names, capture_output=True, text=True
    )
    assert (told.returncode, told.stdout) == (1, "")  # 1: none of them


def test_caches_fetched_weights_links_and_hidden_files_stay_out(tmp_path: Path) -> None:
    files = {path.as_posix() for path in space.build(small_checkout(tmp_path / "repo"), tmp_path / "out")}
    assert files == {".gitattributes", "app.py", "requirements.txt", "packages.txt", "README.md", "LICENSE",
                     "speechprompt/a.py", "backbones/gslm/backbone.json", "backbones/mini/encoder/model.safetensors",
                     "prompts/mini/mine/prompt.safetensors", "examples/examples.json"}  # fmt: skip


def test_a_space_is_built_again_in_place_and_nothing_else_is_overwritten(tmp_path: Path) -> None:
    repo, out = small_checkout(tmp_path / "repo"), tmp_path / "out"
    space.build(repo, out)
    (out / ".git").mkdir()
    (out / "speechprompt" / "old.py").write_text("")
    space.build(repo, out)
    assert (out / ".git").is_dir() and not (out / "speechprompt" / "old.py").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "app.py").write_text("mine")
    for place, sentence in (
        (tmp_path / "mine", "not empty"),
        (tmp_path / "mine" / "app.py", "is a file"),
        (repo, "lies in what would be copied"),
        (repo / "speechprompt" / "space", "lies in what would be copied"),
    ):
        with pytest.raises(SpeechPromptError, match=sentence):
            space.build(repo, place)
    assert (tmp_path / "mine" / "app.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        ("sdk_version: 6.31.0", "sdk_version: 5.0.0", "pins gradio 6.31.0"),
        ('python_version: "3.12"', 'python_version: "3.9"', "requires-python"),
        ("app_file: app.py", "app_file: main.py", "app_file"),
        ("license: apache-2.0", "", "must give license"),
        ("sdk: gradio", "sdk: docker", "sdk: gradio"),
        ("short_description: ", f"short_description: {'x' * 60}", "over 60"),
    ],
)
def test_front_matter_that_would_not_start_is_refused(
    tmp_path: Path, line: str, instead: str, sentence: str
) -> None:
    repo = small_checkout(tmp_path / "repo")
    text = (repo / "README.md").read_text(encoding="utf-8")
    assert line in text
    (repo / "README.md").write_text(text.replace(line, instead, 1), encoding="utf-8")
    with pytest.raises(SpeechPromptError, match=sentence):
        space.build(repo, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_app_starts_from_the_folder_and_answers_as_the_clips_are_labelled(
    built: Path, tmp_path: Path
) -> None:
    before = sorted(built.rglob("*"))
    lines = list(space_check.ask(built, Path(sys.executable), tmp_path))
    assert "started" in lines[0] and lines[1].endswith("tasks of mini") and "as labelled" in lines[2]
    assert sorted(built.rglob("*")) == before  # it leaves nothing behind


def test_an_app_that_does_not_start_is_said_with_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('no port is free')")
    with pytest.raises(SpeechPromptError, match="no port is free"):
        list(space_check.ask(tmp_path, Path(sys.executable), tmp_path))


def test_on_zero_gpu_recordings_are_answered_on_the_lent_gpu_and_on_the_cpu_without_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "spaces.py").write_text(SPACES, encoding="utf-8")
    environment = os.environ | {
        "SPACES_ZERO_GPU": "1",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["first"] and found["loaded"] and found["same prompt"]
    assert found["devices"] == ["cpu", "cuda"]
    assert found["badge"].startswith("ZeroGPU, else CPU")
    assert found["label"] == found["compared"] == found["without"] == found["compared without"] == "yes"
    assert not found["error"] and found["silence"].startswith("Nothing was recorded")
    assert [tuple(pair) for pair in found["durations"]] == [
        ("_compare_on_device", 6), ("_compare_on_device", 6), ("_compare_on_device", 6),
    ]  # fmt: skip


def test_a_long_recording_and_many_prompts_ask_for_longer_but_never_for_more_than_a_request_may_take() -> (
    None
):
    import numpy as np

    from speechprompt.ui.zero_gpu import on_gpu, seconds_for

    minute = np.zeros(60 * 16_000, np.float32)
    assert [seconds_for(minute, n) for n in (1, 5, 100)] == [13, 21, 60]
    assert on_gpu(len, seconds_for) is len  # here there is nothing to lend


def test_a_python_that_is_found_but_does_not_run_is_not_chosen(tmp_path: Path) -> None:
    promise = tmp_path / "python3.99"
    promise.write_text("#!/bin/sh\nexit 127\n")
    promise.chmod(0o755)
    assert [space_check.works(name) for name in (sys.executable, str(promise), "no-such-python")] == [
        True,
        False,
        False,
    ]
