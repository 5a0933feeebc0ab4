"""Woman or man by the median F0 alone: what a prompt must beat.

    python -m studies.f0_rule DATA_FOLDER

A voice is called a woman's when the median F0 of its voiced frames is above 165 Hz. Adults of field.parquet and of
gender_voxceleb.parquet, of neither of which anything was learnt; needs pyworld. `python -m studies.bounds DATA_FOLDER
--task voice` has the classifier of log-mel frames. Takes about half a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.cli import run_command
from speechprompt.data import dataset
from speechprompt.evaluation.metrics import wilson_interval
from speechprompt.models.pitch import track_f0
from speechprompt.prompts.card import percent

HIGHER_HZ = 165.0  # F0 above which the rule says woman
SETS = ("field", "gender_voxceleb")
NAMES = {"f": "woman", "m": "man", "female": "woman", "male": "man"}


def by_pitch(track: np.ndarray) -> str:
    """woman or man by a track of F0 in Hz, float [F], 0 where nothing is voiced; "" where nothing ever is."""
    voiced = track[track > 0]
    return "" if not len(voiced) else "woman" if float(np.median(voiced)) > HIGHER_HZ else "man"


def adults(rows: Sequence[dict[str, Any]]) -> list[tuple[bytes, str]]:
    """(audio, woman or man) of the rows that say it."""
    named = [(row["audio"], NAMES.get(str(row.get("label")), "")) for row in rows]
    return [(sound, label) for sound, label in named if label]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DATA_FOLDER", help=f"holds {' and '.join(SETS)}.parquet"
    )


def run(args: argparse.Namespace) -> None:
    print("| adults of | n | right | 95 % interval | women | men |\n|---|---|---|---|---|---|")
    for name in SETS:
        found = adults(dataset.read_rows(args.folder / f"{name}.parquet"))
        right = [(label, by_pitch(track_f0(audio.load(sound))) == label) for sound, label in found]
        hits = sum(hit for _, hit in right)
        low, high = wilson_interval(hits, len(right))
        shares = [[hit for label, hit in right if label == one] for one in ("woman", "man")]
        each = " | ".join(f"{sum(hits)} of {len(hits)}" for hits in shares)
        print(
            f"| {name} | {len(right)} | {percent(hits / len(right))} | {100 * low:.0f}–{100 * high:.0f} | {each} |"
        )


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.f0_rule", sys.modules[__name__]))
