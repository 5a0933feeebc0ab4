"""Prompt folders of version 2 become version 3 in place: weights stay to the byte, nothing of the facts is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speechprompt.cli import main
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import TASKS
from tests.tiny import make_prompt

CARD = """# Colours

## How it was made

```
python -m speechprompt tune --task colours
# measured by
python -m speechprompt evaluate --task colours
```
"""


def as_version_2(folder: Path, **changes: Any) -> None:
    """Write prompt_config.json as version 2 had it."""
    path = folder / "prompt_config.json"
    new = json.loads(path.read_text())
    form = {"answer" if name == "kind" else name: value for name, value in new["form"].items()}
    if form["window"] is None:
        del form["window"]
    same = (
        "task",
        "title",
        "backbone",
        "unit_lm_sha256",
        "group",
        "label_rule",
        "data",
        "licence",
        "metrics",
    )
    old = {"format_version": 2, **form, **{name: new[name] for name in same}, "calibration": {}}
    old |= {"example": None, "deep": new["prompt"]["kind"] == "deep", "length": new["prompt"]["length"]}
    path.write_text(json.dumps(old | {"verbalizer": new["verbalizer"]["kind"]} | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "colours").mkdir()
    make_prompt(verbalizer="fixed", silence_label="red", window=2.4).save(tmp_path / "colours", CARD)
    return tmp_path / "colours"


def test_a_folder_is_brought_to_version_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Prompt.load(folder)
    weights = (folder / "prompt.safetensors").read_bytes()
    as_version_2(folder, example="examples/yes.flac", absolute_pitch=True)
    with pytest.raises(
        SpeechPromptError, match="version 2, .* `python -m speechprompt convert prompt-folder"
    ):
        Prompt.load(folder)
    assert main(["convert", "prompt-folder", str(folder)]) == 0
    after = Prompt.load(folder)
    assert (folder / "prompt.safetensors").read_bytes() == weights
    assert after.form == before.form and after.label_rule == {"column": "label"}
    assert after.examples == ("examples/yes.flac",) and after.absolute_pitch and after.calibration is None
    assert after.commands == {
        "tuned": "python -m speechprompt tune --task colours",
        "measured": "python -m speechprompt evaluate --task colours",
    }
    assert CARD.partition("## How")[2] in (folder / "README.md").read_text()
    assert main(["convert", "prompt-folder", str(folder)]) == 0
    assert "version 3 already" in capsys.readouterr().out


def test_what_version_2_did_not_know_comes_from_the_task(folder: Path) -> None:
    rule = {"cases": [["gender", "f", "female"], ["gender", "m", "male"]], "otherwise": None}
    as_version_2(folder, task="gender", label_rule=rule)
    assert main(["convert", "prompt-folder", str(folder)]) == 0
    prompt, task = Prompt.load(folder), TASKS["gender"]
    assert (prompt.about, prompt.languages, prompt.limits) == (task.about, task.languages, task.limits)
    assert prompt.label_rule is None and task.about in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"format_version": 1}, "format version 1"),
        ({"surprise": 1}, "unknown entry 'surprise'"),
        ({"labels": ["red"]}, "verbalizer.units has the shape|labels must be"),
        ({"title": None}, "title must be a valid string"),
        ({"answer": "poem"}, "kind must be"),
        ({"calibration": {"temperature": 1}}, "lacks the entry 'calibration"),
    ],
)
def test_a_strange_folder_stays_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], fact: str
) -> None:
    as_version_2(folder, **changes)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["convert", "prompt-folder", str(folder)]) == 2
    error = capsys.readouterr().err
    assert any(part in error for part in fact.split("|")) and str(folder.parent) not in error
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
