"""Lithuanian, Arabic and dysarthric Mandarin commands, by the lists of SpeechAdvReprogram (Yang et al. 2021).

The lists are tables of `filename` and `label` with a tab between them, whose paths are those of their authors' machine:
what follows the corpus' own folder in them is looked for here. Lithuanian: of the list of noises the first 10 are
for test, the next 10 for valid, the rest for train. Mandarin: six of the 19 commands are left out and a fifth of the
train list is for valid (seed 1), as in the papers' code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from speechprompt.data.corpora.source import Clip, Corpus, below, drawn, table

WORDS = ("ne", "ačiū", "stop", "įjunk", "išjunk", "į_viršų", "į_apačią", "į_dešinę", "į_kairę")
LITHUANIAN = (*WORDS, "startas", "pauzė", "labas", "iki", "unknown", "silence")
ARABIC = {"A": "add", "B": "back", "C": "cancel", "D": "delete", "E": "confirm", "F": "continue"}
ARABIC |= {str(digit): str(digit) for digit in range(10)}
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "close", "up", "down")
MANDARIN = (*NUMBERS, "previous", "next", "in", "out", "left", "right", "home")
MANDARIN_FOLDER = "dysarthria_zh_command"
LEFT_OUT = (10, 13, 14, 15, 16, 19)
HELD_OUT, SEED = 0.2, 1

Listed = Iterator[tuple[str, str]]


def listed(root: Path, name: str, folder: str) -> Listed:
    """(path, label) of a list, below the corpus' folder.

    folder: that of the corpus' lists in the repository, which has lists of other corpora by the same names.
    """
    found = sorted(root.glob(f"**/{name}"))
    path = next((path for path in found if folder in path.parts), found[0])
    for row in table(path, ("filename", "label"), "\t"):
        yield row["filename"], row.get("label", "")


def clip(root: Path, name: str, folder: str, split: str, label: str) -> Clip:
    path = below(root, name, folder, "The list")
    return Clip(path.relative_to(root / folder).as_posix(), path, split, {"label": label})


def read_lithuanian(root: Path) -> Iterator[Clip]:
    for split, name in (("train", "train_limit20.csv"), ("valid", "dev_full.csv"), ("test", "test_full.csv")):
        for path, label in listed(root, name, "LT-SCR"):
            yield clip(root, path, "dataset", split, label)
    for i, (path, label) in enumerate(listed(root, "noise_full.csv", "LT-SCR")):
        split = "test" if i < 10 else "valid" if i < 20 else "train"
        yield clip(root, path, "dataset", split, label)


def read_arabic(root: Path) -> Iterator[Clip]:
    for split, name in (("train", "train_full.csv"), ("valid", "dev_full.csv"), ("test", "test_full.csv")):
        for path, label in listed(root, name, "AR-SCR"):
            folder = "commands" if label in "ABCDEF" else "numbers"
            yield clip(root, path, folder, split, named(ARABIC, label))


def read_mandarin(root: Path) -> Iterator[Clip]:
    main = root / MANDARIN_FOLDER if (root / MANDARIN_FOLDER).is_dir() else root
    names = {f"{i:02}": name for i, name in enumerate(MANDARIN, 1)}
    train = list(listed(root, "train_full.csv", "DM-SCR"))
    held_out = drawn(len(train), HELD_OUT, SEED)
    rows = [(row, "valid" if out else "train") for row, out in zip(train, held_out, strict=True)]
    rows += [(row, "test") for row in listed(root, "test_full.csv", "DM-SCR")]
    for (name, label), split in rows:
        if label.isdigit() and int(label) in LEFT_OUT:
            continue
        path = main.joinpath(*below(Path(), name, MANDARIN_FOLDER, "The list").parts[1:])
        yield Clip("/".join(path.parts[-3:]), path, split, {"label": named(names, label)})


def named(names: Mapping[str, str], label: str) -> str:
    return names.get(label, label)


LT = Corpus(
    "LT Speech Commands with the lists of SpeechAdvReprogram",
    ("dataset", "**/train_limit20.csv", "**/dev_full.csv", "**/test_full.csv", "**/noise_full.csv"),
    read_lithuanian,
    ("lithuanian_commands",),
    "the lists; of the noises the first 10 for test, the next 10 for valid, the rest for train",
    LITHUANIAN,
    1,
)
AR = Corpus(
    "AR Speech Commands (Benamer & Alkishriwo 2020) with the lists of SpeechAdvReprogram",
    ("commands", "numbers", "**/train_full.csv", "**/dev_full.csv", "**/test_full.csv"),
    read_arabic,
    ("arabic_commands",),
    "the lists",
    tuple(ARABIC.values()),
    1,
)
DM = Corpus(
    "dysarthric Mandarin commands (dysarthria_zh_command) with the lists of SpeechAdvReprogram",
    (f"{MANDARIN_FOLDER}|D_SPK1", "**/train_full.csv", "**/test_full.csv"),
    read_mandarin,
    ("dysarthric_commands",),
    "the lists, a fifth of train for valid (seed 1)",
    tuple(name for i, name in enumerate(MANDARIN, 1) if i not in LEFT_OUT),
    1,
)
