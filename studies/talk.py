"""How many keywords Live hears in running talk that has none.

    python -m studies.talk DATA_FOLDER --backbone mini --minutes 10

LibriSpeech clips of DATA_FOLDER follow each other with half a second of a faint hiss between, as one stream; the
listener of the Live tab is asked for keywords. What it answers at the end of each stretch of speech is a false
keyword when it is a label of its own, neither unknown nor silence, and is not flagged as doubtful. Takes about half
as long as the talk lasts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError

TALK = "librispeech_clips"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help=f"holds {TALK}.parquet")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--task", default="keyword_spotting")
    parser.add_argument("--minutes", type=float, default=10.0, help="of talk (default 10)")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    from speechprompt.audio import load as audio
    from speechprompt.data import dataset
    from speechprompt.pipeline import SpeechPrompt
    from studies.measures.talk import false_keywords, final_answers, stream

    if not 0 < args.minutes <= 600:
        raise SpeechPromptError("--minutes must be more than 0 and at most 600.")
    rows = dataset.read_rows(args.folder / f"{TALK}.parquet")
    clips = [audio.load(row["audio"]) for row in rows]
    pipeline = SpeechPrompt.from_pretrained(args.backbone)
    answers, seconds = final_answers(pipeline, args.task, stream(clips, args.minutes, args.seed))
    found = false_keywords(answers)
    which = ", ".join(f"{label} {n}" for label, n in found.most_common())
    print(
        f"{args.task} on {args.backbone}: {sum(found.values())} false keywords among {len(answers)} answers in "
        f"{seconds / 60:.1f} minutes of talk{f' ({which})' if which else ''}"
    )


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.talk", sys.modules[__name__]))
