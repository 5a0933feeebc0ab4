"""Voice activity as NeMo prepares it: Speech Commands v2 against background of Freesound, stretches of 0.63 s."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from speechprompt.data.corpora.source import Clip, Corpus, inside, lines
from speechprompt.errors import SpeechPromptError

LABELS = ("speech", "background")
PARTS = {"train": "training", "valid": "validation", "test": "testing"}


def find(root: Path, manifest: str, name: str) -> Path:
    """The file of a manifest: as it says below the folder, else what follows a folder of that name in it."""
    parts = PurePosixPath(name).parts
    for first in range(1 if name.startswith("/") else 0, len(parts)):
        path = inside(root, "/".join(parts[first:]), manifest)
        if path.is_file():
            return path
    return inside(root, "/".join(parts[-2:]), manifest)


def read(root: Path) -> Iterator[Clip]:
    for split, part in PARTS.items():
        for label in LABELS:
            name = f"balanced_{label}_{part}_manifest.json"
            path = next(p for p in (root / name, root / "manifest" / name) if p.is_file())
            for line in lines(path):
                try:
                    row = json.loads(line)
                    file, start, seconds = row["audio_filepath"], float(row["offset"]), float(row["duration"])
                    if not isinstance(file, str) or not 0 <= start < 1e6 or not 0 < seconds <= 60:
                        raise ValueError(line)
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise SpeechPromptError(
                        f"{name} has the line {line[:80]!r}, which is no NeMo manifest's."
                    ) from error
                tail = "/".join(PurePosixPath(file).parts[-2:])
                yield Clip(f"{tail}@{start}", find(root, name, file), split, {"label": label}, start, seconds)


CORPUS = Corpus(
    "NeMo's voice activity data (Speech Commands v2, Freesound)",
    tuple(
        f"balanced_{label}_{part}_manifest.json|manifest/balanced_{label}_{part}_manifest.json"
        for part in PARTS.values()
        for label in LABELS
    ),
    read,
    ("speech_or_background",),
    "NeMo's balanced manifests",
    LABELS,
    64,
)
