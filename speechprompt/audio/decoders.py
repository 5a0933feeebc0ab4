"""Which decoder reads a sound file: libsndfile, or FFmpeg's libraries. Doors: `whole` and `in_blocks`.

Recordings of up to a minute, decoded whole, go to libsndfile first, in whose samples prompts were tuned. Of longer ones
only WAV does: FFmpeg's libraries read the others to their end whatever the header says. Where the first decoder cannot
read a file, the next one tries; archives, pictures and playlists are shown to none of FFmpeg's many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

import numpy as np

from speechprompt.audio import libav, sndfile
from speechprompt.audio.headers import SoundFile
from speechprompt.audio.kinds import HEAD_BYTES
from speechprompt.audio.reasons import UnreadableError, instead, text, unreadable
from speechprompt.errors import SpeechPromptError

Parts = Iterator[tuple[np.ndarray, int]]  # float32 [T], the mean of the channels; Hz
Found = TypeVar("Found")
Decoder = Callable[[SoundFile, str], Found | None]  # (file, its suffix); None where there is no sound in it


def whole(file: SoundFile, suffix: str, max_seconds: float) -> list[tuple[np.ndarray, int]]:
    """float32 [T], the mean of its channels, and the rate in Hz, for each rate in the file."""

    def by_sndfile(file: SoundFile, suffix: str) -> list[tuple[np.ndarray, int]]:
        return [sndfile.decode(file, max_seconds)]

    def by_libav(file: SoundFile, suffix: str) -> list[tuple[np.ndarray, int]]:
        return libav.decode(file, suffix, max_seconds)

    return first_that_reads(file, suffix, by_sndfile, by_libav)


def in_blocks(file: SoundFile, suffix: str) -> tuple[Parts, float | None]:
    """The sound in parts, and the seconds that the file's header promises."""
    openers = (begun(one) for one in (sndfile.open_wav, libav.open_blocks, sndfile.open_blocks))
    return first_that_reads(file, suffix, *openers)


def begun(opener: Decoder[tuple[Parts, float | None]]) -> Decoder[tuple[Parts, float | None]]:
    """An opener that has read the first part, so that it is known to read the file."""

    def read(file: SoundFile, suffix: str) -> tuple[Parts, float | None] | None:
        found = opener(file, suffix)
        if found is None or (first := next(found[0], None)) is None:
            return None
        return chain([first], found[0]), found[1]

    return read


def first_that_reads(file: SoundFile, suffix: str, first: Decoder[Found], *others: Decoder[Found]) -> Found:
    """What the first decoder that can read the file makes of it; SpeechPromptError where none can."""
    if not file.size:
        raise SpeechPromptError("The recording is empty (0 bytes): record it again.")
    head = file.read(HEAD_BYTES)
    reason = ""
    for decoder in (first, *(() if instead(head) else others)):
        file.seek(0)
        try:
            found = decoder(file, "" if text(head) else suffix)
        except UnreadableError as error:
            reason = str(error) or reason
            continue
        if found is not None:
            return found
    raise unreadable(head, reason)
