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
    assert (example.id, example.labels, example.units, example.audio) == ("b", ("m",), [3], None)
    assert len(dataset.read(tmp_path / "d.parquet", {"column": "label"})) == 2


def test_rules_of_every_kind() -> None:
    names = ["on", "off", "lamp", "music"]
    assert dataset.labels_of({"x": [1, 3]}, {"ids": "x", "names": names}) == ("off", "music")
    order = {"slots": "x", "order": ["size", "milk"], "amounts": ["a lot of"]}
    row = {"x": '{"milk": "a lot of soy milk", "size": "large"}'}
    assert dataset.labels_of(row, order) == ("size=large", "milk=a lot of", "milk=soy milk")
    assert dataset.labels_of({"x": "IT'S  No. 5"}, {"text": "x"}) == tuple("it's no ")
    for clip, word in (
        ("_unknown_/house_1a_nohash_0.wav", "house"),
        ("yes/1a.wav", "yes"),
        ("_silence_/1.wav", ""),
    ):
        assert "".join(dataset.labels_of({"id": clip}, {"keyword": "id"})) == word


@pytest.mark.parametrize(
    ("row", "rule", "said"),
    [
        ({"x": [4]}, {"ids": "x", "names": ["a", "b"]}, "lists of ids below 2"),
        ({"x": 1}, {"ids": "x", "names": ["a", "b"]}, "lists of ids"),
        ({"x": [1]}, {"ids": "x", "names": "ab"}, "names must be a list of texts"),
        ({"x": "{"}, {"slots": "x", "order": ["a"], "amounts": []}, "not a JSON object of the slots a"),
        (
            {"x": '{"b": 1}'},
            {"slots": "x", "order": ["a"], "amounts": []},
            "not a JSON object of the slots a",
        ),
        ({"x": "a"}, {"column": "x", "names": []}, "not known"),
        ({"x": None}, {"text": "x"}, "no column 'x' or an empty value"),
    ],
)
def test_rules_that_do_not_fit_are_named(row, rule, said) -> None:
    with pytest.raises(SpeechPromptError, match=said):
        dataset.labels_of(row, rule)


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
