"""The benchmarks that measure prompts: their tables are those of the data, what is not there has a row that says so."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

import studies.accuracy
import studies.bounds
import studies.precision
from speechprompt.backbone import Backbone
from speechprompt.cli import run_command
from speechprompt.data.dataset import read
from speechprompt.evaluation.evaluate import evaluate, to_units
from speechprompt.tasks.catalogue import TASKS, Task
from speechprompt.units import Units
from studies.measures import accuracy, bounds, classifiers, precision
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
        make_prompt("spelled", tuple("abc"), kind="sequence", max_steps=3, joiner="", label_rule={"text": "id"}),
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
    message = accuracy.table(rows).splitlines()
    assert all(line.count(" | ") == len(accuracy.HEAD) - 1 for line in message)
    (line,) = [line for line in message if "`colours` | tiny" in line]
    assert "| 6 (test) |" in line and f"| {tiny.prompt('colours').n_parameters:,} |" in line
    assert "not measured: gone.parquet not found" in next(line for line in message if "`lost`" in line)
    assert "character error rate" in next(line for line in message if "`spelled`" in line)


def test_with_pauses_every_recording_is_longer_and_units_are_not_measured(
    backbones: list[Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    listen = backbones[0].listen
    monkeypatch.setattr(
        backbones[0], "listen", lambda clips: lengths.extend(map(len, clips)) or listen(clips)
    )
    rows = accuracy.rows_of(backbones, ["colours"], tmp_path / "data", "test", 0.5)
    assert lengths == [16_000 + 4_800 + 1_600 * i for i in range(6)]
    heard, units = rows
    assert heard.backbone == "tiny" and heard.figures["n"] == 6
    assert "units and no recordings" in units.note and not units.figures


def test_data_that_does_not_fit_is_a_row_too(backbones: list[Backbone], tmp_path: Path) -> None:
    strange = [{"split": "more", "audio": b"", "label": "a|b"}]
    for rows, message in (
        (strange, "no split 'test' and no valid split, but more"),
        ([{**strange[0], "split": "test"}], r"has the label 'a\|b', which the prompt colours cannot answer"),
        ([{**strange[0], "split": "test", "label": "red"}], "The recording is empty"),
        ([{"split": "test", "words": "a"}], "needs the columns split and audio"),
    ):
        write(tmp_path / "data" / "clips.parquet", rows)
        (row,) = accuracy.rows_of(backbones[:1], ["colours"], tmp_path / "data", "test")
        assert message in accuracy.table([row]) and not row.figures


def test_the_command_writes_what_it_prints(
    backbones: list[Backbone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, folder = tmp_path / "accuracy.md", str(backbones[0].folder)
    command = [
        str(tmp_path / "data"),
        "--backbone",
        folder,
        "--task",
        "colours",
        "--out",
        str(out),
    ]
    assert run_command("accuracy", studies.accuracy, command) == 0
    message = capsys.readouterr().out.strip()
    text = out.read_text(encoding="utf-8")
    assert message.startswith("| task |") and text.endswith(f"{message}\n") and str(tmp_path) not in text
    assert "quiet room" not in text
    assert run_command("accuracy", studies.accuracy, [*command, "--pauses", "0.5"]) == 0
    text = out.read_text(encoding="utf-8")
    assert " --split test --pauses 0.5 --" in text and "has 0.5 s of a quiet room more" in text
    capsys.readouterr()
    assert run_command("accuracy", studies.accuracy, [*command, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert row["task"] == "colours" and row["split"] == "test" and row["figures"]["n"] == 6
    for change, message in (
        (["--task", "dancing"], "has a prompt for the task 'dancing'"),
        (["--backbone", "nope"], "There is no backbone 'nope'"),
        (["--pauses", "11"], "between 0 and 10 seconds"),
        (["--out", str(tmp_path / "no" / "a.md")], "folder of --out"),
    ):
        assert run_command("accuracy", studies.accuracy, [*command, *change]) == 2
        assert message in capsys.readouterr().err


def made_units(n: int, seed: int) -> list[torch.Tensor]:
    """Units whose label is whether there are many of unit 3 among them."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 3 + i % 2, (6 + i % 5,), generator=generator) for i in range(n)]


