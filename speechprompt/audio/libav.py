"""The second decoder, FFmpeg's libraries as PyAV's wheels bring them: m4a, mp4, webm, AMR, WMA and many more.

What it may open is listed: kinds of file that hold sound themselves, none that names other files or
addresses, and codecs of sound alone. It reads from an open file, never from a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from speechprompt.audio.headers import SoundFile
from speechprompt.audio.limits import check_decoded, check_format, check_seconds, mix_down
from speechprompt.audio.reasons import UnreadableError
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.request_time import check_time

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

FORMATS = (  # as FFmpeg's options take them
    "wav,w64,aiff,au,caf,flac,ogg,mp3,mov,matroska,amr,asf,aac,loas,ac3,eac3,ape,wv,tta,tak,mpc,mpc8,iff,voc,"
    "nistsphere,epaf,gsm,avi,mpegts,dss,qcp,xwma"
)
# Files without a header, which only their names tell apart: Asterisk's.
HEADERLESS = {".g722": "g722", ".gsm": "gsm", ".sln": "sln"}
CODECS = (
    "aac,aac_latm,alac,ac3,eac3,als,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,ape,dss_sp,"
    "evrc,flac,g722,g723_1,g726,g726le,g729,gsm,gsm_ms,ilbc,mp1,mp1float,mp2,mp2float,mp3,mp3float,mpc7,mpc8,"
    "nellymoser,opus,libopus,qcelp,speex,tak,truespeech,tta,vorbis,wavpack,wmav1,wmav2,wmalossless,"
    "wmapro,wmavoice,8svx_exp,8svx_fib"
)
CODEC_FAMILIES = ("pcm_", "adpcm_")
MOST_DAMAGED = (
    "most of its sound cannot be decoded, so it is damaged or not of the kind that its header says; "
    "export it again"
)
NOTHING = "nothing of its sound can be decoded, as in a file that was cut off; export or send it again"
# Kinds of file whose headers count their sound; of others FFmpeg guesses by the bit rate.
TRUSTED = ("flac", "mov", "matroska", "w64", "aiff", "caf", "au", "asf", "wv", "tta", "ape")
MOST_PACKETS = 100_000  # a minute of the smallest packets in use, 2.5 ms, has 24,000
LONGEST_PACKET = 10.0  # s
MOST_FRAME_SAMPLES = 1 << 21  # of one packet


@cache
def allowed() -> dict[str, str]:
    """FFmpeg's options that keep it from opening anything but the formats and codecs listed."""
    import av

    known = [name for name in sorted(av.codecs_available) if name.startswith(CODEC_FAMILIES)]
    return {
        "format_whitelist": ",".join((FORMATS, *HEADERLESS.values())),
        "codec_whitelist": ",".join((CODECS, *known)),
        "protocol_whitelist": "none",  # there is no such protocol
    }


def no_other_file(*_: object) -> None:
    raise PermissionError("A recording may not name other files.")


@contextmanager
def opened(file: SoundFile, suffix: str = "") -> Iterator[InputContainer]:
    """The file's container; UnreadableError where FFmpeg finds none of those listed, or cannot go on in it.

    suffix: how the file's name ends; it says what a file without header holds.
    """
    import av

    file.seek(0)
    try:
        with av.open(
            file,
            format=HEADERLESS.get(suffix.lower()),
            container_options=allowed(),
            io_open=no_other_file,
        ) as container:
            yield container  # type: ignore[misc]  # opened for reading
    except (av.FFmpegError, OSError, ValueError, MemoryError, RuntimeError, IndexError) as error:
        if isinstance(error, SpeechPromptError):
            raise
        raise UnreadableError("") from error


def seconds(file: SoundFile, enough: float) -> float | None:
    """Length of the sound in a file by its packets, without decoding; None where they don't tell.

    Counting ends where there is more than `enough`.
    """
    total = 0.0
    try:
        with opened(file) as container:
            stream = container.streams.best("audio")
            if stream is None or stream.time_base is None:
                return None
            for number, packet in enumerate(packets(container, stream)):
                too_many(number)
                length = float((packet.duration or 0) * stream.time_base)
                if (
                    not 0 <= length <= LONGEST_PACKET
                ):  # the one packet of a short Vorbis has been seen to say a day
                    return None
                total += length
                if total > enough:
                    break
    except UnreadableError:
        return None
    return total or None


def packets(container: InputContainer, stream: Any) -> Iterator[av.Packet]:
    """The packets of a stream, which may be damaged, without end or empty; time is looked at between them."""
    for packet in container.demux(stream):
        check_time()
        yield packet


def too_many(number: int) -> None:
    """Raise where so many packets are more than a recording can have."""
    if number >= MOST_PACKETS:
        raise UnreadableError("it holds more pieces of sound than a recording can have, so it is damaged")


