"""Google Speech Commands (Warden 2018), 12 classes, as SUPERB and the papers read v0.01, and v0.02.

v0.01: train and valid by the hash of the speaker (valid is 10 %, the hash's test is left out), each drawn with
replacement so that the 12 classes are about equally frequent, silence as cuts of 1 s from the background recordings;
test is the archive of its own, as it is. v0.02: valid and test are the lists of the archive, or the archive of
its own for test where it is there.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from speechprompt.data.corpora.source import SPLITS, Clip, Corpus, files, folders, lines
from speechprompt.errors import SpeechPromptError

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LABELS = (*WORDS, "unknown", "silence")
NOISE = "_background_noise_"
MOST = 2**27 - 1  # clips of a word, from the script that the archive comes with
SEED = 0


def hashed_split(name: str) -> str:
    """The split of a recording by its speaker, as the archive's README defines it."""
    speaker = re.sub(r"_nohash_.*$", "", name)
    share = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (MOST + 1) * (100.0 / MOST)
    return "valid" if share < 10 else "test" if share < 20 else "train"


def seconds_of(path: Path) -> float:
    import soundfile

    try:
        return float(soundfile.info(str(path)).duration)
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        raise SpeechPromptError(f"{path.name} of {NOISE} cannot be decoded: copy it again.") from error


def label_of(folder: str) -> str:
    return folder if folder in WORDS else "silence" if folder in (NOISE, "_silence_") else "unknown"


def balanced(clips: list[Clip], noises: list[Path], split: str) -> Iterator[Clip]:
    """As many clips as there are, each of a class drawn at random; a clip that comes again gets a number."""
    rng = random.Random(f"{SEED} {split}")
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.columns["label"], []).append(clip)
    lengths = {path: seconds_of(path) for path in noises}
    classes = [label for label in LABELS if label in groups or (label == "silence" and noises)]
    times: dict[str, int] = {}
    for _ in range(len(clips) + len(noises)):
        label = rng.choice(classes)
        if label == "silence":
            path = rng.choice(noises)
            start = round(rng.uniform(0, max(0.0, lengths[path] - 1)), 4)
            yield Clip(f"_silence_/{path.stem}-{start}", path, split, {"label": label}, start, 1.0)
            continue
        clip = rng.choice(groups[label])
        times[clip.id] = again = times.get(clip.id, -1) + 1
        yield clip if not again else Clip(f"{clip.id}#{again}", clip.path, split, clip.columns)


def archive_of_tests(folder: Path) -> Iterator[Clip]:
    for word in folders(folder):
        for path in files(word, "*.wav"):
            yield Clip(f"{word.name}/{path.name}", path, "test", {"label": label_of(word.name)})


def name_of(folder: str, path: Path) -> str:
    return f"{folder if folder in WORDS else '_unknown_'}/{path.name if folder in WORDS else f'{folder}_{path.name}'}"


def by_split(main: Path, split_of: Callable[[str, Path], str]) -> dict[str, list[Clip]]:
    """The words of an archive by split."""
    found: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for word in folders(main):
        for path in files(word, "*.wav") if word.name != NOISE else ():
            split = split_of(word.name, path)
            columns = {"label": label_of(word.name)}
            found[split].append(Clip(name_of(word.name, path), path, split, columns))
    return found


def read(root: Path) -> Iterator[Clip]:
    main = root / "speech_commands_v0.01"
    found = by_split(main, lambda word, path: hashed_split(path.name))
    for split in ("train", "valid"):
        yield from balanced(found[split], files(main / NOISE, "*.wav"), split)
    yield from archive_of_tests(root / "speech_commands_test_set_v0.01")


def read_v2(root: Path) -> Iterator[Clip]:
    main, tests = root / "speech_commands_v0.02", root / "speech_commands_test_set_v0.02"
    lists = {"valid": "validation_list.txt", "test": "testing_list.txt"}
    listed = {line.strip(): split for split, name in lists.items() for line in lines(main / name)}
    found = by_split(main, lambda word, path: listed.get(f"{word}/{path.name}", "train"))
    for split in ("train", "valid"):
        yield from balanced(found[split], files(main / NOISE, "*.wav"), split)
    yield from archive_of_tests(tests) if tests.is_dir() else found["test"]


CORPUS = Corpus(
    "Google Speech Commands v0.01 (P. Warden)",
    (f"speech_commands_v0.01/{NOISE}", "speech_commands_test_set_v0.01"),
    read,
    ("keyword_spotting",),
    "train and valid by the hash of the speaker and drawn alike for the 12 classes (seed 0), test the archive of tests",
    LABELS,
    32,
)
V2 = Corpus(
    "Google Speech Commands v0.02 (P. Warden)",
    ("speech_commands_v0.02/validation_list.txt", "speech_commands_v0.02/testing_list.txt"),
    read_v2,
    ("keyword_spotting",),
    "the archive's lists, train and valid drawn alike for the 12 classes (seed 0), test the archive of tests if there",
    LABELS,
    32,
)