@pytest.mark.parametrize("kind", ["units", "mels"])
def test_a_classifier_learns_what_is_there_and_padding_changes_nothing(kind: str) -> None:
    inputs = made_units(200, 1)
    truth = [(int((ids == 3).any()),) for ids in inputs]
    if kind == "mels":
        bands = torch.randn(4, classifiers.N_MELS, generator=torch.Generator().manual_seed(0))
        inputs = [bands[ids].repeat_interleave(4, 0).half() for ids in inputs]
    model = classifiers.trained(
        lambda: classifiers.UnitClassifier(4, 2) if kind == "units" else classifiers.MelClassifier(2),
        inputs[:150], truth[:150], 0, "test",
    )  # fmt: skip
    found = classifiers.answered(model, inputs[150:])
    assert sum(answer == set(due) for answer, due in zip(found, truth[150:], strict=True)) >= 45
    with torch.inference_mode():
        together, alone = model(inputs[:9]), torch.cat([model([one]) for one in inputs[:9]])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    assert all(len(model.disturbed(one)) > 0 for one in inputs)


def test_a_set_of_labels_is_right_when_all_are() -> None:
    inputs = made_units(200, 1)
    truth = [tuple(unit for unit in (2, 3) if (ids == unit).any()) for ids in inputs]
    model = classifiers.trained(
        lambda: classifiers.UnitClassifier(4, 4), inputs[:150], truth[:150], 0, "test", many=True
    )
    found = classifiers.answered(model, inputs[150:], many=True)
    assert sum(answer == set(due) for answer, due in zip(found, truth[150:], strict=True)) >= 40


def test_f1_counts_slots_where_right_answers_count_whole() -> None:
    labels = ["drink=latte", "drink=mocha", "milk=some", "milk=cream"]
    due = [(0, 2, 3), (1,), (0, 3), (1, -1)]
    answers = [{0, 2, 3}, {1, 3}, {0, 2}, {1}]
    found = bounds.bound("units", answers, due, labels, "")
    # Right: both slots of the first, the drinks of the others; "some cream" is one value.
    assert (found.hits, found.f1) == (1, round(2 * 5 / (7 + 7), 4))
    assert bounds.bound("units", [{1}, {2}], [(1,), (3,)], list("abcd"), "") == bounds.Bound("units", 1)


def test_two_ways_are_a_gru_forwards_and_one_backwards() -> None:
    pooled = classifiers.Pooled(5, 2)
    vectors = torch.randn(1, 7, 5)
    states = torch.cat([pooled.ways[0](vectors)[0], pooled.ways[1](vectors.flip(1))[0]], -1)
    expected = pooled.out(torch.cat((states.mean(1), states.amax(1)), -1))
    torch.testing.assert_close(pooled(vectors, torch.tensor([7])), expected)