def decode(file: SoundFile, suffix: str, max_seconds: float) -> list[tuple[np.ndarray, int]]:
    """A sound file -> float32 [T], the mean of its channels, and its rate in Hz, for each rate it changes to.

    Header first: a file that says that it is too long is not decoded. Damaged packets are left out.
    UnreadableError with the reason where nothing can be decoded; SpeechPromptError where the recording is
    none that is answered.
    """
    with opened(file, suffix) as container:
        stream = audio_stream(container)
        check_declared(container, stream, file, max_seconds)
        parts = join(frames(container, stream), max_seconds)
    if not parts:
        raise UnreadableError(NOTHING)
    check_decoded(sum(len(mono) / rate for mono, rate in parts), max_seconds)
    return parts


def open_blocks(file: SoundFile, suffix: str) -> tuple[Iterator[tuple[np.ndarray, int]], float | None]:
    """Blocks of float32 [T] with their rate in Hz, and the seconds that the header promises, None where it guesses.

    UnreadableError with the reason, from the iterator too, which may have given blocks before.
    """
    given = sound_of(file, suffix)
    total = next(given)
    assert not isinstance(total, tuple)
    return given, total  # type: ignore[return-value]  # from here on it gives blocks alone


def sound_of(file: SoundFile, suffix: str) -> Iterator[float | tuple[np.ndarray, int] | None]:
    """First the seconds that the header promises, then the blocks: the container is open for as long as they come."""
    with opened(file, suffix) as container:
        stream = audio_stream(container)
        kinds = container.format.name.split(",")
        stated = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        if stated is None and container.duration:
            stated = container.duration / 1e6
        yield float(stated) if stated and not set(TRUSTED).isdisjoint(kinds) else None
        yield from frames(container, stream, whole=False)


def audio_stream(container: InputContainer) -> Any:
    """The best stream of sound, to be decoded by one thread; UnreadableError where there is none that is read here."""
    stream: Any = container.streams.best("audio")
    if stream is None:
        raise UnreadableError("it holds pictures or data, but no sound; choose another file")
    codec = stream.codec_context
    if codec is None:
        raise UnreadableError("its sound is stored in a way that no decoder here reads")
    if codec.name not in allowed()["codec_whitelist"].split(","):
        raise UnreadableError(f"its sound is stored as {codec.name}, which is not read here")
    check_format(codec.sample_rate, codec.channels)
    codec.thread_count = 1
    codec.options = {"max_samples": str(MOST_FRAME_SAMPLES)}
    return stream


def check_declared(container: InputContainer, stream: Any, file: SoundFile, max_seconds: float) -> None:
    """Raise where the header says that the sound is too long and the packets do not say otherwise."""
    declared = [float(stream.duration * stream.time_base)] if stream.duration and stream.time_base else []
    if declared and declared[0] > max_seconds:
        counted = seconds(file, max_seconds)
        if counted is None or counted > max_seconds:
            check_seconds(declared[0], max_seconds)


def frames(container: InputContainer, stream: Any, whole: bool = True) -> Iterator[tuple[np.ndarray, int]]:
    """What each packet of a stream decodes to: float32 [T], and the rate in Hz."""
    import av

    failed = decoded = barren = 0  # barren: packets since the last sound
    for number, packet in enumerate(packets(container, stream)):
        too_many(number if whole else barren)
        barren += 1
        try:
            found = packet.decode()
        except av.FFmpegError:
            failed += 1
            continue
        decoded += bool(found)
        for frame in found:
            assert isinstance(frame, av.AudioFrame)
            check_format(frame.sample_rate, len(frame.layout.channels))
            mono = mix_down(samples_of(frame))
            if len(mono):
                barren = 0
            yield mono, frame.sample_rate
    if failed > decoded:
        raise UnreadableError(MOST_DAMAGED)


def samples_of(frame: av.AudioFrame) -> np.ndarray:
    """A frame -> float32 [T, channels], full scale 1."""
    channels = len(frame.layout.channels)
    array = frame.to_ndarray()  # [channels, T], or [1, T * channels]
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if array.dtype.kind == "u":
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.kind == "i":
        array = array / np.float32(2.0 ** (8 * array.dtype.itemsize - 1))
    return array.astype(np.float32)


def join(pieces: Iterator[tuple[np.ndarray, int]], max_seconds: float) -> list[tuple[np.ndarray, int]]:
    """Pieces of the same rate one after the other, until there is more than the limit."""
    parts: list[tuple[list[np.ndarray], int]] = []
    total = 0.0
    for mono, rate in pieces:
        if not parts or parts[-1][1] != rate:
            parts.append(([], rate))
        parts[-1][0].append(mono)
        total += len(mono) / rate
        if total > max_seconds:
            break
    return [(np.concatenate(monos), rate) for monos, rate in parts]
