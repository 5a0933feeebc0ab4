"""Bad recordings and good ones, made on the spot, and what must come out of each.

`cases()` lists them: an expectation is ANSWER, or a part of the sentence that refuses the recording.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from tests.sound_files import by_ffmpeg

ANSWER = "an answer"
NO_SOUND = "cannot be read as sound"
SILENT = "Nothing was recorded"
NOBODY = "holds no speech"
TOO_LONG = "the limit is 60 s"
TOO_SHORT = "at least 0.1 s is needed"
NO_NUMBERS = "not numbers (NaN or Inf)"
LIMIT = 60  # s


@dataclass(frozen=True)
class Case:
    """make writes into an empty folder and returns what is given to the program; None when it cannot be made here."""

    name: str
    expect: str
    make: Callable[[Path], object]


def voice(seconds: float = 1.0, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    """Something like speech: a buzz with a moving pitch and formants, syllables of 200 ms. float32 [T, channels]."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 1.5 * t)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * t), 0, None)
    noise = np.random.default_rng(0).standard_normal(len(t)) * 0.003
    return np.repeat((0.2 * buzz * syllables + noise).astype(np.float32)[:, None], channels, axis=1)


def music(seconds: float = 3.0, rate: int = 44_100) -> np.ndarray:
    """Chords with decaying harmonics over a beat of noise. float32 [T, 2]."""
    t = np.arange(int(seconds * rate)) / rate
    notes = sum(np.sin(2 * np.pi * f * t) for f in (220, 277.2, 329.6, 440)) * np.exp(-3 * (t % 0.5))
    beat = np.random.default_rng(1).standard_normal(len(t)) * np.exp(-40 * (t % 0.25))
    return np.stack([0.15 * notes + 0.1 * beat, 0.15 * notes - 0.1 * beat], 1).astype(np.float32)


