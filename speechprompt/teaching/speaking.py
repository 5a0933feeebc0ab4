"""Labels without recordings are spoken by espeak-ng, where that is installed, in as many voices as it has.

espeak-ng is called with a list of arguments, never by a shell, and with nothing but letters to speak.
"""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.audio.silence import is_silent
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.request_time import check_time

PROGRAM = "espeak-ng"
MISSING = "Labels are spoken only where espeak-ng is installed (`apt install espeak-ng`): give every label recordings."
MAX_CHARACTERS = 40
MAX_BYTES = 4 << 20  # of one spoken label, 95 s; a label of MAX_CHARACTERS takes 6 s at the slowest
TIMEOUT_SECONDS = 10.0  # espeak-ng takes some milliseconds
# Language -> the accents that it is spoken in.
LANGUAGES: Mapping[str, Sequence[str]] = {
    "English": ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-us-nyc"),
    "Arabic": ("ar",),
    "Dutch": ("nl",),
    "French": ("fr-fr", "fr-be", "fr-ch"),
    "German": ("de",),
    "Hindi": ("hi",),
    "Italian": ("it",),
    "Lithuanian": ("lt",),
    "Mandarin": ("cmn",),
    "Polish": ("pl",),
    "Portuguese": ("pt-br", "pt"),
    "Russian": ("ru",),
    "Spanish": ("es", "es-419"),
    "Turkish": ("tr",),
}
VARIANTS = (
    "m1", "f1", "m2", "f2", "m3", "f3", "m4", "f4", "m5", "f5", "m6", "m7", "klatt", "klatt2", "klatt3",
)  # fmt: skip
WORDS_PER_MINUTE, PITCH = (110, 220), (20, 80)


def can_speak() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which(PROGRAM) is not None


def is_text(text: str) -> bool:
    """Whether a label can be spoken: letters of any script in words, at most MAX_CHARACTERS of them."""
    marks = "'’- "
    return (
        0 < len(text) <= MAX_CHARACTERS
        and unicodedata.category(text[0])[0] == "L"
        and all(unicodedata.category(c)[0] in "LM" or c in marks for c in text)
    )


def check_text(text: str) -> None:
    """Raise SpeechPromptError unless a label can be spoken."""
    if not is_text(text):
        raise SpeechPromptError(
            f"{text[:MAX_CHARACTERS]!r} cannot be spoken, only letters can, at most {MAX_CHARACTERS} of them: "
            "give it recordings or another name."
        )


def speak(label: str, n: int, language: str = "English", seed: int = 0) -> list[np.ndarray]:
    """n takes of a label, each in a voice, a speed and a pitch of its own: float32 [T] at 16 kHz.

    SpeechPromptError in one sentence where it cannot be spoken. The same seed gives the same takes with one version
    of espeak-ng.
    """
    if not can_speak():
        raise SpeechPromptError(MISSING)
    check_text(label)
    if language not in LANGUAGES:
        raise SpeechPromptError(
            f"{str(language)[:40]!r} is not spoken here; choose one of: {', '.join(LANGUAGES)}."
        )
    # The voices are the same for every label, or a voice would tell the labels apart.
    rng = np.random.default_rng(seed)
    accents, variants = rng.permutation(LANGUAGES[language]), rng.permutation(VARIANTS)
    takes = []
    for i in range(n):
        check_time()
        voice = f"{accents[i % len(accents)]}+{variants[i % len(variants)]}"
        takes.append(_take(label, voice, int(rng.integers(*WORDS_PER_MINUTE)), int(rng.integers(*PITCH))))
    return takes


def _take(label: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    command = [PROGRAM, "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), "--", label]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SpeechPromptError(
            f"espeak-ng could not speak {label!r}: give it recordings or another name."
        ) from error
    waveform = audio.load(done.stdout[:MAX_BYTES]) if done.stdout else np.zeros(0, np.float32)
    if is_silent(waveform):
        raise SpeechPromptError(
            f"espeak-ng has no sound for {label!r} in this language: give it recordings or choose another language."
        )
    return waveform
