"""The labelled recordings of a task: its files in one folder or those given, with the sources that it holds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from speechprompt.data.dataset import Example, read
from speechprompt.data.hub_layout import SPLITS, split_named
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.catalogue import Task


def files_of(paths: Sequence[Path], task: Task, has_encoder: bool = True) -> list[Path]:
    """The given files, or of one folder those that the task names (of units, where there is no encoder for audio).

    A folder of another layout is one source. SpeechPromptError for those that are not in the
    folder.
    """
    if len(paths) != 1 or not paths[0].is_dir() or other_layout(paths[0]) or not any(paths[0].iterdir()):
        return list(paths)
    if not task.files:
        raise SpeechPromptError(
            f"{paths[0].name} holds several corpora, and speechprompt/tasks does not say which files {task.name} is "
            "measured on: name them behind --data."
        )
    names = (*task.files, *task.train_files) if has_encoder else task.unit_files or task.files
    files = [paths[0] / f"{name}.parquet" for name in names]
    if lacking := [file.name for file in files if not file.is_file()]:
        raise SpeechPromptError(f"{', '.join(lacking)} not found in the data folder.")
    return files


def other_layout(folder: Path) -> bool:
    """Whether a folder holds something else than packed files, which are not named after a split."""
    packed = [path.name for path in folder.glob("*.parquet") if split_named(path.name) is None]
    return not packed and any(folder.iterdir())


def read_task(
    paths: Sequence[Path], task: Task, split: str | None = None, has_encoder: bool = True
) -> list[Example]:
    """Rows of one split (all when None) that the task has labels for, as dataset.read; ids begin with the file's name.

    Sources that the task holds out are in the split that it names, and of its train_files only train is read.
    SpeechPromptError when nothing is left.
    """
    files = files_of(paths, task, has_encoder)
    split = SPLITS.get(split, split) if split else None
    if split in (None, "train") or all(path.stem in task.train_files for path in files):
        examples = read(files, task.label_rule, None)
    else:
        examples = read([path for path in files if path.stem not in task.train_files], task.label_rule, None)
    placed = [replace(example, split=split_of(example, task)) for example in examples]
    kept = [e for e in placed if split is None or e.split == split]
    kept = [e for e in kept if e.split == "train" or file_of(e) not in task.train_files]
    if not kept:
        there = ", ".join(sorted({example.split for example in placed}))
        names = ", ".join(path.name for path in files)
        raise SpeechPromptError(
            f"{names} has no split {split!r}; it has {there}: name the splits in a column split, by the names "
            "of files or as folders train, valid and test, or give at least three recordings of each label without any "
            "split, of which a tenth is drawn."
        )
    return kept


def file_of(example: Example) -> str:
    return example.source.partition("/")[0]


def split_of(example: Example, task: Task) -> str:
    held_out = task.held_out.get(example.source, task.held_out.get(file_of(example)))
    return held_out or example.split
