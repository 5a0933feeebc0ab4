"""ASVspoof 2019, logical access: recorded voices against synthetic and converted ones, by the CM protocols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, inside, lines
from speechprompt.errors import SpeechPromptError

LABELS = ("bonafide", "spoof")
PARTS = {"train": ("train", "trn"), "valid": ("dev", "trl"), "test": ("eval", "trl")}
PROTOCOLS = "ASVspoof2019_LA_cm_protocols"


def read(root: Path) -> Iterator[Clip]:
    root = root / "LA" if (root / "LA").is_dir() else root
    for split, (part, kind) in PARTS.items():
        protocol = root / PROTOCOLS / f"ASVspoof2019.LA.cm.{part}.{kind}.txt"
        for line in lines(protocol):
            words = line.split()
            if len(words) != 5 or words[4] not in LABELS:
                raise SpeechPromptError(
                    f"{protocol.name} has the line {line[:80]!r}, which is no CM protocol's."
                )
            folder = root / f"ASVspoof2019_LA_{part}" / "flac"
            columns = {"label": words[4], "speaker": words[0], "system": words[3]}
            yield Clip(words[1], inside(folder, f"{words[1]}.flac", protocol.name), split, columns)


CORPUS = Corpus(
    "ASVspoof 2019 LA",
    tuple(
        f"LA/{PROTOCOLS}/ASVspoof2019.LA.cm.{p}.{k}.txt|{PROTOCOLS}/ASVspoof2019.LA.cm.{p}.{k}.txt"
        for p, k in PARTS.values()
    ),
    read,
    ("spoofed_speech",),
    "the corpus' own: train, dev, eval",
    LABELS,
    32,
)
