"""Packed data is read by its label rule, and what is not of the layout is named."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.data import dataset
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
    with pytest.raises(SpeechPromptError, match="no column 'label' or an empty value"):
        dataset.read(tmp_path / "test.parquet", {"column": "label"})


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


GENDER = {"cases": [["gender", "f", "female"], ["gender", "m", "male"]], "otherwise": None}
SPEECH = {"cases": [["label", "silence", "silence"], ["language", "", "noise"]], "otherwise": "speech"}
AGE = {"number": "age", "below": 13, "names": ["child", "adult"]}


@pytest.mark.parametrize(
    ("row", "rule", "label"),
    [
        ({"gender": "f"}, GENDER, "female"),
        ({"gender": "x"}, GENDER, None),
        ({"gender": None}, GENDER, None),
        ({}, GENDER, None),
        ({"label": "silence", "language": ""}, SPEECH, "silence"),  # the first case decides
        ({"label": "rain", "language": ""}, SPEECH, "noise"),
        ({"label": "rain"}, SPEECH, "speech"),  # no language is not an empty one
        ({"age": 7}, {"cases": [["age", "7", "seven"]], "otherwise": None}, "seven"),
        ({"age": 12.9}, AGE, "child"),
        ({"age": " 12 "}, AGE, "child"),
        ({"age": "13"}, AGE, "adult"),
        *(
            ({"age": value}, AGE, None)
            for value in (None, "", "old", "nan", "1e999", float("nan"), True, [7])
        ),
        ({}, AGE, None),
    ],
)
def test_rules_that_choose_rows(row, rule, label) -> None:
    assert dataset.labels_of(row, rule) == (None if label is None else (label,))


@pytest.mark.parametrize(
    "rule",
    [
        {"cases": []},
        {"cases": "x", "otherwise": None},
        {"cases": [["x", "y"]], "otherwise": None},
        {"cases": [["x", 1, "z"]], "otherwise": None},
        {"cases": [[["x"], "y", "z"]], "otherwise": None},
        {"cases": [["x", "y", 3]], "otherwise": None},
        {"cases": [("x", "y", "z")], "otherwise": None},
        {"cases": [["x", "y", "z"]], "otherwise": 5},
        {"cases": [["x", "y", "z"]] * 1001, "otherwise": None},
        {"cases": [["x", "y", "z"]], "otherwise": None, "column": "x"},
        {"number": "x", "below": 1},
        {"number": 3, "below": 1, "names": ["a", "b"]},
        {"number": "x", "below": "1", "names": ["a", "b"]},
        {"number": "x", "below": True, "names": ["a", "b"]},
        {"number": "x", "below": float("nan"), "names": ["a", "b"]},
        {"number": "x", "below": 10**400, "names": ["a", "b"]},
        {"number": "x", "below": 1, "names": ["a", "b", "c"]},
        {"number": "x", "below": 1, "names": ["a", None]},
    ],
)
def test_a_rule_from_a_strange_prompt_is_refused(rule) -> None:
    with pytest.raises(SpeechPromptError, match="label rule"):
        dataset.labels_of({"x": "y"}, rule)


def test_a_rule_names_its_labels_in_order() -> None:
    assert dataset.labels_of_rule(SPEECH) == ["silence", "noise", "speech"]
    twice = {"cases": [["a", "1", "x"], ["a", "2", "x"], ["a", "3", None]], "otherwise": "x"}
    assert dataset.labels_of_rule(twice) == ["x"]
    assert dataset.labels_of_rule(AGE) == ["child", "adult"] and dataset.labels_of_rule({"column": "x"}) == []


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
