"""The benchmarks that measure prompts: their tables are those of the data, what is not there has a row that says so."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from benchmarks import accuracy
from speechprompt.backbone import Backbone
from speechprompt.dataset import read
from speechprompt.evaluation import evaluate
from speechprompt.tasks import TASKS, Task
from tests.tiny import make_backbone, make_prompt, make_waveform

FRUIT = ("apple", "pear", "plum", "nothing")
COLOURS = ("red", "green", "blue")


def clip(seconds: float, seed: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, make_waveform(seconds, seed), 16_000, format="FLAC")
    return out.getvalue()


def write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), file)


@pytest.fixture
def backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Backbone]:
    """Two backbones, one without its encoder; tasks with files that are there, partly there and not there."""
    prompts = (
        make_prompt(),
        make_prompt("fruit", FRUIT, 2, label_rule={"column": "fruit"}),
        make_prompt("lost"),
        make_prompt("strange"),
        make_prompt("spelled", tuple("abc"), answer="sequence", max_steps=3, joiner="", label_rule={"text": "id"}),
    )  # fmt: skip
    found = [Backbone(make_backbone(tmp_path, "tiny", prompts))]
    found.append(Backbone(make_backbone(tmp_path, "deaf", (make_prompt(),), encoder=False)))
    facts: dict[str, dict[str, Any]] = {
        "colours": {"files": ("clips",), "unit_files": ("transcripts",)},
        "fruit": {"files": ("clips",)},
        "lost": {"files": ("clips", "gone")},
        "spelled": {"files": ("clips",)},
    }
    for name, more in facts.items():
        monkeypatch.setitem(TASKS, name, Task(name, name, "Other", "random", "CC0-1.0", **more))
    (tmp_path / "data").mkdir()
    rows = [
        {"id": "cab", "split": "test", "audio": clip(0.3 + 0.1 * i, i), "label": COLOURS[i % 3], "fruit": FRUIT[i % 4]}
        for i in range(6)
    ]  # fmt: skip
    write(tmp_path / "data" / "clips.parquet", rows)
    rows = [{"split": "valid", "units": [i, 2 * i, 3], "label": COLOURS[i % 3]} for i in range(6)]
    write(tmp_path / "data" / "transcripts.parquet", rows)
    return found


def test_every_prompt_has_a_row_and_every_clip_is_heard_once(
    backbones: list[Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    listen = backbones[0].listen
    monkeypatch.setattr(backbones[0], "listen", lambda clips: heard.extend(clips) or listen(clips))
    rows = accuracy.rows_of(backbones, [], tmp_path / "data", "test")
    assert len(heard) == 6  # for three prompts
    by_name = {(row.task, row.backbone): row for row in rows}
    assert [row.task for row in rows if row.backbone == "tiny"] == [
        "colours",
        "fruit",
        "lost",
        "spelled",
        "strange",
    ]
    tiny = backbones[0]
    examples = read(tmp_path / "data" / "clips.parquet", {"column": "label"}, "test")
    colours = by_name["colours", "tiny"]
    assert colours.split == "test" and colours.figures == evaluate(tiny, tiny.prompt("colours"), examples)
    deaf = by_name["colours", "deaf"]  # on units, which have no test split
    assert deaf.split == "valid" and deaf.figures["n"] == 6
    assert by_name["lost", "tiny"].note == "gone.parquet not found in the data folder."
    assert "does not say which files strange" in by_name["strange", "tiny"].note
    said = accuracy.table(rows).splitlines()
    assert all(line.count(" | ") == len(accuracy.HEAD) - 1 for line in said)
    (line,) = [line for line in said if "`colours` | tiny" in line]
    assert "| 6 (test) |" in line and f"| {tiny.prompt('colours').n_parameters:,} |" in line
    assert "not measured: gone.parquet not found" in next(line for line in said if "`lost`" in line)
    assert "character error rate" in next(line for line in said if "`spelled`" in line)


def test_data_that_does_not_fit_is_a_row_too(backbones: list[Backbone], tmp_path: Path) -> None:
    strange = [{"split": "dev", "audio": b"", "label": "a|b"}]
    for rows, said in (
        (strange, "no split 'test' and no valid split, but dev"),
        ([{**strange[0], "split": "test"}], r"has the label 'a\|b', which the prompt colours cannot answer"),
        ([{**strange[0], "split": "test", "label": "red"}], "0: "),
        ([{"split": "test", "words": "a"}], "needs the columns split and audio"),
    ):
        write(tmp_path / "data" / "clips.parquet", rows)
        (row,) = accuracy.rows_of(backbones[:1], ["colours"], tmp_path / "data", "test")
        assert said in accuracy.table([row]) and not row.figures


def test_the_command_writes_what_it_prints(
    backbones: list[Backbone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, folder = tmp_path / "accuracy.md", str(backbones[0].folder)
    command = [
        "accuracy.py",
        str(tmp_path / "data"),
        "--backbone",
        folder,
        "--task",
        "colours",
        "--out",
        str(out),
    ]
    monkeypatch.setattr(sys, "argv", command)
    accuracy.main()
    said = capsys.readouterr().out.strip()
    text = out.read_text(encoding="utf-8")
    assert said.startswith("| task |") and text.endswith(f"{said}\n") and str(tmp_path) not in text
    monkeypatch.setattr(sys, "argv", [*command, "--json"])
    accuracy.main()
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert row["task"] == "colours" and row["split"] == "test" and row["figures"]["n"] == 6
    for change, said in (
        (["--task", "dancing"], "has a prompt for the task 'dancing'"),
        (["--backbone", "nope"], "There is no backbone 'nope'"),
        (["--out", str(tmp_path / "no" / "a.md")], "folder of --out"),
    ):
        monkeypatch.setattr(sys, "argv", [*command, *change])
        with pytest.raises(SystemExit, match=said):
            accuracy.main()
