"""LibriSpeech (Panayotov et al. 2015): train-clean-100, dev-clean and test-clean, spelled letter by letter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, files, lines

PARTS = {"train": "train-clean-100", "valid": "dev-clean", "test": "test-clean"}


def read(root: Path) -> Iterator[Clip]:
    main = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    for split, part in PARTS.items():
        for transcript in files(main / part, "*/*/*.trans.txt"):
            for line in lines(transcript):
                name, _, text = line.partition(" ")
                path = transcript.parent / f"{Path(name).name}.flac"
                columns = {"text": text.lower(), "speaker": name.split("-")[0]}
                yield Clip(name, path, split, columns)


CORPUS = Corpus(
    "LibriSpeech (Panayotov et al. 2015)",
    tuple(f"LibriSpeech/{part}/*/*/*.trans.txt|{part}/*/*/*.trans.txt" for part in PARTS.values()),
    read,
    ("transcription",),
    "train-clean-100, dev-clean, test-clean",
)
