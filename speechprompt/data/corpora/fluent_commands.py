"""Fluent Speech Commands (Lugosch et al. 2019): what is asked of a home, as action, object and location."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import SPLITS, Clip, Corpus, inside, table

SLOTS = ("action", "object", "location")


def read(root: Path) -> Iterator[Clip]:
    for split in SPLITS:
        name = f"{split}_data.csv"
        for row in table(root / "data" / name, ("path", "speakerId", *SLOTS)):
            columns = {slot: row[slot] for slot in SLOTS} | {"speaker": row["speakerId"]}
            columns["text"] = row.get("transcription", "")
            yield Clip(row["path"], inside(root, row["path"], name), split, columns)


CORPUS = Corpus(
    "Fluent Speech Commands (Lugosch et al. 2019)",
    ("data/train_data.csv", "data/valid_data.csv", "data/test_data.csv", "wavs"),
    read,
    ("intent_classification",),
    "the corpus' own",
    batch=32,
)
