"""AccentDB (Ahamad et al. 2020): nine accents of English; a fifth for test, a fifth of the rest for valid (seed 0)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, drawn, files

LABELS = ("american", "australian", "bangla", "british", "indian", "malayalam", "odiya", "telugu", "welsh")
HELD_OUT, SEED = 0.2, 0


def read(root: Path) -> Iterator[Clip]:
    data = root / "data" if (root / "data").is_dir() else root
    found = [path for label in LABELS for path in files(data / label, "*/*.wav")]
    test = drawn(len(found), HELD_OUT, SEED)
    rest = [i for i in range(len(found)) if not test[i]]
    valid = {i for i, out in zip(rest, drawn(len(rest), HELD_OUT, SEED), strict=True) if out}
    for i, path in enumerate(found):
        split = "test" if test[i] else "valid" if i in valid else "train"
        name = path.relative_to(data).as_posix()
        yield Clip(name, path, split, {"label": name.split("/")[0], "speaker": path.parent.name})


CORPUS = Corpus(
    "AccentDB (Ahamad et al. 2020)",
    tuple(f"data/{label}/*/*.wav|{label}/*/*.wav" for label in LABELS),
    read,
    ("accent",),
    "a fifth for test and a fifth of the rest for valid (seed 0), in the order of the names",
    LABELS,
    32,
)
