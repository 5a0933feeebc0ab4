"""Labels, splits and batches of the papers' corpora against what public files state, written down once more."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speechprompt.data.corpora import catalogue, easycall, voxforge
from speechprompt.data.corpora.source import Clip
from speechprompt.data.corpora.speech_commands import hashed_split
from speechprompt.tasks.catalogue import TASKS
from tests.data.corpora_trees import TREES

COMMANDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "unknown", "silence"]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LABELS: dict[str, list[str]] = {
    "speech_commands_v1": COMMANDS,
    "speech_commands_v2": COMMANDS,
    "grabo": [f"recording{i}" for i in range(1, 37)],
    "lithuanian_commands": [
        "ne",
        "ačiū",
        "stop",
        "įjunk",
        "išjunk",
        "į_viršų",
        "į_apačią",
        "į_dešinę",
        "į_kairę",
        "startas",
        "pauzė",
        "labas",
        "iki",
        "unknown",
        "silence",
    ],
    "arabic_commands": ["add", "back", "cancel", "delete", "confirm", "continue", *"0123456789"],
    "dysarthric_commands": [*DIGITS[1:], "up", "down", "left", "right"],  # 10, 13 to 16 and 19 are left out
    "voxforge": ["de", "en", "es", "fr", "it", "ru"],
    "asvspoof2019": ["bonafide", "spoof"],
    "iemocap": ["neu", "hap", "ang", "sad"],
    "accentdb": [
        "american",
        "australian",
        "bangla",
        "british",
        "indian",
        "malayalam",
        "odiya",
        "telugu",
        "welsh",
    ],
    "easycall": [*"012345"],
    "mustard": ["0", "1"],
    "mustard_independent": ["0", "1"],
    "mustardpp": ["0", "1"],
    "freesound_vad": ["speech", "background"],
}
BATCHES = {
    "speech_commands_v1": 32, "grabo": 4, "lithuanian_commands": 1, "arabic_commands": 1, "dysarthric_commands": 1,
    "fluent_commands": 32, "voxforge": 16, "asvspoof2019": 32, "accentdb": 32, "easycall": 32, "mustard": 32,
    "mustardpp": 32, "voxceleb1": 32, "freesound_vad": 64, "esc50": 4,
}  # fmt: skip


def which_set(name: str) -> str:
    """As the README of Speech Commands has it, for 10 % of validation and of testing."""
    speaker = re.sub(r"_nohash_.*$", "", name)
    number = int(hashlib.sha1(speaker.encode("utf-8")).hexdigest(), 16) % 2**27
    share = number * (100.0 / (2**27 - 1))
    return "valid" if share < 10 else "test" if share < 20 else "train"


def of_speech_commands(clip: Clip) -> str:
    name = clip.path.name
    if "test_set" in clip.path.as_posix():
        return "test"
    return clip.split if clip.columns["label"] == "silence" else which_set(name)


def of_grabo(clip: Clip) -> str:
    take = int(clip.path.stem)
    return "train" if take <= 2 else "valid" if take <= 6 else "test"


def of_lists(clip: Clip) -> str:
    """By the list that a recording of the tree is named after; of the 24 noises 10 and 10 and the rest."""
    if clip.path.parent.name == "_background_noise_":
        number = int(clip.path.stem)
        return "test" if number < 10 else "valid" if number < 20 else "train"
    return next(
        split
        for part, split in (("train", "train"), ("dev", "valid"), ("test", "test"))
        if part in clip.path.name
    )


def of_audio_snips(clip: Clip) -> str:
    voices = {
        "train": "Ivy Joanna Joey Justin Kendra Kimberly Matthew Salli",
        "valid": "Aditi Amy Geraint Nicole",
        "test": "Brian Emma Raveena Russell",
    }
    return next(split for split, names in voices.items() if clip.path.name.split("-")[0] in names.split())


def of_voxceleb(clip: Clip) -> str:
    take = int(clip.path.stem)  # the tree's iden_split.txt has 1 for 0 to 3, 2 for 4 and 5, 3 for the others
    return "train" if take < 4 else "valid" if take < 6 else "test"


def named(clip: Clip, names: dict[str, str]) -> str:
    return next(split for name, split in names.items() if name in clip.path.as_posix())


SPLITS: dict[str, Callable[[Clip], str]] = {
    "speech_commands_v1": of_speech_commands,
    "grabo": of_grabo,
    "lithuanian_commands": of_lists,
    "arabic_commands": of_lists,
    "fluent_commands": lambda clip: named(clip, {"abtrain": "train", "abvalid": "valid", "abtest": "test"}),
    "asvspoof2019": lambda clip: named(clip, {"LA_train": "train", "LA_dev": "valid", "LA_eval": "test"}),
    "voxceleb1": of_voxceleb,
    "freesound_vad": lambda clip: named(
        clip, {"training": "train", "validation": "valid", "testing": "test"}
    ),
    "librispeech": lambda clip: named(
        clip, {"train-clean-100": "train", "dev-clean": "valid", "test-clean": "test"}
    ),
    "audio_snips": of_audio_snips,
}
# Of those that draw: where the test recordings are, and how many of the others are valid.
DRAWN: dict[str, tuple[Callable[[Clip], bool] | None, Callable[[int, int], int]]] = {
    "iemocap": (lambda clip: "Session1" in clip.path.as_posix(), lambda n, rest: int(rest * 0.2)),
    "esc50": (lambda clip: clip.path.name.startswith("1-"), lambda n, rest: -(-rest // 5)),
    "mustard_independent": (lambda clip: clip.columns["show"] == "FRIENDS", lambda n, rest: rest // 10),
    "accentdb": (None, lambda n, rest: -(-rest // 5)),
    "mustard": (None, lambda n, rest: rest // 10),
    "easycall": (None, lambda n, rest: n // 10),
    "mustardpp": (None, lambda n, rest: n // 10),
}
TESTED = {
    "accentdb": lambda n: -(-n // 5),
    "mustard": lambda n: sum(-(-half // 5) for half in (n // 2, n - n // 2)),
}  # others: a tenth


def clips_of(name: str, tmp_path: Path) -> list[Clip]:
    TREES[name](tmp_path / name)
    return list(catalogue.find(name).clips(tmp_path / name))


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_the_public_ones_in_their_order(name: str) -> None:
    corpus = catalogue.find(name)
    assert list(corpus.labels) == LABELS[name]
    for task in corpus.tasks:
        form = TASKS[task].form
        assert not form.labels or list(form.labels) == LABELS[name]


def test_slots_of_fluent_commands_are_the_public_ones() -> None:
    assert dict(TASKS["intent_classification"].form.slots) == {"action": 6, "object": 14, "location": 4}


def test_batches_are_those_of_the_papers() -> None:
    assert {name: catalogue.find(name).batch for name in BATCHES} == BATCHES


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_the_public_ones(name: str, tmp_path: Path) -> None:
    clips = clips_of(name, tmp_path)
    assert {clip.split for clip in clips} == {"train", "valid", "test"}
    for clip in clips:
        assert clip.split == SPLITS[name](clip), clip.id


def test_speakers_of_speech_commands_are_split_by_their_hash() -> None:
    names = [f"{i:08x}_nohash_{i % 5}.wav" for i in range(3000)]
    assert [hashed_split(name) for name in names] == [which_set(name) for name in names]


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_splits_have_the_public_sizes(name: str, tmp_path: Path) -> None:
    clips = clips_of(name, tmp_path)
    counts = Counter(clip.split for clip in clips)
    tested, valid = DRAWN[name]
    if tested is None:
        assert counts["test"] == TESTED.get(name, lambda n: n // 10)(len(clips))
    else:
        assert all((clip.split == "test") == tested(clip) for clip in clips)
    assert counts["valid"] == valid(len(clips), len(clips) - counts["test"])


def test_what_is_left_out_or_counts_as_another(tmp_path: Path) -> None:
    feelings = clips_of("iemocap", tmp_path)
    assert (
        Counter(clip.columns["label"] for clip in feelings)["hap"] == 2 * len(feelings) // 5
    )  # exc is among them
    commands = {int(clip.path.parent.name) for clip in clips_of("dysarthric_commands", tmp_path)}
    assert commands == set(range(1, 20)) - {10, 13, 14, 15, 16, 19}
    assert voxforge.SIZES == {"train": 1200, "valid": 300, "test": 300}
    assert easycall.MIN_SAMPLES == 1000


def first(seed: int, n: int, share: int) -> set[int]:
    """Which of n numpy's RandomState puts first: what scikit-learn's train_test_split holds out."""
    return set(np.random.RandomState(seed).permutation(n)[:share].tolist())


@pytest.mark.parametrize(
    ("name", "seed", "share"),
    [
        ("esc50", 1, lambda n: math.ceil(0.2 * n)),  # of the public code
        ("accentdb", 0, lambda n: math.ceil(0.2 * n)),
        ("iemocap", 0, lambda n: int(0.2 * n)),
        ("mustard", 0, lambda n: n // 10),  # it names no seed
        ("mustard_independent", 0, lambda n: n // 10),
    ],
)
def test_valid_is_drawn_by_the_seed(
    name: str, seed: int, share: Callable[[int], int], tmp_path: Path
) -> None:
    clips = clips_of(name, tmp_path)
    rest = [clip for clip in clips if clip.split != "test"]
    assert {i for i, clip in enumerate(rest) if clip.split == "valid"} == first(
        seed, len(rest), share(len(rest))
    )
    if name == "accentdb":
        held_out = first(0, len(clips), math.ceil(0.2 * len(clips)))
        assert {i for i, clip in enumerate(clips) if clip.split == "test"} == held_out


@pytest.mark.parametrize("name", ["easycall", "mustardpp"])
def test_tenths_are_drawn_by_the_seed(name: str, tmp_path: Path) -> None:
    clips = clips_of(name, tmp_path)
    n, tenth = len(clips), len(clips) // 10
    found = {split: {i for i, c in enumerate(clips) if c.split == split} for split in ("valid", "test")}
    assert found["valid"] == first(0, n, tenth) and found["test"] == first(0, n, 2 * tenth) - found["valid"]


def test_a_fifth_of_the_mandarin_list_is_held_out_before_commands_are_left_out(tmp_path: Path) -> None:
    clips = clips_of("dysarthric_commands", tmp_path)
    (path,) = tmp_path.rglob("train_full.csv")
    listed = [line.split("\t")[0] for line in path.read_text().splitlines()[1:]]
    held_out = {
        listed[i].rpartition("dysarthria_zh_command/")[2] for i in first(1, len(listed), -(-len(listed) // 5))
    }
    learnt = [clip for clip in clips if clip.split != "test"]
    assert {clip.id for clip in learnt if clip.split == "valid"} == held_out & {clip.id for clip in learnt}


def test_voxforge_is_shuffled_by_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES["voxforge"](tmp_path)
    monkeypatch.setattr(voxforge, "SIZES", {"train": 2, "valid": 1, "test": 1})
    clips = list(catalogue.find("voxforge").clips(tmp_path))
    for language in voxforge.LABELS:
        found: list[Path] = []
        for folder in sorted(tmp_path.glob(f"downloads/{language}/Trunk/Audio/Main/16kHz_16bit/*/wav")):
            found += sorted(folder.glob("*.wav"))
            if len(found) > 4:
                break
        random.Random(1).shuffle(found)
        own = [clip for clip in clips if clip.columns["label"] == language]
        assert [clip.path for clip in own] == found[:4]
        assert [clip.split for clip in own] == ["train", "train", "valid", "test"][: len(own)]


def test_grades_of_dysarthric_speakers_are_the_public_ones() -> None:
    grades = {1: "f01 f03 f05 f06 f07 f08 f09 m02 m04 m09 m12 m13 m15 m17 m18 m20", 2: "f11"}
    grades |= {3: "f02 m01 m03 m08 m10 m16 m19", 4: "m05 m06 m07", 5: "f10 m11 m14", 0: "fc01 mc02"}
    expected = {speaker: str(grade) for grade, names in grades.items() for speaker in names.split()}
    assert {speaker: easycall.label_of(speaker) for speaker in expected} == expected
    assert easycall.label_of("f04") is None and len(expected) == 32
