"""Which detector finds speech, and lets words end: by energy or by Silero's model, on packed recordings.

    python -m studies.voice_activity DATA_FOLDER

Clips of speech are right where a stretch is found, noises and music where none is. Words in a row, 0.5 s apart in a
noise, are right where each is alone in a stretch. Takes a few minutes on one thread; nothing of it is learnt from.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE, load
from speechprompt.audio.segmenter import stretches_of_speech
from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError

# Sounds that people make, of which nobody can say whether they are speech
OF_PEOPLE = ("crying_baby", "laughing", "coughing", "sneezing", "breathing", "snoring", "clapping")
OF_PEOPLE += ("drinking_sipping", "brushing_teeth")
SPEECH: dict[str, Callable[[dict], bool]] = {
    "read_english": lambda row: True,
    "speech_commands": lambda row: row["label"] != "silence",
    "librispeech_clips": lambda row: True,
    "arabic_keywords": lambda row: True,
    "coswara_voices": lambda row: row["label"] == "counting",
    "coffee_orders": lambda row: True,
    "wakewords_english": lambda row: True,
}
NOISE: dict[str, Callable[[dict], bool]] = {
    "environmental_sounds": lambda row: str(row["label"]).replace(" ", "_") not in OF_PEOPLE,
    "rooms_noise": lambda row: "noise" in str(row["label"]),
    "field": lambda row: row["label"] in ("music", "noise"),
}
RATIOS = (30, 20, 10, 5)  # dB of the words above the noise
N_ROWS, N_WORDS, PAUSE = 8, 12, SAMPLE_RATE // 2
DETECTORS = {"energy": True, "silero": False}  # what `any_sound` is


def clips(folder: Path, name: str, keep: Callable[[dict], bool], n: int) -> list[np.ndarray]:
    """Some recordings of a packed file, always the same, float32 [T] at 16 kHz."""
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise SpeechPromptError(f"{path.name} is not in the folder: give that of the packed files.")
    rows = [row for part in pq.ParquetFile(path).iter_batches(64) for row in part.to_pylist() if keep(row)]
    order = np.random.default_rng(0).permutation(len(rows))[:n]
    return [load(rows[i]["audio"]) for i in order]


def in_noise(
    words: list[np.ndarray], noise: np.ndarray, ratio: float
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Words of one level with pauses, in a noise so many dB below; and where each sounds, in samples."""
    parts, spans, at = [np.zeros(PAUSE, np.float32)], [], PAUSE
    for word in words:
        power = np.convolve(word**2, np.ones(400) / 400, "same")
        loud = np.flatnonzero(power > power.max() / 100)
        spans.append((at + int(loud[0]), at + int(loud[-1])))
        parts += [word * 0.1 / (np.sqrt((word[loud] ** 2).mean()) + 1e-9), np.zeros(PAUSE, np.float32)]
        at += len(word) + PAUSE
    sound = np.concatenate(parts)
    around = np.resize(noise, len(sound))
    around = around / (np.sqrt((around**2).mean()) + 1e-9) * 0.1 * 10 ** (-ratio / 20)
    return (sound + around).astype(np.float32), spans


def alone(stretches: list[Any], spans: list[tuple[int, int]]) -> int:
    """How many words have a stretch of their own."""
    count = 0
    for start, end in spans:
        hits = [one for one in stretches if one.start < end and one.end > start]
        if len(hits) == 1:
            count += sum(hits[0].start < b and hits[0].end > a for a, b in spans) == 1
    return count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--clips", type=int, default=60, help="of each set (default: 60)")


def run(args: argparse.Namespace) -> None:
    print("| recordings | n | energy right | silero right |\n| --- | --- | --- | --- |")
    spent, seconds = dict.fromkeys(DETECTORS, 0.0), 0.0
    noises: dict[str, list[np.ndarray]] = {}
    for wanted, sets in ((True, SPEECH), (False, NOISE)):
        for name, keep in sets.items():
            sounds = clips(args.data, name, keep, args.clips)
            if not wanted:
                noises[name] = sounds
            seconds += sum(map(len, sounds)) / SAMPLE_RATE
            right = []
            for which, any_sound in DETECTORS.items():
                began = time.process_time()
                right.append(sum(bool(stretches_of_speech(sound, any_sound)) == wanted for sound in sounds))
                spent[which] += time.process_time() - began
            what = "speech" if wanted else "none"
            print(f"| {name} ({what}) | {len(sounds)} | {right[0]} | {right[1]} |", flush=True)
    words = clips(
        args.data, "speech_commands", lambda r: r["label"] not in ("silence", "unknown"), N_ROWS * N_WORDS
    )
    print("\n| words alone in a stretch | n | energy | silero |\n| --- | --- | --- | --- |")
    for name in ("rooms_noise", "environmental_sounds"):
        for ratio in RATIOS:
            found = dict.fromkeys(DETECTORS, 0)
            for i in range(N_ROWS):
                mine = words[i * N_WORDS : (i + 1) * N_WORDS]
                sound, spans = in_noise(mine, noises[name][i % len(noises[name])], ratio)
                for which, any_sound in DETECTORS.items():
                    found[which] += alone(stretches_of_speech(sound, any_sound), spans)
            print(
                f"| {name}, {ratio} dB | {len(words)} | {found['energy']} | {found['silero']} |", flush=True
            )
    cost = ", ".join(f"{which} {1e3 * s / seconds:.2f} ms" for which, s in spent.items())
    print(f"\nProcessor time for each second of sound: {cost}, over {seconds:.0f} s.")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.voice_activity", sys.modules[__name__]))
