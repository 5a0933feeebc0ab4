"""VoxForge: volunteers read aloud in six languages; 1,200, 300 and 300 recordings of each.

Speakers are taken in the order of their names until a language has more than 1,800 recordings, which are then shuffled
(seed 1). The papers' code took the order of the file system, so its recordings are others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, files, folders

LABELS = ("de", "en", "es", "fr", "it", "ru")
SIZES = {"train": 1200, "valid": 300, "test": 300}
SEED = 1


def read(root: Path) -> Iterator[Clip]:
    for language in LABELS:
        main = root / "downloads" / language / "Trunk" / "Audio" / "Main" / "16kHz_16bit"
        found: list[Path] = []
        for speaker in folders(main):
            found += files(speaker / "wav", "*.wav")
            if len(found) > sum(SIZES.values()):
                break
        random.Random(SEED).shuffle(found)
        at = 0
        for split, size in SIZES.items():
            for path in found[at : at + size]:
                speaker_name = path.parent.parent.name
                columns = {"label": language, "speaker": speaker_name}
                yield Clip(f"{language}/{speaker_name}/{path.name}", path, split, columns)
            at += size


CORPUS = Corpus(
    "VoxForge in six languages",
    tuple(f"downloads/{language}/Trunk/Audio/Main/16kHz_16bit/*/wav" for language in LABELS),
    read,
    ("language_voxforge",),
    "1,200, 300 and 300 recordings of each language, shuffled (seed 1)",
    LABELS,
    16,
)
