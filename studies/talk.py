"""How many keywords Live hears in running talk that has none.

    python -m studies.talk DATA_FOLDER --backbone mini --minutes 10

LibriSpeech clips of DATA_FOLDER follow each other with half a second of a faint hiss between, as one stream; the
listener of the Live tab is asked for keywords. What it answers at the end of each stretch of speech is a false
keyword when it is a label of its own, neither unknown nor silence, and is not flagged as doubtful. Takes about half
as long as the talk lasts.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.cli import run_command
from speechprompt.data import dataset
from speechprompt.errors import SpeechPromptError
from speechprompt.live.event import Event
from speechprompt.live.listener import Listener
from speechprompt.pipeline import SpeechPrompt

TALK = "librispeech_clips"
GAP_SECONDS, HISS = 0.5, 1e-4
NOTHING = ("unknown", "silence")


def stream(clips: list[np.ndarray], minutes: float, seed: int) -> Iterator[np.ndarray]:
    """The clips one after the other until so many minutes of talk have passed, float32 [T] at 16 kHz each."""
    order, spoken = random.Random(seed).sample(clips, len(clips)), 0
    hiss = np.random.default_rng(seed)
    for clip in order:
        if spoken >= 60 * minutes * audio.SAMPLE_RATE:
            return
        gap = HISS * hiss.standard_normal(int(GAP_SECONDS * audio.SAMPLE_RATE))
        yield np.concatenate([clip, gap.astype(np.float32)])
        spoken += len(clip)


def final_answers(
    pipeline: SpeechPrompt, task: str, clips: Iterator[np.ndarray]
) -> tuple[list[Event], float]:
    """What the listener answers when each stretch of speech has ended, and how many seconds it heard."""
    listener, events = Listener(pipeline, task), []
    for clip in clips:
        for at in range(0, len(clip), audio.SAMPLE_RATE):
            chunk = clip[at : at + audio.SAMPLE_RATE]
            events += listener.feed(audio.SAMPLE_RATE, chunk, provisional=False)
    events += listener.finish()
    return [event for event in events if event.kind == "label" and event.final], listener.seconds


def false_keywords(answers: list[Event]) -> Counter[str]:
    """Label -> how often it was answered and believed."""
    return Counter(event.label for event in answers if event.label not in NOTHING and event.fits == "yes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help=f"holds {TALK}.parquet")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--task", default="keyword_spotting")
    parser.add_argument("--minutes", type=float, default=10.0, help="of talk (default 10)")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
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
