"""Packed data is read by its label rule, and what is not of the layout is named."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt import dataset
from speechprompt.errors import SpeechPromptError

ROWS = [
    {"id": "a", "split": "train", "units": [1, 2], "label": "yes", "gender": "f"},
    {"id": "b", "split": "valid", "units": [3], "label": "no", "gender": "m"},
]


def write(path, rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_reads_one_split_by_rule(tmp_path) -> None:
    write(tmp_path / "d.parquet", ROWS)
    (example,) = dataset.read(tmp_path / "d.parquet", {"column": "gender"}, "valid")
    assert (example.id, example.label, example.units, example.audio) == ("b", "m", [3], None)
    assert len(dataset.read(tmp_path / "d.parquet", {"column": "label"})) == 2


def test_audio_comes_before_units(tmp_path) -> None:
    write(tmp_path / "d.parquet", [{**ROWS[0], "audio": b"RIFF"}])
    (example,) = dataset.read(tmp_path / "d.parquet", {"column": "label"})
    assert example.audio == b"RIFF" and example.units is None


def test_what_is_wrong_is_named(tmp_path) -> None:
    write(tmp_path / "d.parquet", ROWS)
    write(tmp_path / "bare.parquet", [{"id": "a", "label": "x"}])
    write(tmp_path / "null.parquet", [ROWS[0], {**ROWS[1], "split": None}])
    (tmp_path / "text.parquet").write_text("no table")
    rule = {"column": "label"}
    for name, this_rule, split, said in (
        ("d.parquet", rule, "test", "no split 'test'; it has train, valid"),
        ("null.parquet", rule, "test", "no split 'test'; it has None, train"),
        ("d.parquet", {"column": "age"}, None, "no column 'age'"),
        ("d.parquet", {"formula": "x"}, None, "not known"),
        ("bare.parquet", rule, None, "needs the columns"),
        ("text.parquet", rule, None, "cannot be read as a parquet file"),
        ("none.parquet", rule, None, "cannot be read as a parquet file"),
    ):
        with pytest.raises(SpeechPromptError, match=said):
            dataset.read(tmp_path / name, this_rule, split)


@pytest.mark.parametrize("rng", [None, random.Random(1)])
def test_batches_hold_every_index_once_within_the_budget(rng) -> None:
    lengths = [random.Random(i).randint(1, 90) for i in range(200)]
    batches = dataset.batches_by_length(lengths, 256, rng)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(len(b) == 1 or max(lengths[i] for i in b) * len(b) <= 256 for b in batches)
    # Like lengths lie together, so that little is padding.
    padded = sum(max(lengths[i] for i in b) * len(b) for b in batches)
    assert padded < 1.15 * sum(lengths)