def test_bounds_of_a_task(
    backbones: list[Backbone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, (tiny, deaf) = tmp_path / "data", backbones
    rows = [
        {"split": split, "audio": clip(0.3, i), "label": COLOURS[i % 3 if i < 9 else 0]}
        for split in ("train", "valid")
        for i in range(12)
    ]
    write(data / "clips.parquet", rows)
    split, n, found = bounds.bounds(tiny, "colours", data, "test")
    assert (split, n) == ("valid", 12) and found[0] == bounds.Bound("majority class", 6, None, "red")
    assert [row.what for row in found[1:]] == ["log-mel classifier", "unit classifier", "bundled prompt"]
    kept = tmp_path / "units"
    assert bounds.bounds(tiny, "colours", data, "test", units=kept)[2][2].hits == found[2].hits
    assert list(kept.rglob("*.parquet"))
    examples = read(data / "clips.parquet", {"column": "label"}, "valid")
    assert found[3].hits == round(12 * evaluate(tiny, tiny.prompt("colours"), examples)["accuracy"])

    learnt: list[int] = []
    true = bounds.trained

    def spied(make, inputs, truth, *rest):
        learnt.append(len(inputs))
        assert len(truth) == len(inputs)
        return true(make, inputs, truth, *rest)

    monkeypatch.setattr(bounds, "trained", spied)
    _, _, as_tuned = bounds.bounds(tiny, "colours", data, "test", copies=2, per_label=2)
    assert learnt == [3 * 6] and [row.what for row in as_tuned] == [row.what for row in found]
    assert as_tuned[1].hits is None and as_tuned[2].hits is not None
    monkeypatch.setattr(bounds, "trained", true)

    units = [{"split": s, "units": [i], "label": COLOURS[i]} for s in ("train", "valid") for i in range(3)]
    write(data / "transcripts.parquet", units)

    def run(backbone: Backbone, task: str) -> str:
        command = [str(data), "--task", task, "--backbone", str(backbone.folder), "--clips", "9"]
        code, printed = run_command("bounds", studies.bounds, command), capsys.readouterr()
        return printed.err if code else printed.out

    message = run(deaf, "colours")
    assert (
        "| log-mel classifier | – | – | – | the data has units" in message
        and "3 utterances of the valid" in message
    )
    assert "9 utterances" in run(tiny, "colours")
    for task, error in (
        ("dancing", "is not a task of one label"),
        ("spelled_words", "is not a task of one label or of slots"),
        ("lost", "gone.parquet not found"),
    ):
        assert error in run(tiny, task)


def test_precision_counts_what_16_bits_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_backbone(tmp_path, "tiny", (make_prompt(),))
    deaf = make_backbone(tmp_path, "deaf", (make_prompt(),), encoder=False)
    task = Task(
        "colours", "Colours", "Other", "random", "CC0-1.0", files=("clips",), unit_files=("transcripts",)
    )
    monkeypatch.setitem(TASKS, "colours", task)
    rows = [{"split": "valid", "audio": clip(0.5 + 0.1 * i, i), "label": COLOURS[i % 3]} for i in range(9)]
    write(tmp_path / "clips.parquet", rows)
    rows = [{"split": "valid", "units": [i, 2 * i, 3], "label": COLOURS[i % 3]} for i in range(6)]
    write(tmp_path / "transcripts.parquet", rows)
    out = tmp_path / "precision.md"
    command = [str(tmp_path), "--backbone", str(folder), "--backbone", str(deaf)]
    options = ["--most", "4", "--device", "cpu", "--out", str(out)]
    assert run_command("precision", studies.precision, [*command, *options]) == 0
    message = capsys.readouterr().out.strip()
    heard, given, mean = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in message.splitlines()[2:]
    )
    plain, rough = Backbone(folder), Backbone(folder, dtype=torch.bfloat16)
    assert heard[:3] == ["`colours`", "tiny", "4"] and given[:3] == ["`colours`", "deaf", "4"]
    clips = precision.evenly(read(tmp_path / "clips.parquet", {"column": "label"}, "valid"), 4)
    changed = precision.frames_changed(*(to_units(b, clips) for b in (plain, rough)))
    assert heard[3] == f"{100 * changed:.1f} %" == mean[3]
    assert given[3] == "–" and mean[2] == "8"
    units = [Units.from_frames(ids) for ids in ([1, 1, 2, 3], [1, 2, 2, 3])]
    assert precision.frames_changed(units[:1], units[1:]) == 0.25
    assert message in out.read_text() and "bfloat16 against those in float32" in out.read_text()
    assert run_command("precision", studies.precision, [*command, "--most", "0"]) == 2
    assert "--most must be 1" in capsys.readouterr().err
