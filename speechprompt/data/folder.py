"""A folder of labelled recordings -> rows, by whichever of the usual layouts it has.

Parquet files, `metadata.csv` or `metadata.jsonl` beside the recordings (as `audiofolder`), lists, Kaldi data folders,
or a folder for each label; in folders named after the splits or not. Of lists those named after splits count,
where there are any: Common Voice has others beside them that name the same recordings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from speechprompt.audio.kinds import is_hidden, is_recording
from speechprompt.data.hub_layout import split_named
from speechprompt.data.lists import KALDI, KINDS, Row, cells, path_column, read_kaldi, read_list
from speechprompt.data.sounds import FileSound
from speechprompt.data.splits import drawn
from speechprompt.errors import SpeechPromptError

MAX_FILES = 5_000_000
METADATA = ("metadata.csv", "metadata.jsonl")


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files in a folder, in the folder `data` in it, or in those named after splits, as on the Hub."""
    nested = (path for path in sorted(folder.glob("*/*.parquet")) if split_named(path.parent.name))
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet")) or list(nested)


def read_folder(folder: Path) -> Iterator[Row]:
    """The rows of a folder without parquet files; SpeechPromptError when it has none of the layouts."""
    parts = {path: split_named(path.name) for path in sorted(folder.iterdir()) if path.is_dir()}
    named = {path: split for path, split in parts.items() if split}
    if lists := [path for name in METADATA if (path := folder / name).is_file()]:
        read = partial(read_list, lists[0])
        yield from read() if "split" in head(lists[0]) else drawn(read)
    elif any((path / name).is_file() for path in named for name in METADATA):
        for path, split in named.items():
            for name in METADATA:
                if (path / name).is_file():
                    for row in read_list(path / name):
                        yield {**row, "id": f"{path.name}/{row['id']}", "split": split}
    elif (folder / KALDI).is_file():
        yield from drawn(partial(read_kaldi, folder, "train"))
    elif kaldi := {path: split for path, split in parts.items() if (path / KALDI).is_file()}:
        for path, kaldi_split in kaldi.items():
            yield from read_kaldi(path, kaldi_split or "train")
    elif lists := lists_in(folder):
        unsaid = all(split_named(path.stem) is None and "split" not in head(path) for path in lists)
        read_all = partial(read_lists, lists)
        yield from drawn(read_all) if unsaid else read_all()
    elif named:
        for path, split in named.items():
            for row in by_folder(path):
                yield {**row, "id": f"{path.name}/{row['id']}", "split": split}
    else:
        yield from drawn(partial(by_folder, folder))


def read_lists(paths: Sequence[Path]) -> Iterator[Row]:
    return chain.from_iterable(map(read_list, paths))


def lists_in(folder: Path) -> list[Path]:
    """The lists of recordings in a folder: those named after splits, where there are any, else all with paths."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and path.is_file())
    lists = [path for path in found if not is_hidden(Path(path.name)) and path_column(head(path))]
    return [path for path in lists if split_named(path.stem)] or lists


def head(path: Path) -> dict[str, Any]:
    """The first row of a list, before anything is added; nothing where it is no list."""
    try:
        return next(cells(path), {})
    except SpeechPromptError:
        return {}


def by_folder(folder: Path) -> Iterator[Row]:
    """The recordings below a folder, each labelled by the first folder in its path."""
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.relpath(os.path.join(root, name), folder) for name in sorted(names)]
        if len(found) > MAX_FILES:
            raise SpeechPromptError(f"{folder.name} holds more than {MAX_FILES:,} files: give a part of it.")
    rows = 0
    for name in found:
        path = Path(name)
        if len(path.parts) < 2 or is_hidden(path) or not is_recording(folder / name):
            continue
        rows += 1
        yield {"id": path.as_posix(), "label": path.parts[0], "audio": FileSound(folder / name)}
    if not rows:
        raise SpeechPromptError(f"{folder.name} holds no labelled recordings{instead(folder)}.")


def instead(folder: Path) -> str:
    """What to do about a folder of none of the layouts; SpeechPromptError of a list in it that is at fault."""
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and path.is_file()):
        next(read_list(path), None)
    for pattern, what in (("*/*.parquet", "parquet files"), ("**/*.arrow", "Arrow files")):
        if found := next(folder.glob(pattern), None):
            if what == "Arrow files":
                return ", but Arrow files: write parquet files with to_parquet of `datasets` and give those"
            return f", but {what} in {found.parent.name}: give that folder"
    return f": put them into a folder for each label, or name them in {' or '.join(METADATA)}"
