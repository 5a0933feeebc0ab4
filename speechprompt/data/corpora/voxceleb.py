"""VoxCeleb1 (Nagrani et al. 2017): interviews of 1,251 people; who speaks, and whether the voice is male or female.

Both by iden_split.txt, where 1 is train, 2 valid and 3 test: the papers' code has no preprocessor for either.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import SPLITS, Clip, Corpus, inside, lines, table
from speechprompt.errors import SpeechPromptError

PLACES = ("", "wav", "dev/wav", "test/wav", "vox1_dev_wav/wav", "vox1_test_wav/wav")
META, SPLIT = "vox1_meta.csv", "iden_split.txt"


def read(root: Path) -> Iterator[Clip]:
    header = ("VoxCeleb1 ID", "Gender")
    genders = {row[header[0]]: row[header[1]] for row in table(root / META, header, "\t")}
    for line in lines(root / SPLIT):
        number, _, name = line.strip().partition(" ")
        name = name.strip()
        speaker = name.split("/")[0]
        if number not in ("1", "2", "3") or speaker not in genders:
            raise SpeechPromptError(f"{SPLIT} has the line {line[:80]!r}, which fits no speaker of {META}.")
        paths = [inside(root / place, name, SPLIT) for place in PLACES]
        path = next((path for path in paths if path.is_file()), paths[1])
        yield Clip(name, path, SPLITS[int(number) - 1], {"label": speaker, "gender": genders[speaker]})


CORPUS = Corpus(
    "VoxCeleb1 (Nagrani et al. 2017)",
    (META, SPLIT, "|".join(f"{place}/id1*".lstrip("/") for place in PLACES)),
    read,
    ("gender_voxceleb", "speaker_voxceleb"),
    "iden_split.txt of the corpus",
    batch=32,
)
