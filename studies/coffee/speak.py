"""Coffee orders made up and spoken by espeak-ng."""

from __future__ import annotations

import io
import random
import subprocess

import numpy as np
import soundfile
import torch
import torchaudio

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.meaning import AMOUNTS

VALUES = {
    "size": ["small", "medium", "large", "eight ounce", "twelve ounce", "sixteen ounce", "twenty ounce"],
    "roast": ["light roast", "medium roast", "dark roast"],
    "numberOfShots": ["single shot", "double shot", "triple shot"],
    "coffeeDrink": [
        "coffee",
        "mocha",
        "iced mocha",
        "drip coffee",
        "iced coffee",
        "house coffee",
        "espresso",
        "americano",
        "cappuccino",
        "latte",
    ],
    "milkAmount": ["milk", "cream", "soy milk", "whole milk", "skim milk", "almond milk"],
    "sugarAmount": ["sugar", "brown sugar", "sweetener"],
}
# How often a slot is named, about as often as in the recordings.
SHARES = {
    "size": 0.55,
    "roast": 0.5,
    "numberOfShots": 0.55,
    "coffeeDrink": 1,
    "milkAmount": 0.5,
    "sugarAmount": 0.55,
}
AMOUNT_SHARE = 0.45  # of milk and sugar that are "a bit of" it and the like
OPENINGS = [
    "",
    "can I have a",
    "could I get a",
    "I would like a",
    "I'd like a",
    "make me a",
    "get me a",
    "please make me a",
    "brew me a",
    "give me a",
    "I want a",
    "let me have a",
    "may I have a",
    "could you make me a",
    "can you get me a",
    "hey can I please get a",
]
ENDINGS = ["", "", "", "", "", "", "please", "thanks"]
ACCENTS = ["en-us", "en-gb", "en-us-nyc", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan"]
SPEAKERS = [
    "",
    "+m1",
    "+m2",
    "+m3",
    "+m4",
    "+m5",
    "+m6",
    "+m7",
    "+f1",
    "+f2",
    "+f3",
    "+f4",
    "+f5",
    "+klatt2",
    "+klatt4",
    "+Annie",
    "+Alex",
    "+Diogo",
    "+Michael",
    "+sandro",
]


def draw_order(rng: random.Random) -> tuple[str, dict[str, str]]:
    """(what is said, slot -> value) of one order with two slots at least."""
    slots: dict[str, str] = {}
    while len(slots) < 2:
        slots = {}
        for slot, values in VALUES.items():
            if rng.random() < SHARES[slot]:
                slots[slot] = rng.choice(values)
                if slot.endswith("Amount") and rng.random() < AMOUNT_SHARE:
                    slots[slot] = f"{rng.choice(AMOUNTS)} {slots[slot]}"
    before = [slots[name] for name in ("size", "roast", "numberOfShots") if name in slots]
    if rng.random() < 0.35:
        rng.shuffle(before)
    behind = []
    if before and rng.random() < 0.1:  # "a latte with a double shot"
        at = rng.randrange(len(before))
        behind = [rng.choice(["with a", "with", "in a"]), before.pop(at)]
    added = [slots[name] for name in ("milkAmount", "sugarAmount") if name in slots]
    if rng.random() < 0.35:
        added.reverse()
    words = [rng.choice(OPENINGS), *before, slots["coffeeDrink"], *behind]
    words += ["with " + " and ".join(added)] if added else []
    return " ".join([*words, rng.choice(ENDINGS)]).strip(), slots


def synthesise(text: str, voice: str, speed: int, pitch: int) -> bytes:
    """The bytes of a FLAC file, 16 kHz mono. pace: words a minute; pitch: 0 to 99, 50 as is."""
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), text]
    try:
        clips = subprocess.run(command, check=True, capture_output=True).stdout
        samples, rate = soundfile.read(io.BytesIO(clips), dtype="float32")
    except (OSError, subprocess.CalledProcessError, soundfile.LibsndfileError) as error:
        raise SpeechPromptError(f"espeak-ng could not speak with the voice {voice}.") from error
    return flac(torchaudio.functional.resample(torch.from_numpy(samples), rate, SAMPLE_RATE).numpy())


def flac(waveform: np.ndarray) -> bytes:
    """float32 [T] at 16 kHz -> the bytes of a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format="FLAC")
    return file.getvalue()
