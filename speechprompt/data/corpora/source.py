"""What every corpus here is made of: clips, the files that must be there, tables of text, splits that are drawn."""

from __future__ import annotations

import csv
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from speechprompt.errors import SpeechPromptError

SPLITS = ("train", "valid", "test")
MAX_TEXT_BYTES = 256 << 20  # of a table of text
MAX_CELL = 1 << 20  # characters of one cell


@dataclass(frozen=True)
class Clip:
    """One recording of a corpus.

    path: of its sound file. split: train, valid or test. columns: further columns of its row, `label` where the
    answer is one label. start, seconds: the part of the file that counts, in seconds; None: to its end.
    """

    id: str
    path: Path
    split: str
    columns: dict[str, str]
    start: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class Corpus:
    """One corpus as it is distributed.

    title: with its authors. needs: what must lie under its folder, relative, for `read` to begin; `a|b` is one of
    the two. read: its folder -> clips, one after the other, in an order that never changes. tasks: the tasks that
    it is for. labels: in the order of the public lists, none where the data alone names them. splits: a sentence
    on how they come about, with the seed where one is drawn. batch: sentences in a batch of the papers.
    """

    title: str
    needs: tuple[str, ...]
    read: Callable[[Path], Iterator[Clip]] = field(repr=False)
    tasks: tuple[str, ...]
    splits: str
    labels: tuple[str, ...] = ()
    batch: int | None = None

    def clips(self, root: Path) -> Iterator[Clip]:
        """The clips below a folder; SpeechPromptError, in one sentence, when what it needs is not there."""
        check_needs(self.title, root, self.needs)
        return self.read(root)


def check_needs(title: str, root: Path, needs: Iterable[str]) -> None:
    """Raise SpeechPromptError unless the folder holds all that is looked for; a pattern may have * and |."""
    if not root.is_dir():
        raise SpeechPromptError(f"There is no folder {root.name!r}: give the folder that holds {title}.")
    for need in needs:
        if not any(next(root.glob(one), None) for one in need.split("|")):
            looked = " or ".join(need.split("|"))
            raise SpeechPromptError(
                f"{root.name} does not hold {title} as it is distributed: looked for {looked} in it, so give the "
                "folder above that."
            )


def files(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern finds, in the order of their names; hidden ones, as macOS leaves, aside.

    The ending may be in capitals on the disk.
    """
    head, dot, ending = pattern.rpartition(".")
    anyhow = "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in ending)
    found = folder.glob(head + dot + anyhow)
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())


def folders(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_dir() and not path.name.startswith("."))


def text_of(name: str) -> str:
    """A file's name as text that can be written: names may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def on_disk(path: Path) -> Path:
    """The file that a list names, also where the disk has its letters composed otherwise, as from macOS.

    Or its ending in capitals or small letters.
    """
    if path.is_file():
        return path
    endings = [path, path.with_suffix(path.suffix.upper()), path.with_suffix(path.suffix.lower())]
    forms = (Path(unicodedata.normalize(form, str(one))) for one in endings for form in ("NFC", "NFD"))
    return next((other for other in forms if other.is_file()), path)


def lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text without their ends, empty ones left out."""
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise SpeechPromptError(
                f"{path.name} has more than {MAX_TEXT_BYTES >> 20} MB: give the right file."
            )
        with path.open(encoding="utf-8-sig", newline=None) as file:
            while line := file.readline(MAX_CELL):
                if line.strip():
                    yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise SpeechPromptError(
            f"{path.name} cannot be read as text in UTF-8: save it as that, or copy it again."
        ) from error
    except OSError as error:
        raise SpeechPromptError(f"{path.name} cannot be read: check its permissions.") from error


def table(path: Path, columns: Sequence[str], delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a table with a header, as column -> text; SpeechPromptError when one of the columns is missing.

    Between tabs a quotation mark is one, as in Common Voice's sentences, unless the cell ends in one as well.
    """
    try:
        bare = delimiter == "\t"
        reader: Iterator[list[str]] = csv.reader(
            lines(path), delimiter=delimiter, quoting=csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL
        )
        if bare:
            reader = ([unquoted(cell) for cell in cells] for cells in reader)
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in columns if name not in header]:
            raise SpeechPromptError(
                f"{path.name} has no column {missing[0]!r}; its columns are {', '.join(header)[:200]}."
            )
        for cells in reader:
            row = dict(zip(header, cells, strict=False))
            if any(name not in row for name in columns):
                raise SpeechPromptError(
                    f"{path.name} has the line {delimiter.join(cells)[:80]!r}, which lacks cells: copy it again."
                )
            yield row
    except csv.Error as error:
        raise SpeechPromptError(f"{path.name} cannot be read as a table: copy it again.") from error


def unquoted(cell: str) -> str:
    marked = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if marked else cell


def inside(root: Path, name: str, listed_in: str) -> Path:
    """The file that a list names, below the folder and nowhere else; SpeechPromptError when it leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise SpeechPromptError(
            f"{listed_in} names {name[:80]!r}, which leads out of the folder: mend the list."
        )
    return root.joinpath(*path.parts)


def below(root: Path, name: str, folder: str, listed_in: str) -> Path:
    """The file of a list that was written elsewhere, found by what follows the last `folder` in its path."""
    parts = PurePosixPath(name).parts
    if folder not in parts:
        raise SpeechPromptError(f"{listed_in} names {name[:80]!r}, in which there is no folder {folder!r}.")
    at = len(parts) - 1 - parts[::-1].index(folder)
    return inside(root, os.path.join(*parts[at:]), listed_in)


def drawn(n: int, share: float, seed: int) -> np.ndarray:
    """Which of n are held out: bool [n], ceil(share * n) of them, as scikit-learn's train_test_split draws them."""
    held_out = np.zeros(n, bool)
    held_out[np.random.RandomState(seed).permutation(n)[: math.ceil(share * n)]] = True
    return held_out


def tenths(n: int, seed: int) -> list[str]:
    """A split for each of n: one tenth valid, one test, by the seed."""
    tenth = n // 10
    order = np.random.RandomState(seed).permutation(n)
    splits = np.full(n, "train", dtype=object)
    splits[order[:tenth]], splits[order[tenth : 2 * tenth]] = "valid", "test"
    return [str(split) for split in splits]


def number_in(name: str) -> tuple[str, int]:
    """A key that sorts recording2 before recording10."""
    found = re.search(r"(\d+)$", name)
    return (name[: found.start()], int(found[1])) if found else (name, -1)
