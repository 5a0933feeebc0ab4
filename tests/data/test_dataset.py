"""Packed data is read by its label rule, and what is not of the layout is named."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.data import dataset
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.labels import first_case

GENDER = first_case([("gender", "f", "female"), ("gender", "m", "male")], None)
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


def test_audio_comes_before_units(tmp_path) -> None:
    write(tmp_path / "d.parquet", [{**ROWS[0], "audio": b"RIFF"}])
    (example,) = dataset.read(tmp_path / "d.parquet", {"column": "label"})
    assert example.audio == b"RIFF" and example.units is None


def test_the_layout_of_the_hub_is_read(tmp_path) -> None:
    sound = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"audio": {"_type": "Audio"}, "label": {"_type": "ClassLabel", "names": ["no", "yes"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([("audio", sound), ("label", pa.int64())], metadata)
    rows = [{"audio": {"bytes": b"RIFF", "path": "a.wav"}, "label": 1}, {"audio": None, "label": 0}]
    for name, split in (
        ("train-00000-of-00001", "train"),
        ("validation-00000-of-00002", "valid"),
        ("test", "test"),
        ("mine", "train"),
    ):
        pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / f"{name}.parquet")
        found = dataset.read(tmp_path / f"{name}.parquet", {"column": "label"})
        assert [(e.split, e.labels, e.audio) for e in found] == [
            (split, ("yes",), b"RIFF"),
            (split, ("no",), None),
        ]
    pq.write_table(pa.Table.from_pylist([{**rows[0], "label": -1}], schema), tmp_path / "test.parquet")
    with pytest.raises(SpeechPromptError, match="No row of test.parquet has a label"):
        dataset.read(tmp_path / "test.parquet", {"column": "label"})


def test_what_is_wrong_is_named(tmp_path) -> None:
    write(tmp_path / "d.parquet", ROWS)
    write(tmp_path / "bare.parquet", [{"id": "a", "label": "x"}])
    write(tmp_path / "null.parquet", [ROWS[0], {**ROWS[1], "split": None}])
    (tmp_path / "text.parquet").write_text("no table")
    rule = {"column": "label"}
    for name, this_rule, split, message in (
        ("d.parquet", rule, "test", "no split 'test'; it has train, valid"),
        ("null.parquet", rule, "test", "A row of null.parquet has an empty split: write"),
        ("d.parquet", {"column": "age"}, None, "no column 'age'"),
        ("d.parquet", {"formula": "x"}, None, "A label rule must be"),
        ("bare.parquet", rule, None, "needs the columns"),
        ("text.parquet", rule, None, "cannot be read as a parquet file"),
        ("none.parquet", rule, None, "There is no file or folder 'none.parquet' to read"),
    ):
        with pytest.raises(SpeechPromptError, match=message):
            dataset.read(tmp_path / name, this_rule, split)


def test_several_files_are_read_as_one(tmp_path) -> None:
    first, second, third = (tmp_path / f"{name}.parquet" for name in ("first", "second", "third"))
    write(first, [*ROWS, {**ROWS[1], "id": "c", "gender": "?"}])
    write(second, [{"id": "a", "split": "train", "units": [7], "gender": "m"}])
    write(third, [{"id": "a", "split": "valid", "units": [8]}])  # nothing that says the gender
    found = dataset.read([first, second, third], GENDER, "train")
    assert [(e.id, e.labels, e.source) for e in found] == [
        ("first/a", ("female",), "first"),
        ("second/a", ("male",), "second"),
    ]
    # The second file has no valid split, and one row of the first no label.
    assert [e.id for e in dataset.read([first, second, third], GENDER, "valid")] == ["first/b"]
    assert [e.id for e in dataset.read([first], GENDER, "valid")] == ["b"]
    with pytest.raises(
        SpeechPromptError, match="first.parquet, second.parquet has no split 'test'; it has train"
    ):
        dataset.read([first, second], GENDER, "test")
    with pytest.raises(SpeechPromptError, match="No row of third.parquet's valid split has a label"):
        dataset.read(third, GENDER, "valid")


def test_a_few_of_each_label_come_evenly_from_the_files() -> None:
    examples = [
        dataset.Example(f"{label}{source}{i}", "train", (label,), None, [i], source)
        for label, source, n in (
            ("x", "large", 50),
            ("x", "small", 2),
            ("x", "middle", 20),
            ("y", "large", 3),
        )
        for i in range(n)
    ]
    kept = dataset.at_most(examples, 12, seed=1)
    counts = Counter((e.labels[0], e.source) for e in kept)
    assert counts == {("x", "large"): 5, ("x", "small"): 2, ("x", "middle"): 5, ("y", "large"): 3}
    assert [e for e in examples if e in kept] == kept  # in their order
    assert dataset.at_most(examples, 12, seed=1) == kept != dataset.at_most(examples, 12, seed=2)
    assert dataset.at_most(examples, 1000, seed=1) == examples
