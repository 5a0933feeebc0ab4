"""Recordings in blocks: the same sound as at once, the same refusals, and where a file that was cut off ends."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechprompt.audio.load import load
from speechprompt.audio.sound_stream import SoundStream, clock
from speechprompt.errors import SpeechPromptError
from tests.sound_files import by_ffmpeg, by_libsndfile, tone

RATE = 16_000


def whole(source: object, **options: float) -> tuple[np.ndarray, SoundStream]:
    stream = SoundStream(source, **options)  # type: ignore[arg-type]
    return np.concatenate(list(stream)), stream


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_blocks_are_the_sound_that_is_decoded_at_once(kind: tuple[str, str], rate: int) -> None:
    if kind[0] == "OGG" and rate == 44_100:
        rate = 22_050
    content = by_libsndfile(tone(rate, 5.03), rate, *kind)
    found, stream = whole(content)
    expected = load(content)
    # FFmpeg keeps what fills the last packet of Vorbis
    assert abs(len(found) - len(expected)) <= (0.04 * RATE if kind[0] == "OGG" else 1) and not stream.notice
    n = min(len(found), len(expected)) - (RATE // 100 if kind[0] == "OGG" else 0)
    # FFmpeg and libsndfile decode Vorbis a little differently
    np.testing.assert_allclose(found[:n], expected[:n], atol=1e-3 if kind[0] == "OGG" else 5e-5)
    assert stream.seconds == pytest.approx(5.03, abs=0.04)


@pytest.mark.parametrize(
    ("container", "codec", "pipe"),
    [
        ("ipod", "aac", False),
        ("webm", "libopus", True),
        ("mp3", "libmp3lame", True),
        ("wav", "pcm_s16le", True),
    ],
)
def test_what_phones_and_browsers_write_is_read_to_its_end(container: str, codec: str, pipe: bool) -> None:
    rate = 48_000 if codec == "libopus" else 44_100
    content = by_ffmpeg(tone(rate, 4.0), rate, container, codec, pipe, {}, {})
    found, stream = whole(content)
    assert len(found) / RATE == pytest.approx(4.0, abs=0.1) and not stream.notice


@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16")])
def test_a_file_cut_in_the_middle_gives_what_is_there_and_says_where_it_ends(kind: tuple[str, str]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * RATE).astype(np.float32)
    content = by_libsndfile(noise, RATE, *kind)
    found, stream = whole(content[: len(content) // 2])
    assert len(found) / RATE == pytest.approx(10, abs=0.5)
    np.testing.assert_allclose(found[: 9 * RATE], noise[: 9 * RATE], atol=1e-3)
    assert stream.total == pytest.approx(20, abs=0.1)
    assert (
        stream.notice.startswith("The file ") and "0:00:09" in stream.notice
    ) or "0:00:10" in stream.notice


def test_arrays_of_any_length_are_given_in_order() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 90 * RATE).astype(np.float32)
    found, stream = whole((RATE, noise))
    np.testing.assert_array_equal(found, noise)
    assert stream.total == stream.seconds == 90


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04" + bytes(2000), "zip file"),
        (b"only words " * 200, "it is a text"),
        (bytes(4000), "begins with zeros"),
        (None, "There is no recording"),
        (7, "must be a file path"),
    ],
)
def test_what_is_no_recording_is_refused_at_once(content: object, sentence: str) -> None:
    with pytest.raises(SpeechPromptError, match=sentence):
        SoundStream(content)  # type: ignore[arg-type]


def test_bad_samples_are_named_by_their_time_after_what_came_before() -> None:
    sound = np.zeros(50 * RATE, np.float32)
    sound[40 * RATE] = np.nan
    stream, given = SoundStream(by_libsndfile(sound, RATE, "WAV", "FLOAT")), 0
    with pytest.raises(SpeechPromptError, match=r"not numbers \(NaN or Inf\) at 0:00:3"):
        for block in stream:
            given += len(block)
    assert given >= 30 * RATE


def test_too_long_and_too_short_recordings_are_refused(tmp_path: Path) -> None:
    long = by_libsndfile(np.zeros(30 * RATE, np.float32), RATE, "WAV", "PCM_16")
    with pytest.raises(SpeechPromptError, match="30.0 s long and the limit is 20 s"):
        SoundStream(long, 20)
    hidden = by_ffmpeg(
        tone(48_000, 30.0), 48_000, "webm", "libopus", True, {}, {}
    )  # its header has no length
    with pytest.raises(SpeechPromptError, match="limit is 20 s"):
        list(SoundStream(hidden, 20))
    with pytest.raises(SpeechPromptError, match=r"at least 0.1 s is needed"):
        list(SoundStream(by_libsndfile(np.zeros(800, np.float32), RATE, "WAV", "PCM_16")))
    with pytest.raises(SpeechPromptError, match="does not exist"):
        SoundStream(tmp_path / "no.wav")


def test_the_file_is_closed_at_the_end_and_by_who_stops_before(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(30 * RATE, np.float32), RATE)
    for stop in (False, True):
        stream = SoundStream(path)
        file = stream._file
        assert file is not None
        for _ in stream:
            if stop:
                break
        stream.close()
        assert file.closed


def test_memory_does_not_grow_with_the_recording() -> None:
    """Blocks are small, however long the sound is."""
    content = io.BytesIO()
    soundfile.write(content, np.zeros(600 * RATE, np.float32), RATE, format="FLAC")
    sizes = [len(block) for block in SoundStream(content.getvalue())]
    assert max(sizes) < 20 * RATE and sum(sizes) == 600 * RATE


def test_times_are_clocks() -> None:
    assert [clock(s) for s in (0, 61.26, 3600, 36_000.04)] == [
        "0:00:00.0",
        "0:01:01.2",
        "1:00:00.0",
        "10:00:00.0",
    ]
