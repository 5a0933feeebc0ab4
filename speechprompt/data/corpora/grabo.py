"""Grabo (Renkens et al.): 36 commands to a robot in Dutch and English, 11 speakers.

Of each command and speaker the first two recordings are for train, the next four for valid, the rest for test. The
papers' code took them as the file system listed them; here they are in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, files, folders, number_in

LABELS = tuple(f"recording{i}" for i in range(1, 37))


def read(root: Path) -> Iterator[Clip]:
    for speaker in folders(root / "speakers"):
        for command in sorted(folders(speaker / "spchdatadir"), key=lambda path: number_in(path.name)):
            found = sorted(files(command, "*.wav"), key=lambda path: number_in(path.stem))
            for i, path in enumerate(found):
                split = "train" if i < 2 else "valid" if i < 6 else "test"
                columns = {"label": command.name, "speaker": speaker.name}
                yield Clip(f"{speaker.name}/{command.name}/{path.name}", path, split, columns)


CORPUS = Corpus(
    "Grabo (Renkens et al.)",
    ("speakers/*/spchdatadir/recording1",),
    read,
    ("robot_commands",),
    "of each command and speaker 2 recordings for train, the next 4 for valid, the rest for test",
    LABELS,
    4,
)
