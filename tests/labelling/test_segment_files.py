"""Timelines as files, each by the rules of its format: what it quotes, and what it may not hold."""

from __future__ import annotations

import csv
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.segment_files import Timeline, check_kind, srt_time, write

ROWS = [
    [0.0, 1.25, 'say "hi"', 0.9, "yes"],
    [1.25, 2.5, "你好 世界", 0.51234, "unsure"],
    [3.0, 3661.5, "a-->b <i>\tc\nd", 1.0, "yes"],
    [3662.0, 3662.004, "=SUM(A1)", 0.25, "no"],
]
ONE = Timeline("a b.wav", ["words"], lambda: iter(ROWS), 3670.0)
TWO = Timeline(
    "a.wav", ["words", 'odd "task"'], lambda: iter([[*row, "x", 0.5, "yes"] for row in ROWS]), 3670.0
)
EMPTY = Timeline("a.wav", ["words"], lambda: iter([]), 10.0)


def written(tmp_path: Path, name: str, timeline: Timeline = ONE) -> str:
    write(tmp_path / name, timeline)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    return (tmp_path / name).read_bytes().decode("utf-8")


def test_csv_has_a_row_each_and_no_formula(tmp_path: Path) -> None:
    rows = list(csv.reader(written(tmp_path, "a.csv").splitlines(keepends=True)))
    assert rows[0] == ["start", "end", "words.label", "words.score", "words.fits"]
    assert [row[2] for row in rows[1:]] == ['say "hi"', "你好 世界", "a-->b <i>\tc\nd", "'=SUM(A1)"]


def test_json_holds_all(tmp_path: Path) -> None:
    told = json.loads(written(tmp_path, "a.json", TWO))
    assert told["recording"] == "a.wav" and told["seconds"] == 3670 and told["notice"] == ""
    assert len(told["segments"]) == 4 and list(told["segments"][0]["answers"]) == TWO.tasks
    assert told["segments"][1]["answers"]["words"] == {
        "label": "你好 世界",
        "score": 0.51234,
        "fits": "unsure",
    }
    (tmp_path / "a.json").unlink()
    assert json.loads(written(tmp_path, "a.json", EMPTY))["segments"] == []


def test_rttm_has_ten_fields_without_spaces(tmp_path: Path) -> None:
    lines = written(tmp_path, "a.rttm").splitlines()
    fields = [line.split(" ") for line in lines]
    assert len(lines) == 4 and all(len(line) == 10 and line[0] == "SPEAKER" for line in fields)
    assert {line[1] for line in fields} == {"a_b.wav"} and fields[1][7] == "你好_世界"
    assert fields[0][3:5] == ["0.000", "1.250"] and fields[0][8] == "0.9000"
    spans = [(float(line[3]), float(line[3]) + float(line[4])) for line in fields]
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(spans))
    with pytest.raises(SpeechPromptError, match="one label for each stretch"):
        check_kind(tmp_path / "a.rttm", TWO.tasks)


@pytest.mark.parametrize(("timeline", "tiers"), [(ONE, 1), (TWO, 2), (EMPTY, 1)])
def test_textgrid_tiers_cover_the_recording_and_double_quotes(
    tmp_path: Path, timeline: Timeline, tiers: int
) -> None:
    text = written(tmp_path, "a.TextGrid", timeline)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n')
    parts = text.split('class = "IntervalTier"')[1:]
    assert len(parts) == tiers and f"size = {tiers}\nitem []:" in text
    for part in parts:
        bounds = re.findall(
            r"intervals \[\d+\]:\s+xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = \"(.*)\"\n", part
        )
        assert int(re.search(r"intervals: size = (\d+)", part)[1]) == len(bounds)  # type: ignore[index]
        assert float(bounds[0][0]) == 0 and float(bounds[-1][1]) == timeline.seconds
        assert all(a[1] == b[0] for a, b in pairwise(bounds)) and all(
            float(a) < float(b) for a, b, _ in bounds
        )
        assert all(t.replace('""', "").count('"') == 0 for *_, t in bounds)
    if timeline is not EMPTY:
        assert 'text = "say ""hi"""' in text and 'text = "你好 世界 ?"' in text
    if timeline is TWO:
        assert 'name = "odd ""task"""' in text


def test_srt_cues_are_numbered_and_hold_no_arrow_or_tag(tmp_path: Path) -> None:
    text = written(tmp_path, "a.srt")
    cues = text.strip("\n").split("\n\n")
    assert [cue.split("\n")[0] for cue in cues] == ["1", "2", "3", "4"]
    assert all(len(cue.split("\n")) == 3 for cue in cues)
    assert cues[2].split("\n")[1:] == ["00:00:03,000 --> 01:01:01,500", "a-›b ‹i› c d"]
    assert srt_time(0.9996) == "00:00:01,000" and srt_time(36_000.5) == "10:00:00,500"


def test_audacity_labels_are_three_fields(tmp_path: Path) -> None:
    rows = [line.split("\t") for line in written(tmp_path, "a.txt", TWO).splitlines()]
    assert all(len(row) == 3 for row in rows) and rows[0][:2] == ["0.000000", "1.250000"]
    assert rows[0][2] == 'words: say "hi"; odd "task": x'


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    written(tmp_path, "a.csv")
    before = (tmp_path / "a.csv").read_bytes()

    def broken() -> object:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a.csv", Timeline("a", ["words"], broken, 1.0))  # type: ignore[arg-type]
    assert (tmp_path / "a.csv").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
