"""ESC-50 (Piczak 2015): 50 sounds of 5 s; fold 1 for test, a fifth of the others for valid (seed 1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, drawn, inside, table

FOLD, HELD_OUT, SEED = "1", 0.2, 1


def read(root: Path) -> Iterator[Clip]:
    rows = list(table(root / "meta" / "esc50.csv", ("filename", "fold", "category")))
    rest = [i for i, row in enumerate(rows) if row["fold"] != FOLD]
    valid = {i for i, out in zip(rest, drawn(len(rest), HELD_OUT, SEED), strict=True) if out}
    for i, row in enumerate(rows):
        split = "test" if row["fold"] == FOLD else "valid" if i in valid else "train"
        label = row["category"].replace("_", " ")
        path = inside(root / "audio", row["filename"], "esc50.csv")
        yield Clip(row["filename"], path, split, {"label": label, "fold": row["fold"]})


CORPUS = Corpus(
    "ESC-50 (Piczak 2015)",
    ("meta/esc50.csv", "audio"),
    read,
    ("environmental_sounds",),
    "fold 1 for test, a fifth of the others for valid (seed 1)",
    batch=4,
)
