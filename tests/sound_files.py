"""Sound files of the kinds that phones, browsers, messengers and pipes write, made by PyAV on the spot."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError

TONE = 440.0  # Hz


def tone(rate: int, seconds: float = 1.0, level: float = 0.5, frequency: float = TONE) -> np.ndarray:
    """float32 [T]."""
    t = np.arange(int(rate * seconds)) / rate
    return (level * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


class Pipe(io.RawIOBase):
    """What is written to it can be read afterwards, but it cannot go back, so no header is put right."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += data
        return len(data)


def refused_of_damaged(content: bytes, copies: int, rng: np.random.Generator) -> int:
    """How many cut copies of a sound file with eight wrong bytes are refused; others are sound of at most a minute."""
    refused = 0
    for _ in range(copies):
        damaged = bytearray(content[: rng.integers(1, len(content))])
        for at in rng.integers(0, len(damaged), 8):
            damaged[at] = rng.integers(256)
        try:
            waveform = audio.load(bytes(damaged))
        except SpeechPromptError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).endswith(".")
        else:
            assert np.isfinite(waveform).all() and 0.1 <= len(waveform) / 16_000 <= 60
    return refused


def by_libsndfile(samples: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def by_ffmpeg(
    samples: np.ndarray,
    rate: int,
    container: str,
    codec: str,
    pipe: bool = False,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    video: bool = False,
) -> bytes:
    """samples float32 [T] at `rate` as a file of FFmpeg's; pipe: as it writes it where it cannot go back."""
    target: Any = Pipe() if pipe else io.BytesIO()
    with av.open(target, "w", format=container, container_options=options or {}) as output:
        stream: Any = output.add_stream(codec, rate=rate, layout="mono", options=codec_options or {})
        picture: Any = None
        if video:
            picture = output.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        resampler = av.AudioResampler(
            format=stream.codec_context.codec.audio_formats[0].name, layout="mono", rate=stream.rate or rate
        )
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
        for packet in encoded(stream, pieces):
            output.mux(packet)
        if video:
            pictures = [
                av.VideoFrame.from_ndarray(np.full((32, 32, 3), i * 20, np.uint8), "rgb24") for i in range(10)
            ]
            for packet in encoded(picture, pictures):
                output.mux(packet)
    return bytes(target.content) if pipe else target.getvalue()


def encoded(stream: Any, frames: list[Any]) -> Iterator[Any]:
    size = getattr(stream.codec_context, "frame_size", 0) if stream.type == "audio" else 0
    if size:
        fifo = av.AudioFifo()
        for frame in frames:
            frame.pts = None
            fifo.write(frame)
        frames = list(fifo.read_many(size, partial=True))
        at = 0
        for frame in frames:
            frame.pts, at = at, at + frame.samples
    for frame in frames:
        yield from stream.encode(frame)
    yield from stream.encode(None)
