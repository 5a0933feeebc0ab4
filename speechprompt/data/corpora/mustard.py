"""MUStARD (Castro et al. 2019) and MUStARD++ (Ray et al. 2022): whether a line of a sitcom is sarcastic.

MUStARD has two splits in the papers' code: five folds, whose indices are published as a pickle, which this program
does not open: `mustard` draws five stratified folds by seed 0 and tests on the first. `mustard_independent` tests on
the lines of FRIENDS. MUStARD++: a tenth for valid, a tenth for test, by seed 0. Of what is not test in MUStARD a
tenth is valid, by seed 0. The papers' code names no seeds. Recordings are those of the videos, or .wav files of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.data.corpora.source import MAX_TEXT_BYTES, Clip, Corpus, table, tenths
from speechprompt.errors import SpeechPromptError

LABELS = ("0", "1")
FOLDS, SEED = 5, 0
FOLDERS = ("utterances_final", "utterances_final_wav")
FOLDERS_PP = ("final_utterance_videos", "final_utterance_audios", "final_utterance_wav")


def facts(root: Path) -> dict[str, dict[str, Any]]:
    path = next(p for p in (root / "sarcasm_data.json", root / "data" / "sarcasm_data.json") if p.is_file())
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise ValueError("too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            key: {"label": str(int(row["sarcasm"])), "show": str(row["show"])} for key, row in found.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpeechPromptError(
            f"{path.name} is not MUStARD's: it must be an object of lines with sarcasm and show."
        ) from error


def recording(root: Path, names: tuple[str, ...], key: str) -> Path:
    """The video or sound file of a line, in whichever of the folders it is."""
    if not key.replace("_", "").replace("-", "").isalnum():
        raise SpeechPromptError(f"The line {key[:80]!r} names no file of the corpus.")
    for name in names:
        for suffix in (".mp4", ".wav", ".flac"):
            if (path := root / name / f"{key}{suffix}").is_file():
                return path
    return root / names[0] / f"{key}.mp4"  # whoever reads it says that it is missing


def stratified(labels: list[str]) -> np.ndarray:
    """The fold of each line, int [n], every fold with its share of both labels."""
    folds = np.zeros(len(labels), int)
    for label in LABELS:
        own = np.flatnonzero(np.array(labels) == label)
        folds[np.random.RandomState(SEED).permutation(own)] = np.arange(len(own)) % FOLDS
    return folds


def split_up(root: Path, tested: list[bool], rows: dict[str, dict[str, Any]]) -> Iterator[Clip]:
    rest = [i for i, out in enumerate(tested) if not out]
    order = np.random.RandomState(SEED).permutation(rest)
    valid = set(order[: len(rest) // 10].tolist())
    for i, (key, row) in enumerate(rows.items()):
        split = "test" if tested[i] else "valid" if i in valid else "train"
        yield Clip(key, recording(root, FOLDERS, key), split, {"label": row["label"], "show": row["show"]})


def read(root: Path) -> Iterator[Clip]:
    rows = facts(root)
    folds = stratified([row["label"] for row in rows.values()])
    return split_up(root, [bool(fold == 0) for fold in folds], rows)


def read_independent(root: Path) -> Iterator[Clip]:
    rows = facts(root)
    return split_up(root, [row["show"] == "FRIENDS" for row in rows.values()], rows)


def read_pp(root: Path) -> Iterator[Clip]:
    rows = [
        row
        for row in table(root / "mustard++_text.csv", ("KEY", "Sarcasm"))
        if row.get("Sarcasm", "").strip()
    ]
    for row, split in zip(rows, tenths(len(rows), SEED), strict=True):
        label = row["Sarcasm"].strip().split(".")[0]  # pandas writes 1.0 where other lines have none
        if label not in LABELS:
            raise SpeechPromptError(
                f"mustard++_text.csv has the Sarcasm {label[:80]!r}, which is neither 0 nor 1."
            )
        yield Clip(row["KEY"], recording(root, FOLDERS_PP, row["KEY"]), split, {"label": label})


NEEDS = ("sarcasm_data.json|data/sarcasm_data.json", "|".join(FOLDERS))
CORPUS = Corpus(
    "MUStARD (Castro et al. 2019)",
    NEEDS,
    read,
    ("sarcasm_mustard",),
    "the first of five stratified folds for test, a tenth of the others for valid (seed 0)",
    LABELS,
    32,
)
INDEPENDENT = Corpus(
    "MUStARD (Castro et al. 2019), speakers apart",
    NEEDS,
    read_independent,
    ("sarcasm_mustard",),
    "FRIENDS for test, a tenth of the other shows for valid (seed 0)",
    LABELS,
    32,
)
PLUS = Corpus(
    "MUStARD++ (Ray et al. 2022)",
    ("mustard++_text.csv", "|".join(FOLDERS_PP)),
    read_pp,
    ("sarcasm_mustardpp",),
    "a tenth for valid, a tenth for test (seed 0)",
    LABELS,
    32,
)
