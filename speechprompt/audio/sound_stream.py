"""A recording of any length, in blocks: float32 mono at 16 kHz, in bounded memory. Door: `SoundStream`.

The same two decoders (decoders.py) and limits as of `load`, block by block.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from speechprompt.audio.arrays import from_array, is_array
from speechprompt.audio.decoders import Parts, in_blocks
from speechprompt.audio.headers import SoundFile
from speechprompt.audio.limits import HIGHEST_PEAK, check_decoded, check_seconds
from speechprompt.audio.load import NEITHER, NO_RECORDING, AudioInput, opened_file
from speechprompt.audio.reasons import UnreadableError
from speechprompt.audio.resampling import Resampler
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.request_time import check_time

BLOCK_SECONDS = 2.0  # of sound in a block, about
# By which a sound may be shorter than its header says, and whole all the same.
SLACK_SECONDS, SLACK_SHARE = 1.0, 0.001


class SoundStream:
    """The blocks of a recording, once, in order; the file is closed with the last one or by `close`.

    total: seconds that the header promises, None where none can be trusted. seconds: of sound that was given so far.
    notice: after the last block one sentence where the file ends before it should, else "".
    """

    def __init__(self, source: AudioInput, max_seconds: float = float("inf")) -> None:
        """source: what `load` takes. SpeechPromptError as there; what is too long is refused as soon as it shows."""
        self.max_seconds, self.seconds, self.notice = max_seconds, 0.0, ""
        self._file: BinaryIO | None = None
        self.total: float | None
        if is_array(source):
            mono, rate = from_array(source, max_seconds)
            size = int(BLOCK_SECONDS * rate)
            self._parts: Parts = ((mono[at : at + size], rate) for at in range(0, len(mono), size))
            self.total = len(mono) / rate
            return
        suffix = ""
        if isinstance(source, bytes | bytearray):
            self._file = io.BytesIO(source)
        elif isinstance(source, str | Path):
            self._file, suffix = opened_file(Path(source)), Path(source).suffix
        elif isinstance(source, Mapping) and isinstance(source.get("bytes"), bytes):
            self._file, suffix = io.BytesIO(source["bytes"]), Path(str(source.get("path", ""))).suffix
        else:
            raise SpeechPromptError(NO_RECORDING if source is None else NEITHER)
        try:
            self._parts, self.total = in_blocks(SoundFile(self._file), suffix)
            if self.total is not None:
                check_seconds(self.total, max_seconds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> SoundStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """float32 [T] each; SpeechPromptError in turn, after the blocks before it, where the sound cannot be used."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[np.ndarray]:
        resampler: Resampler | None = None
        for mono, rate in together(self._checked()):
            check_time()
            if resampler is None or resampler.rate != rate:
                if resampler is not None and len(rest := resampler.finish()):
                    yield rest
                resampler = Resampler(rate)
            if len(block := resampler.feed(mono)):
                yield block
        if resampler is not None and len(rest := resampler.finish()):
            yield rest
        check_seconds(self.seconds, self.max_seconds)
        if self.total is not None and not self.notice:
            short = self.total - self.seconds
            if short > max(SLACK_SECONDS, SLACK_SHARE * self.total):
                ends, promised = clock(self.seconds), clock(self.total)
                self.notice = f"The file was cut off: it ends at {ends} and its header promises {promised}."

    def _checked(self) -> Parts:
        """What the decoder gives, checked; a decoder that fails on the way ends the sound there."""
        try:
            for mono, rate in self._parts:
                if not np.isfinite(mono).all():
                    raise SpeechPromptError(
                        f"The recording holds values that are not numbers (NaN or Inf) at {clock(self.seconds)}: "
                        "export it again."
                    )
                if len(mono) and np.abs(mono).max() > HIGHEST_PEAK:
                    raise SpeechPromptError(
                        f"The recording is far louder than full scale (1.0) at {clock(self.seconds)}: export it again."
                    )
                self.seconds += len(mono) / rate
                if self.seconds > self.max_seconds:
                    check_decoded(self.seconds, self.max_seconds)
                yield mono, rate
        except UnreadableError as error:
            why = str(error) or "it is damaged or was cut off"
            self.notice = f"The file cannot be read beyond {clock(self.seconds)}: {why}."


def clock(seconds: float) -> str:
    """0:00:00.0, as hours, minutes and seconds."""
    tenths = int(10 * seconds)
    return f"{tenths // 36_000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def together(parts: Parts) -> Parts:
    """Parts of one rate one behind the other, so that each has BLOCK_SECONDS or more."""
    waiting: list[np.ndarray] = []
    samples, last = 0, 0
    for mono, rate in parts:
        if waiting and rate != last:
            yield np.concatenate(waiting), last
            waiting, samples = [], 0
        waiting.append(mono)
        samples, last = samples + len(mono), rate
        if samples >= BLOCK_SECONDS * rate:
            yield np.concatenate(waiting), rate
            waiting, samples = [], 0
    if waiting:
        yield np.concatenate(waiting), last
