"""IEMOCAP (Busso et al. 2008): four feelings in English dialogues; excited counts as happy.

Session 1 is for test; a fifth of the other sessions for valid, drawn by seed 0, as in the papers' code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speechprompt.data.corpora.source import Clip, Corpus, files, folders, lines

LABELS = ("neu", "hap", "ang", "sad")
TEST, HELD_OUT, SEED = "Session1", 0.2, 0
TURN = re.compile(r"\[[^\]]*\]\t(\S+)\t(\w+)\t")


def turns(session: Path) -> Iterator[Clip]:
    """The recordings of a session that are called one of the feelings."""
    for path in files(session / "dialog" / "EmoEvaluation", "*.txt"):
        for line in lines(path):
            found = TURN.match(line)
            label = found and found[2].replace("exc", "hap")
            if not found or label not in LABELS:
                continue
            name = found[1]
            wav = session / "sentences" / "wav" / name.rpartition("_")[0] / f"{name}.wav"
            if re.fullmatch(r"\w+", name):
                yield Clip(name, wav, "test", {"label": str(label), "speaker": name.split("_")[0]})


def read(root: Path) -> Iterator[Clip]:
    sessions = folders(root, "Session*")
    known = [clip for session in sessions if session.name != TEST for clip in turns(session)]
    order = np.random.RandomState(SEED).permutation(len(known))
    valid = set(order[: int(len(known) * HELD_OUT)].tolist())
    for i, clip in enumerate(known):
        yield Clip(clip.id, clip.path, "valid" if i in valid else "train", clip.columns)
    yield from turns(root / TEST)


CORPUS = Corpus(
    "IEMOCAP (Busso et al. 2008)",
    (f"{TEST}/dialog/EmoEvaluation", f"{TEST}/sentences/wav", "Session[2-5]/sentences/wav"),
    read,
    ("emotion_iemocap",),
    "Session 1 for test, a fifth of the others for valid (seed 0)",
    LABELS,
)
