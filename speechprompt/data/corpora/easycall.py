"""EasyCall (Turrisi et al. 2021): Italian commands by dysarthric speakers and controls; the class is the severity.

0 is a control, 1 to 5 the therapists' grade (TOM) of a speaker. A tenth for valid and a tenth for test, drawn by seed
0 among all recordings of over 1,000 samples; the papers' code names no seed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, files, folders, tenths

LABELS = ("0", "1", "2", "3", "4", "5")
GRADES = {
    1: "f01 f03 f05 f06 f07 f08 f09 m02 m04 m09 m12 m13 m15 m17 m18 m20",
    2: "f11",
    3: "f02 m01 m03 m08 m10 m16 m19",
    4: "m05 m06 m07",
    5: "f10 m11 m14",
}
GRADE_OF = {speaker: str(grade) for grade, speakers in GRADES.items() for speaker in speakers.split()}
CONTROL = re.compile(r"[fm]c\d+")
MIN_SAMPLES, SEED = 1000, 0


def label_of(speaker: str) -> str | None:
    """The class of a speaker's folder: fc01 is a control, f01 a patient; None of other folders."""
    return "0" if CONTROL.fullmatch(speaker.lower()) else GRADE_OF.get(speaker.lower())


def long_enough(path: Path) -> bool:
    import soundfile

    try:
        return bool(soundfile.info(str(path)).frames >= MIN_SAMPLES)
    except (soundfile.LibsndfileError, ValueError):
        return True  # what is wrong with it is for who reads it to say


def read(root: Path) -> Iterator[Clip]:
    main = root / "EasyCall" if (root / "EasyCall").is_dir() else root
    found = [
        (path, label)
        for speaker in folders(main)
        if (label := label_of(speaker.name)) is not None
        for path in files(speaker, "**/*.wav")
        if long_enough(path)
    ]
    for (path, label), split in zip(found, tenths(len(found), SEED), strict=True):
        name = path.relative_to(main).as_posix()
        yield Clip(name, path, split, {"label": label, "speaker": name.split("/")[0]})


CORPUS = Corpus(
    "EasyCall (Turrisi et al. 2021)",
    ("EasyCall/f01|f01", "EasyCall/m01|m01", "EasyCall/[fm]c*|[fm]c*"),
    read,
    ("dysarthria",),
    "a tenth for valid, a tenth for test (seed 0)",
    LABELS,
    32,
)
