"""Words played to a Listener, with the time that it takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.live.event import Event
from speechprompt.live.listener import Listener

EXAMPLES = Path(__file__).parent.parent / "examples"
CHUNK = audio.SAMPLE_RATE // 10
STATUS = Path("/proc/self/statm")  # Linux


def resident() -> float:
    """MB of memory in use, or NaN where the system does not tell."""
    return int(STATUS.read_text().split()[1]) * 4096 / 1e6 if STATUS.exists() else float("nan")


def words(task: str, rng: np.random.Generator) -> np.ndarray:
    """The clips that the task answers, 0.3 s apart, in noise at -55 dBFS."""
    clips = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    pause = np.zeros(int(0.3 * audio.SAMPLE_RATE), np.float32)
    parts = [pause, pause]
    for clip in clips:
        if "file" in clip and task in clip["labels"]:
            parts += [audio.load(EXAMPLES / clip["file"]), pause]
    sound = np.concatenate([*parts, pause])
    return sound + rng.normal(0, 10 ** (-55 / 20), len(sound)).astype(np.float32)


def play(listener: Listener, sound: np.ndarray) -> list[Event]:
    events = []
    for at in range(0, len(sound), CHUNK):
        events += listener.feed(audio.SAMPLE_RATE, sound[at : at + CHUNK])
    return events


def row(name: str, seconds: list[float]) -> str:
    low, middle, high = np.percentile(1000 * np.array(seconds), (5, 50, 95))
    return f"| {name} | {low:.0f} | {middle:.0f} | {high:.0f} | {1000 * max(seconds):.0f} |"
