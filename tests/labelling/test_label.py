"""Labelling: the answers of classify in the order given, bad files with their reason, nothing lost to a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from tiny import make_backbone, make_waveform

from speechprompt import SpeechPrompt, SpeechPromptError
from speechprompt.audio.clips import Decoders, ParquetClips
from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.labelling import kept, table
from speechprompt.labelling import rows as row_module
from speechprompt.labelling.label import label

RATE = 16_000
OF_TASK = ("label", "score", "fits")
COLUMNS = ["id", "seconds", *(f"{task}.{what}" for task in ("fruit", "colours") for what in OF_TASK), "error"]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> Path:
    return make_backbone(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Ten clips of different lengths, one at another rate, one silent, two that are no sound, a text."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "inner" / "deep").mkdir(parents=True)
    for i in range(8):
        rate = 8_000 if i == 3 else RATE
        kind = "FLAC" if i % 2 else "WAV"
        name = f"inner/deep/é {i}.{kind.lower()}" if i > 5 else f"{i}.{kind}"
        soundfile.write(folder / name, make_waveform(0.3 + 0.4 * (i * 3 % 8), i), rate, format=kind)
    soundfile.write(folder / "silent.ogg", 0 * make_waveform(), RATE)
    (folder / "broken.mp3").write_text("this is no sound")
    (folder / "empty.wav").touch()
    (folder / "notes.txt").write_text("no sound by its name")
    return folder


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory) -> Path:
    """The same clips in a parquet file of several row groups, two rows more without sound."""
    names = sorted(
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if p.suffix.lower() in (".wav", ".flac", ".ogg", ".mp3")
    )
    rows = [{"id": name, "audio": (folder / name).read_bytes()} for name in names]
    path = tmp_path_factory.mktemp("packed") / "clips.parquet"
    pq.write_table(pa.Table.from_pylist([*rows, {"id": None, "audio": None}]), path, row_group_size=4)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_is_labelled_as_single_clips_are(backbone, folder, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(row_module, "CHUNK_CLIPS", 5)
    tasks = ["fruit", "colours"]
    done = label(Backbone.load(backbone), tasks, folder, tmp_path / "labels.csv", workers, progress=False)
    rows = read_csv(tmp_path / "labels.csv")
    assert list(rows[0]) == COLUMNS and (done.rows, done.failed) == (11, 3)
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert "inner/deep/é 7.flac" in {row["id"] for row in rows}
    sp = SpeechPrompt.from_pretrained(backbone, "cpu")
    for row in rows:
        try:
            answers = sp.classify(folder / row["id"], tasks)
        except SpeechPromptError as error:
            assert row["error"] == str(error) and not row["fruit.label"] and not row["fruit.score"]
            continue
        assert not row["error"]
        assert float(row["seconds"]) == pytest.approx(answers[0].units.n_frames / 50, abs=0.02)
        for answer in answers:
            assert row[f"{answer.task}.label"] == answer.label
            assert row[f"{answer.task}.fits"] == answer.fits
            assert float(row[f"{answer.task}.score"]) == pytest.approx(answer.score, abs=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["labels.csv"]


def test_a_parquet_file_is_labelled_as_the_folder(backbone, folder, packed, tmp_path):
    for suffix in ("jsonl", "parquet"):
        label(Backbone.load(backbone), ["fruit"], packed, tmp_path / f"a.{suffix}", 0, progress=False)
    label(Backbone.load(backbone), ["fruit"], folder, tmp_path / "b.jsonl", 0, progress=False)
    rows, expected = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("a.jsonl", "b.jsonl")
    )
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == rows
    assert rows[-1]["id"] == str(len(rows) - 1) and "There is no recording" in rows[-1]["error"]
    # A path's errors name the file, those of bytes cannot.
    for row, other in zip(rows[:-1], expected, strict=True):
        assert {**row, "error": None} == {**other, "error": None} and bool(row["error"]) == bool(
            other["error"]
        )


def test_the_recordings_are_not_written_over(backbone, packed, tmp_path, capsys):
    (tmp_path / "several").mkdir()
    inside = tmp_path / "several" / "a.parquet"
    inside.write_bytes(packed.read_bytes())
    link = tmp_path / "link.parquet"
    link.symlink_to(packed)
    before = packed.read_bytes()
    model = ["--backbone", str(backbone)]
    for source, out in ((packed, packed), (packed, link), (inside.parent, inside)):
        assert main(["label", str(source), "--out", str(out), *model]) == 2
        assert "is itself read here" in capsys.readouterr().err
        assert main(["units", "--data", str(source), "--out", str(out), *model]) == 2
        assert "is itself read here" in capsys.readouterr().err
    assert packed.read_bytes() == inside.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_no_more_of_a_parquet_file_is_read_than_is_wanted(packed):
    clips = ParquetClips(packed)
    assert len(clips) == 12 and list(clips.ids())[4:] == [clip_id for clip_id, _ in clips.clips(4)]
    assert next(iter(clips.clips(7)))[1] == pq.read_table(packed).to_pylist()[7]["audio"]


KILLED = """
import sys
from speechprompt.labelling import rows
from speechprompt.cli import main
rows.CHUNK_CLIPS = 3
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_run_goes_on_where_it_was(backbone, tmp_path):
    rows = []
    for i in range(150):
        soundfile.write(tmp_path / "clip.wav", make_waveform(0.2 + 0.01 * (i % 7), i), RATE)
        rows.append({"id": f"clip {i}", "audio": (tmp_path / "clip.wav").read_bytes()})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "clips.parquet", row_group_size=40)
    (tmp_path / "run.py").write_text(KILLED)
    arguments = ["label", str(tmp_path / "clips.parquet"), "--backbone", str(backbone), "--workers"]
    command = [
        sys.executable,
        str(tmp_path / "run.py"),
        *arguments,
        "1",
        "--out",
        str(tmp_path / "labels.csv"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    part = tmp_path / "labels.csv.part"
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < 60):
        time.sleep(0.005)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (tmp_path / "labels.csv").exists()
    done = part.read_bytes().count(b"\n") - 1
    assert 60 <= done < 150
    with part.open("ab") as file:
        file.write(b'["clip 1')  # what a kill leaves of the last line
    for other in (["--task", "fruit"], ["--dtype", "bfloat16"]):
        assert main([*arguments, "0", *other, "--out", str(tmp_path / "labels.csv")]) == 2  # another run
    resumed = []
    answer = row_module.answer
    row_module.answer = lambda *args: resumed.append(len(args[2])) or answer(*args)
    try:
        assert main([*arguments, "0", "--out", str(tmp_path / "labels.csv")]) == 0
    finally:
        row_module.answer = answer
    assert sum(resumed) == 150 - done and not part.exists()
    assert main([*arguments, "0", "--out", str(tmp_path / "whole.csv")]) == 0
    resumed_rows, whole = read_csv(tmp_path / "labels.csv"), read_csv(tmp_path / "whole.csv")
    assert [row["id"] for row in resumed_rows] == [f"clip {i}" for i in range(150)]
    for row, other in zip(resumed_rows, whole, strict=True):
        assert [row[f"{t}.label"] for t in ("fruit", "colours")] == [
            other[f"{t}.label"] for t in ("fruit", "colours")
        ]
        assert float(row["fruit.score"]) == pytest.approx(float(other["fruit.score"]), abs=1e-5)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/exe").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in workers)  # none outlives its parent


def test_a_file_that_ends_its_worker_is_named_and_the_others_are_decoded():
    clips = [("a", "1 + 1"), ("deadly", "__import__('os')._exit(1)"), ("b", "2 + 2")]
    with Decoders(1, decode=eval) as decoders:  # a function that a worker finds without this file
        found = list(decoders.map(iter(clips)))
    assert found == [
        ("a", 2),
        ("deadly", "The file stopped the process that decodes it: convert it to WAV."),
        ("b", 4),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "labels.xlsx"}, "must end in .parquet, .csv, .jsonl"),
        ({"out": "nowhere/labels.csv"}, "does not exist"),
        ({"source": "missing"}, "neither a folder nor a parquet file"),
        ({"source": "empty"}, "holds no sound files"),
        ({"source": "text.parquet"}, "cannot be read as a parquet file"),
        ({"source": "texts.parquet"}, "needs the column audio, with the bytes"),
        ({"tasks": ["smell"]}, "no task 'smell'"),
        ({"workers": -1}, "workers must be 0 or more"),
    ],
)
def test_what_cannot_be_done_is_said_first(backbone, folder, tmp_path, change, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("this is text")
    pq.write_table(pa.table({"audio": ["a path"]}), tmp_path / "texts.parquet")
    facts = {"source": folder, "out": "labels.csv", "tasks": ["fruit"], "workers": 0} | change
    with pytest.raises(SpeechPromptError, match=message):
        label(
            Backbone.load(backbone),
            facts["tasks"],
            tmp_path / facts["source"],
            tmp_path / facts["out"],
            facts["workers"],
        )
    assert not list(tmp_path.glob("labels*"))


def test_a_foreign_file_in_the_way_is_left_alone(backbone, folder, tmp_path):
    (tmp_path / "labels.csv.part").write_text("somebody's own")
    with pytest.raises(SpeechPromptError, match="another output"):
        label(Backbone.load(backbone), [], folder, tmp_path / "labels.csv", 0, progress=False)
    assert (tmp_path / "labels.csv.part").read_text() == "somebody's own"


def test_a_second_run_on_the_same_output_is_refused(backbone, folder, tmp_path, capsys):
    """No row is doubled: the second says so while the first is at work, and begins anew when it has ended."""
    out = tmp_path / "labels.csv"
    command = [
        "label",
        str(folder),
        "--backbone",
        str(backbone),
        "--task",
        "fruit",
        "--workers",
        "0",
        "--out",
        str(out),
    ]
    first = kept.Kept(tmp_path / "labels.csv.part", {"format_version": 1})
    with first:
        assert main(command) == 2
        assert "Another run is at work on this output" in capsys.readouterr().err and not out.exists()
    assert not first.path.exists()  # it had no row
    assert main(command) == 0 and main(command) == 0
    assert len(read_csv(out)) == len({row["id"] for row in read_csv(out)}) == 11


def test_where_there_are_no_locks_doubled_rows_are_counted(backbone, folder, tmp_path, monkeypatch):
    append = kept.Kept.append

    def twice(kept, rows):
        append(kept, rows)
        if isinstance(rows[0], list):  # as another run does, whose rows come between
            append(kept, rows)

    monkeypatch.setattr(kept.Kept, "append", twice)
    with pytest.raises(
        SpeechPromptError, match=r"labels.csv.part holds 22 rows for 11 recordings.*delete it"
    ):
        label(Backbone.load(backbone), ["fruit"], folder, tmp_path / "labels.csv", 0, progress=False)
    assert not (tmp_path / "labels.csv").exists()


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    cells = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx", "a=b", "", None, -1.0]
    for suffix in ("csv", "jsonl"):
        rows = iter([[cell, 1.0, None, "yes", 0.5] for cell in cells])
        table.write(
            tmp_path / f"x.{suffix}",
            ["id", "seconds", "fruit.label", "fruit.score", "error"],
            map(table.ordered, rows),
        )
    ids = [row["id"] for row in read_csv(tmp_path / "x.csv")]
    assert ids == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'\tx", "'\rx", "a=b", "", "", "-1.0"]
    assert [json.loads(line)["id"] for line in (tmp_path / "x.jsonl").read_text().splitlines()] == cells
