"""The first decoder, libsndfile: WAV and its relatives, FLAC, OGG, Opus, MP3.

It believes some headers about the length and stops there. So the second decoder counts the sound in the
packets of every kind of file whose length can be a guess.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from speechprompt.audio import libav
from speechprompt.audio.headers import SoundFile
from speechprompt.audio.limits import check_decoded, check_format, check_seconds, mix_down
from speechprompt.audio.reasons import UnreadableError
from speechprompt.errors import SpeechPromptError

BLOCK_FRAMES = 1 << 18
UNKNOWN_FRAMES = 1 << 60  # what libsndfile takes for the length of a FLAC whose header gives none
PUT_RIGHT = ("WAV", "WAVEX")  # SoundFile puts the sizes in their headers right
# Packets may hold so much more than is decoded of them: what encoders put around the sound, tags and junk.
SLACK_SECONDS = 0.25


def decode(file: SoundFile, max_seconds: float) -> tuple[np.ndarray, int]:
    """A sound file -> float32 [T], the mean of its channels, and its rate in Hz.

    The length in the header is looked at before anything is decoded, and decoding stops at the limit.
    UnreadableError where libsndfile cannot read the file, or not to its end. SpeechPromptError where the
    recording is none that is answered.
    """
    import soundfile  # loads libsndfile, which `--help` need not wait for

    try:
        with soundfile.SoundFile(file) as sound:
            rate, channels, frames = sound.samplerate, sound.channels, sound.frames
            check_format(rate, channels)
            at, counted = file.tell(), None
            if sound.format not in PUT_RIGHT:
                counted = libav.seconds(file, max_seconds + SLACK_SECONDS)
                file.seek(at)
            if frames < UNKNOWN_FRAMES and (counted is None or counted > max_seconds):
                check_seconds(frames / rate, max_seconds)
            if counted is not None and counted > max_seconds + SLACK_SECONDS:
                check_decoded(counted, max_seconds)
            mono = read(sound, int(max_seconds * rate))
    except SpeechPromptError:
        raise
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        raise UnreadableError("") from error
    if counted is not None and counted > len(mono) / rate + SLACK_SECONDS:
        raise UnreadableError("it goes on where its header says that it ends")
    if not len(mono) and sound.format not in PUT_RIGHT:
        raise UnreadableError("")
    check_decoded(len(mono) / rate, max_seconds)  # what was there, whatever the header says
    return mono, rate


def open_wav(file: SoundFile, suffix: str) -> tuple[Iterator[tuple[np.ndarray, int]], float | None]:
    """A WAV in blocks; UnreadableError where the file is none, or of a kind that libsndfile does not read."""
    return open_blocks(file, suffix, PUT_RIGHT)


def open_blocks(
    file: SoundFile, suffix: str, formats: tuple[str, ...] = ()
) -> tuple[Iterator[tuple[np.ndarray, int]], float | None]:
    """Blocks of float32 [T] with their rate in Hz, and the seconds that the header promises.

    formats: the only ones taken, where there are any. suffix: not needed here; libav's has it. UnreadableError as in
    decode, from an iterator too.
    """
    import soundfile

    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        raise UnreadableError("") from error
    if formats and sound.format not in formats:
        sound.close()
        raise UnreadableError("")
    check_format(sound.samplerate, sound.channels)
    frames = sound.frames if sound.frames < UNKNOWN_FRAMES else 0

    def blocks() -> Iterator[tuple[np.ndarray, int]]:
        try:
            with sound:
                while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                    yield mix_down(block), sound.samplerate
        except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
            raise UnreadableError("") from error

    return blocks(), (frames / sound.samplerate * file.missing or None)


def read(sound: object, limit: int) -> np.ndarray:
    """float32 [T]: all frames of an open soundfile.SoundFile, or one more than the limit."""
    blocks, total = [np.zeros(0, np.float32)], 0
    while total <= limit:
        block = sound.read(min(BLOCK_FRAMES, limit + 1 - total), dtype="float32", always_2d=True)  # type: ignore[attr-defined]
        if not len(block):
            break
        blocks.append(mix_down(block))  # eight channels at 192 kHz would take 370 MB
        total += len(block)
    return np.concatenate(blocks)
