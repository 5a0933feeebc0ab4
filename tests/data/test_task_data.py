"""A task's files, the sources that it holds out, and the files that it only learns from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.catalogue import Task

TASK = Task(
    "colours", "Colours", "Other", "", "", files=("one", "two"), train_files=("more",), held_out={"two/b": "valid"}
)  # fmt: skip


def write(folder: Path, name: str, rows: list[tuple[str, str, str]]) -> None:
    table = [
        {"id": str(i), "split": split, "label": label, "source": source, "units": [1, 2]}
        for i, (split, label, source) in enumerate(rows)
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), folder / f"{name}.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "one", [("train", "red", ""), ("test", "blue", "")])
    write(tmp_path, "two", [("train", "red", "a"), ("train", "blue", "b"), ("test", "blue", "b")])
    write(tmp_path, "more", [("train", "blue", ""), ("test", "red", "")])
    return tmp_path


def test_a_folder_stands_for_the_files_of_the_task(folder) -> None:
    found = read_task([folder], TASK)
    assert Counter((e.source, e.split) for e in found) == {
        ("one", "train"): 1,
        ("one", "test"): 1,
        ("two/a", "train"): 1,
        ("two/b", "valid"): 2,  # held out whole
        ("more", "train"): 1,  # nothing is measured on it
    }
    assert {e.id for e in read_task([folder], TASK, "train")} == {"one/0", "two/0", "more/0"}
    assert {e.id for e in read_task([folder], TASK, "valid")} == {"two/1", "two/2"}
    assert [e.id for e in read_task([folder / "one.parquet"], TASK, "test")] == ["1"]


def test_what_is_missing_is_named(folder) -> None:
    with pytest.raises(SpeechPromptError, match="no split 'valid'; it has test, train"):
        read_task([folder / "one.parquet"], TASK, "valid")
    (folder / "two.parquet").unlink()
    with pytest.raises(SpeechPromptError, match=r"two.parquet not found in the data folder"):
        read_task([folder], TASK)
    with pytest.raises(SpeechPromptError, match="does not say which files mine"):
        read_task([folder], Task("mine", "Mine", "Other", "", ""))


def test_what_to_do_about_a_missing_split_is_said(tmp_path: Path) -> None:
    write(tmp_path, "all", [("train", "red", "")] * 4)
    with pytest.raises(
        SpeechPromptError, match="no split 'valid'; it has train: name the splits in a column"
    ):
        read_task([tmp_path / "all.parquet"], TASK, "valid")
