"""Woman or man by the median F0 alone: what a prompt must beat.

    python -m studies.f0_rule DATA_FOLDER

A voice is called a woman's when the median F0 of its voiced frames is above 165 Hz. Adults of field.parquet and of
gender_voxceleb.parquet, of neither of which anything was learnt; needs pyworld. `python -m studies.bounds DATA_FOLDER
--task voice` has the classifier of log-mel frames. Takes about half a minute.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command

SETS = ("field", "gender_voxceleb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DATA_FOLDER", help=f"holds {' and '.join(SETS)}.parquet"
    )


def run(args: argparse.Namespace) -> None:
    from speechprompt.audio import load as audio
    from speechprompt.data import dataset
    from speechprompt.evaluation.metrics import wilson_interval
    from speechprompt.models.pitch import track_f0
    from speechprompt.prompts.card_texts import percent
    from studies.measures.f0_rule import adults, by_pitch

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
