"""Keywords that are found in talk that holds none."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.live.event import Event
from speechprompt.live.listener import Listener
from speechprompt.pipeline import SpeechPrompt

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
