"""Audio SNIPS (Lai et al. 2021): questions to an assistant, spoken by 16 synthetic voices, with slots.

Split by voice as SUPERB has it. The answer is the text in letters, a slot's value between `<name` and `name>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechprompt.data.corpora.source import SPLITS, Clip, Corpus, files, lines
from speechprompt.errors import SpeechPromptError

SPEAKERS = {
    "train": "Ivy Joanna Joey Justin Kendra Kimberly Matthew Salli",
    "valid": "Aditi Amy Geraint Nicole",
    "test": "Brian Emma Raveena Russell",
}
TEXTS = "all.iob.snips.txt"


def marked(words: list[str], tags: list[str]) -> str:
    """Words with their IOB tags -> the text, each slot's value between `<name` and `name>`."""
    found: list[str] = []
    slot = ""
    for word, tag in zip([*words, ""], [*tags, "O"], strict=True):
        kind, _, name = tag.partition("-")
        if slot and (kind != "I" or name != slot):
            found.append(f"{slot}>")
            slot = ""
        if kind in ("B", "I") and not slot:
            slot = name
            found.append(f"<{name}")
        found.append(word)
    return " ".join(piece for piece in found if piece)


def texts(path: Path) -> dict[str, str]:
    """Utterance -> its marked text, from lines such as `Ivy-snips-train-1 BOS play it EOS<tab>O O B-x PlayMusic`."""
    found = {}
    for line in lines(path):
        left, _, right = line.partition("\t")
        name, *words = left.split()
        words, tags = words[1:-1], right.split()[1:-1]
        if not words or len(words) != len(tags):
            raise SpeechPromptError(
                f"{path.name} has the line {line[:80]!r}, whose words and tags do not fit."
            )
        found[name] = marked(words, tags)
    return found


def read(root: Path) -> Iterator[Clip]:
    known = texts(root / TEXTS)
    for split in SPLITS:
        found = {
            path.stem: path for pattern in ("**/*.mp3", "**/*.wav") for path in files(root / split, pattern)
        }
        for path in sorted(found.values()):  # once, where somebody has converted them
            speaker = path.stem.split("-")[0]
            if path.stem in known and speaker in SPEAKERS[split].split():
                yield Clip(path.stem, path, split, {"text": known[path.stem], "speaker": speaker})


CORPUS = Corpus(
    "Audio SNIPS (Lai et al. 2021)",
    (TEXTS, "train", "valid", "test"),
    read,
    ("spoken_slots",),
    "by voice: 8 for train, 4 for valid, 4 for test",
)