def encoded(samples: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


WAV = encoded(voice(), 16_000, "WAV", "PCM_16")


def put(content: bytes, name: str, folder: Path) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def write(
    samples: Callable[[], np.ndarray], rate: int, container: str, subtype: str, name: str, folder: Path
) -> Path:
    return put(encoded(samples(), rate, container, subtype), name, folder)


# Who writes it -> container, codec, rate in Hz, through a pipe, options of the container
WRITTEN: dict[str, tuple[str, str, int, bool, dict[str, str]]] = {
    "a voice memo: AAC in m4a": ("ipod", "aac", 44_100, False, {}),
    "ALAC in m4a": ("ipod", "alac", 44_100, False, {}),
    "mp4": ("mp4", "aac", 48_000, False, {}),
    "Safari's MediaRecorder: mp4 in fragments": (
        *("mp4", "aac", 48_000, True),
        {"movflags": "frag_keyframe+empty_moov"},
    ),
    "Chrome's MediaRecorder: webm": ("webm", "libopus", 48_000, True, {"live": "1"}),
    "Firefox's MediaRecorder: Ogg": ("ogg", "libopus", 48_000, True, {}),
    "a voice message: Opus at 16 kHz": ("ogg", "libopus", 16_000, False, {}),
    "a phone's AMR": ("amr", "libopencore_amrnb", 8_000, False, {}),
    "a phone's 3gp": ("3gp", "libopencore_amrnb", 8_000, False, {}),
    "iMessage: CAF": ("caf", "pcm_s16be", 24_000, False, {}),
    "ALAC in CAF": ("caf", "alac", 44_100, False, {}),
    "WMA": ("asf", "wmav2", 44_100, False, {}),
    "G.722 in WAV": ("wav", "g722", 16_000, False, {}),
    "WavPack": ("wv", "wavpack", 16_000, False, {}),
    "True Audio": ("tta", "tta", 16_000, False, {}),
    "FLAC in Matroska": ("matroska", "flac", 16_000, False, {}),
    **{
        f"{container} {codec} through a pipe": (container, codec, 16_000, True, {})
        for container, codec in (
            *(("wav", "pcm_s16le"), ("w64", "pcm_s16le"), ("aiff", "pcm_s16be"), ("au", "pcm_s16be")),
            *(
                ("flac", "flac"),
                ("ogg", "flac"),
                ("ogg", "libopus"),
                ("mp3", "libmp3lame"),
                ("webm", "libopus"),
            ),
            *(("adts", "aac"), ("latm", "aac"), ("ac3", "ac3"), ("mpegts", "aac"), ("mp2", "mp2")),
        )
    },
}


def by_others(kind: str, folder: Path) -> Path:
    container, codec, rate, pipe, options = WRITTEN[kind]
    if codec in ("ac3", "mp2"):
        rate = 44_100
    bit_rate = {"b": "64000"} if codec == "wmav2" else {}
    return put(
        by_ffmpeg(voice(1.0, rate)[:, 0], rate, container, codec, pipe, options, bit_rate), "clip", folder
    )


# Ogg pages, to make hours out of seconds

BITS_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of Ogg, which reads bits the other way round than zlib does, from 0 and without a last inversion."""
    turned = zlib.crc32(page.translate(BITS_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2)


def ogg_page(page: bytes, number: int, granule: int, flags: int) -> bytes:
    """The page with another number, end position and flags, and the checksum that belongs to them."""
    made = (
        page[:5]
        + struct.pack("<BQ", flags, granule)
        + page[14:18]
        + struct.pack("<II", number, 0)
        + page[26:]
    )
    return made[:22] + struct.pack("<I", ogg_checksum(made)) + made[26:]


def ogg_pages(content: bytes) -> list[bytes]:
    pages, at = [], 0
    while at < len(content):
        count = content[at + 26]
        end = at + 27 + count + sum(content[at + 27 : at + 27 + count])
        pages.append(content[at:end])
        at = end
    return pages


def hours_of_opus(hours: float, folder: Path, declared_hours: float | None = None) -> Path:
    """Hours of silence in a few MB: one second's page again and again, with granule positions to match.

    said_hours: what the last page claims, if something else.
    """
    pages = ogg_pages(encoded(np.zeros((48_000 * 20, 1), np.float32), 48_000, "OGG", "OPUS"))
    head, body = pages[:2], max(pages[3:-1], key=len)
    packets = sum(length < 255 for length in body[27 : 27 + body[26]])
    total = round(hours * 3600 * 50 / packets)
    with (folder / "hours.opus").open("wb") as file:
        file.write(b"".join(head))
        for i in range(total):
            granule = (i + 1) * packets * 960
            last = i == total - 1
            if last and declared_hours is not None:
                granule = round(declared_hours * 3600 * 48_000)
            file.write(ogg_page(body, i + 2, granule, 4 if last else 0))
    return folder / "hours.opus"


def hour_of_flac(folder: Path) -> Path:
    path = folder / "hour.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1, format="FLAC", subtype="PCM_16") as sound:
        for _ in range(60):
            sound.write(np.zeros(8_000 * 60, np.int16))
    return path


# Damage


def header_says(at: int, value: int, folder: Path) -> Path:
    return put(WAV[:at] + struct.pack("<I", value & 0xFFFFFFFF) + WAV[at + 4 :], "lies.wav", folder)


def spread_damage(content: bytes, share: float, name: str, folder: Path) -> Path:
    damaged, rng = bytearray(content), np.random.default_rng(0)
    for at in rng.integers(len(content) // 8, len(content), max(1, int(len(content) * share))):
        damaged[at] = rng.integers(256)
    return put(bytes(damaged), name, folder)


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "clip.wav", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50 << 20))
    return folder / "clip.wav"


def link(target: str, folder: Path) -> Path:
    put(WAV, "target.wav", folder)
    (folder / "link.wav").symlink_to(target)
    return folder / "link.wav"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def unreadable(folder: Path) -> Path:
    path = put(WAV, "secret.wav", folder)
    path.chmod(0)
    return path


def sparse(size: int, folder: Path) -> Path:
    path = put(WAV[:44], "sparse.wav", folder)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def with_values(value: float, count: int = 1) -> np.ndarray:
    samples = voice()
    samples[5000 : 5000 + count] = value
    return samples


def rated(rate: int, folder: Path) -> Path:
    return write(lambda: voice(1.0, rate), rate, "WAV", "PCM_16", "clip.wav", folder)


def cases() -> list[Case]:
    """All of them; every one is quick to make."""
    found: list[Case] = []

    def add(name: str, expect: str, make: Callable[[Path], object]) -> None:
        found.append(Case(name, expect, make))

    # Containers and how samples are stored
    for container in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"):
        for subtype in soundfile.available_subtypes(container):
            if container not in ("WAV", "FLAC") and subtype not in ("PCM_16", "FLOAT"):
                continue
            if subtype == "MPEG_LAYER_III":  # inside a WAV it can be read, not written
                continue
            rate = 8_000 if subtype.startswith(("GSM", "G721", "NMS")) else 16_000
            make = partial(
                write, partial(voice, 1.0, rate), rate, container, subtype, f"clip.{container.lower()}"
            )
            add(f"{container} {subtype}", ANSWER, make)
    for container, subtype in (
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("OGG", "FLAC"),
        ("MP3", "MPEG_LAYER_III"),
    ):
        if subtype in soundfile.available_subtypes(container):
            make = partial(write, partial(voice, 1.0, 48_000), 48_000, container, subtype, "clip.bin")
            add(f"{container} {subtype}", ANSWER, make)
    for kind in WRITTEN:
        add(kind, ANSWER, partial(by_others, kind))

    # Rates
    for rate in (8_000, 11_025, 12_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000):
        add(f"{rate} Hz", ANSWER, partial(rated, rate))
    for rate in (8_001, 15_999, 16_001, 44_101, 47_999, 191_999):
        add(f"odd rate {rate} Hz", ANSWER, partial(rated, rate))
    for rate in (1, 4_000, 7_999, 192_001, 2_000_000_000):
        short = partial(write, partial(voice, 1.0, 16_000), rate, "WAV", "PCM_16", "clip.wav")
        add(f"rate {rate} Hz", f"The sampling rate is {rate} Hz", short)

    # Channels
    for channels in (2, 3, 6, 8):
        make = partial(write, partial(voice, 1.0, 16_000, channels), 16_000, "WAV", "PCM_16", "clip.wav")
        add(f"{channels} channels", ANSWER, make)
    for channels in (9, 64, 1024):
        make = partial(write, partial(voice, 0.2, 16_000, channels), 16_000, "WAV", "PCM_16", "clip.wav")
        add(f"{channels} channels", f"The recording has {channels} channels", make)

    # Lengths
    for samples in (0, 1, 1_599):
        make = partial(write, partial(voice, samples / 16_000), 16_000, "WAV", "PCM_16", "clip.wav")
        add(f"{samples} samples", TOO_SHORT, make)
    for seconds, expect in ((0.1, ANSWER), (60.0, ANSWER), (60.01, TOO_LONG), (3_600.0, TOO_LONG)):
        make = partial(
            write,
            lambda s=seconds: np.resize(voice(), (round(s * 16_000), 1)),
            16_000,
            "WAV",
            "PCM_16",
            "clip.wav",
        )
        add(f"{seconds:g} s", expect, make)
    wide = lambda: np.resize(voice(1.0, 192_000, 8), (192_000 * LIMIT, 8))  # noqa: E731
    add("60 s, 192 kHz, 8 channels", ANSWER, partial(write, wide, 192_000, "WAV", "PCM_16", "clip.wav"))
    add("10 hours of Opus", TOO_LONG, partial(hours_of_opus, 10))
    add("2 hours of Opus that say 10 s", TOO_LONG, partial(hours_of_opus, 2, declared_hours=10 / 3600))
    add("10 s of Opus that say 2 hours", SILENT, partial(hours_of_opus, 10 / 3600, declared_hours=2))
    add("an hour of silent FLAC", TOO_LONG, hour_of_flac)

    # Contents
    for name, value, count, expect in (
        ("a NaN", np.nan, 1, NO_NUMBERS),
        ("all NaN", np.nan, 16_000, NO_NUMBERS),
        ("an Inf", np.inf, 1, NO_NUMBERS),
        ("a -Inf", -np.inf, 1, NO_NUMBERS),
        ("a value of 1e30", 1e30, 1, "far louder than full scale"),
        ("a value of 3e38", 3e38, 2, "far louder than full scale"),
        ("a denormal number", 1e-40, 1, ANSWER),
    ):
        make = partial(write, partial(with_values, value, count), 16_000, "WAV", "FLOAT", "clip.wav")
        add(name, expect, make)
    opposite = lambda: np.stack([np.full(16_000, np.inf), np.full(16_000, -np.inf)], 1).astype(np.float32)  # noqa: E731
    add("Inf against -Inf", NO_NUMBERS, partial(write, opposite, 16_000, "WAV", "FLOAT", "clip.wav"))
    flat = np.ones((16_000, 1), np.float32)
    t = np.arange(16_000)[:, None] / 16_000
    noise = np.random.default_rng(0).standard_normal((16_000, 1)).astype(np.float32)
    for name, samples, expect in (
        ("digital silence", 0 * flat, SILENT),
        ("a peak of -61 dB", 0.0009 * np.sin(2 * np.pi * 300 * t), SILENT),
        ("a peak of -59 dB", 0.0012 * np.sin(2 * np.pi * 300 * t), NOBODY),
        ("a constant", 0.5 * flat, SILENT),
        ("clipped speech", np.clip(50 * voice(), -1, 1), ANSWER),
        ("white noise", 0.1 * noise, NOBODY),
        ("a pure tone", 0.5 * np.sin(2 * np.pi * 440 * t), NOBODY),
        ("a square wave", np.sign(np.sin(2 * np.pi * 100 * t)), NOBODY),
        ("one click", np.eye(16_000, 1, -8_000), NOBODY),
        ("16-bit numbers as floats", 32_768 * voice(), ANSWER),
        ("opposite channels", voice() * [1, -1], SILENT),
    ):
        make = partial(write, partial(np.asarray, samples), 16_000, "WAV", "FLOAT", "clip.wav")
        add(name, expect, make)
    add("music", ANSWER, partial(write, music, 44_100, "WAV", "PCM_16", "clip.wav"))

    # Damage
    lossy = {
        c: encoded(voice(2.0, 48_000), 48_000, *c.split()) for c in ("OGG VORBIS", "OGG OPUS", "FLAC PCM_16")
    }
    add("truncated WAV", ANSWER, partial(put, WAV[: len(WAV) // 2], "clip.wav"))
    add("WAV header alone", TOO_SHORT, partial(put, WAV[:44], "clip.wav"))
    add("half a WAV header", NO_SOUND, partial(put, WAV[:20], "clip.wav"))
    for name, content in lossy.items():
        add(f"truncated {name}", ANSWER, partial(put, content[: len(content) * 3 // 4], "clip.bin"))
        add(f"{name}, header alone", f"{NO_SOUND}|{TOO_SHORT}", partial(put, content[:120], "clip.bin"))
        add(
            f"{name}, 1 % of bytes wrong",
            f"{ANSWER}|{NO_SOUND}|{TOO_SHORT}",
            partial(spread_damage, content, 0.01, "c"),
        )
    add("WAV says 2 GB", ANSWER, partial(header_says, 40, 2**31))
    add("WAV says 4 GB", ANSWER, partial(header_says, 40, -1))
    add("WAV says 0 bytes", ANSWER, partial(header_says, 40, 0))
    add("WAV says odd size", ANSWER, partial(header_says, 40, 12_345))
    add("RIFF says 0 bytes", ANSWER, partial(header_says, 4, 0))
    add("WAV says 2^32 - 1 Hz", "The sampling rate is|cannot be read", partial(header_says, 24, -1))
    add("WAV says 0 Hz", "The sampling rate is 0 Hz|cannot be read", partial(header_says, 24, 0))
    add("WAV says format 0", NO_SOUND, partial(header_says, 20, 0x10000))
    add("40 MB of zeros behind a header", f"{ANSWER}|{SILENT}", partial(sparse, 40 << 20))
    add("4 GB of nothing behind a header", f"{TOO_LONG}|{SILENT}", partial(sparse, 4 << 30))
    add("FLAC named .mp3", ANSWER, partial(put, lossy["FLAC PCM_16"], "clip.mp3"))
    add("WAV named .txt", ANSWER, partial(put, WAV, "clip.txt"))
    add("WAV without a suffix", ANSWER, partial(put, WAV, "clip"))
    add("0 bytes", "is empty (0 bytes)", partial(put, b"", "clip.wav"))
    add("1 byte", NO_SOUND, partial(put, b"R", "clip.wav"))
    add("text", NO_SOUND, partial(put, b"not a sound\n" * 100, "clip.wav"))
    add("HTML", NO_SOUND, partial(put, b"<!doctype html><script>alert(1)</script>", "clip.wav"))
    add("JSON", NO_SOUND, partial(put, b'{"audio": [0, 1]}', "clip.wav"))
    add("a zip of 50 MB of zeros", NO_SOUND, zipped)
    add("random bytes", NO_SOUND, partial(put, np.random.default_rng(0).bytes(100_000), "clip.wav"))
    add("zeros", NO_SOUND, partial(put, bytes(1 << 20), "clip.wav"))
    add(
        "an MP3 frame alone",
        f"{NO_SOUND}|{TOO_SHORT}",
        partial(put, b"\xff\xfb\x90\x00" + bytes(413), "clip.mp3"),
    )
    add(
        "ID3 that says 256 MB",
        NO_SOUND,
        partial(put, b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(99), "clip.mp3"),
    )
    add("a link to a recording", ANSWER, partial(link, "target.wav"))
    add("a link to itself", "cannot be opened", partial(link, "link.wav"))
    add("a link to nothing", "does not exist", partial(link, "nowhere.wav"))
    add("a link to endless zeros", "is not a file", partial(link, "/dev/zero"))
    add("a pipe", "is not a file", pipe)
    add("a folder", "is not a file", lambda folder: folder)
    add("an unreadable file", "cannot be opened", unreadable)

    # Names
    add("a path that climbs out", "does not exist", lambda folder: folder / "../../../nowhere/passwd.wav")
    add("a name with a newline", ANSWER, partial(put, WAV, "two\nlines.wav"))
    add(
        "a missing name with a newline",
        "'twolines.wav' does not exist",
        lambda folder: folder / "two\nlines.wav",
    )
    add("a name with emoji", ANSWER, partial(put, WAV, "🎤 ٣ – ø.wav"))
    add("a name of 255 bytes", ANSWER, partial(put, WAV, "x" * 251 + ".wav"))
    add("a name of 300 bytes", "cannot be opened", lambda folder: folder / ("x" * 296 + ".wav"))
    add("a name that is no text", ANSWER, lambda f: put(WAV, os.fsdecode(b"\xff\xfe.wav"), f))
    add("a name with markup", "does not exist", lambda folder: folder / "<script>alert(1)</script>.wav")
    add("a name with a zero byte", "cannot be opened", lambda folder: f"{folder}/a\0b.wav")
    add("a name like an option", ANSWER, partial(put, WAV, "--help.wav"))
    add("an empty name", "is not a file|does not exist", lambda folder: "")
    return found
