"""Any recording becomes the same waveform, or one clear sentence; nothing hangs or fills the memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from tests.sound_files import TONE, by_libsndfile, refused_of_damaged


def tone(rate: int, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * TONE * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def assert_is_tone(waveform: np.ndarray, seconds: float = 0.5, level: float = 0.5) -> None:
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert abs(len(waveform) - seconds * 16_000) <= 0.15 * 16_000 * seconds  # MP3 pads
    middle = waveform[len(waveform) // 4 : 3 * len(waveform) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() * 16_000 / len(middle) - TONE) < 10
    assert np.abs(middle).max() == pytest.approx(level, rel=0.06)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_wav_subtype(subtype: str) -> None:
    assert_is_tone(audio.load(by_libsndfile(tone(16_000), 16_000, "WAV", subtype)))


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
)
def test_every_container(container: str, subtype: str) -> None:
    assert_is_tone(audio.load(by_libsndfile(tone(48_000), 48_000, container, subtype)))


@pytest.mark.parametrize("seconds", [0.12, 0.2, 0.3])
@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
)
def test_short_recordings_are_read_from_every_container(container: str, subtype: str, seconds: float) -> None:
    content = by_libsndfile(tone(48_000, seconds), 48_000, container, subtype)
    assert abs(len(audio.load(content)) / 16_000 - seconds) < 0.02


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate(rate: int) -> None:
    assert_is_tone(audio.load((rate, tone(rate))))


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_averaged(channels: int) -> None:
    spread = np.stack([tone(16_000) * (i + 1) for i in range(channels)], axis=1) / channels
    loaded = audio.load((16_000, spread))
    np.testing.assert_allclose(loaded, spread.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(audio.load(by_libsndfile(spread, 16_000, "WAV", "DOUBLE")), loaded, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float32", "float64", "uint8", "uint16"])
def test_arrays_are_scaled_by_their_type(dtype: str) -> None:
    samples = tone(16_000).astype(np.float64)
    if not dtype.startswith("float"):
        top = 2 ** (8 * np.dtype(dtype).itemsize - 1)
        samples = (samples * (top - 1) + (top if dtype.startswith("u") else 0)).astype(dtype)
    assert_is_tone(audio.load((16_000, samples.astype(dtype))))


def test_path_bytes_and_array_agree(tmp_path) -> None:
    content = by_libsndfile(tone(16_000), 16_000, "WAV", "FLOAT")
    path = tmp_path / "ton – 🎤.wav"
    path.write_bytes(content)
    for source in (path, str(path), content):
        np.testing.assert_array_equal(audio.load(source), tone(16_000))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "no recording"),
        (b"", "empty"),
        (b"just some text\n" * 50, "cannot be read as sound"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "cannot be read as sound"),
        (7, "file path, bytes"),
        ("nowhere.wav", "'nowhere.wav' does not exist"),
        ("a\0b.wav", "cannot be opened"),
        ((16_000, np.zeros(1_599)), "0.0999 s long; at least 0.1 s"),
        ((16_000, np.zeros(0)), "0.00 s long"),
        ((16_000, np.zeros(16_000 * 60 + 1)), "limit is 60 s"),
        ((16_000, np.zeros((16_000, 9))), "9 channels"),
        ((16_000, np.zeros((16_000, 0))), "0 channels"),
        ((7_999, np.zeros(16_000)), "7999 Hz"),
        ((192_001, np.zeros(192_001)), "192001 Hz"),
        ((16_000.5, np.zeros(16_000)), "whole number of Hz"),
        ((16_000, np.array(["a", "b"])), "must be numbers"),
        ((16_000, np.full(16_000, np.nan)), "not numbers"),
        ((16_000, np.r_[np.zeros(16_000), np.inf]), "not numbers"),
        ((16_000, np.full(16_000, 1e300)), "not numbers"),
    ],
)
def test_bad_input_gets_one_sentence(source: object, message: str) -> None:
    with pytest.raises(SpeechPromptError) as caught:
        audio.load(source)
    sentence = str(caught.value)
    assert message in sentence and "\n" not in sentence and sentence.endswith(".")


def test_nan_in_a_file_is_found() -> None:
    samples = tone(16_000)
    samples[100] = np.nan
    with pytest.raises(SpeechPromptError, match="not numbers"):
        audio.load(by_libsndfile(samples, 16_000, "WAV", "FLOAT"))


def test_directories_and_pipes_do_not_hang(tmp_path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(SpeechPromptError, match="is not a file"):
            audio.load(path)


def test_errors_do_not_tell_where_files_lie(tmp_path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("no sound at all")
    with pytest.raises(SpeechPromptError) as caught:
        audio.load(path)
    assert str(tmp_path) not in str(caught.value)


def test_long_recordings_are_refused_before_they_are_decoded(monkeypatch) -> None:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 48_000, 1, format="OGG", subtype="OPUS") as sound:
        for _ in range(20):
            sound.write(np.zeros(48_000 * 60, dtype=np.float32))

    def decoding(*_: object, **__: object) -> None:
        raise AssertionError("the recording was decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", decoding)
    with pytest.raises(SpeechPromptError, match=r"1200\.0 s long and the limit is 60 s"):
        audio.load(file.getvalue())


def test_a_header_that_lies_about_the_length_does_not_matter() -> None:
    content = bytearray(by_libsndfile(tone(16_000), 16_000, "WAV", "PCM_16"))
    content[40:44] = (2**31).to_bytes(4, "little")
    assert_is_tone(audio.load(bytes(content)))


@pytest.mark.parametrize(("container", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_damage_anywhere_gives_sound_or_one_sentence(container: str, subtype: str) -> None:
    content = by_libsndfile(tone(48_000), 48_000, container, subtype)
    assert refused_of_damaged(content, 40, np.random.default_rng(0)) > 0


def test_a_truncated_file_gives_what_is_there() -> None:
    content = by_libsndfile(tone(16_000, 1.0), 16_000, "WAV", "PCM_16")
    assert_is_tone(audio.load(content[: len(content) // 2]))


def test_a_large_constant_is_taken_off_and_a_small_one_left() -> None:
    sound = tone(16_000)
    for offset in (0.1, -0.4):
        np.testing.assert_allclose(audio.load((16_000, sound + np.float32(offset))), sound, atol=1e-4)
    moved = sound + np.float32(0.02)
    np.testing.assert_array_equal(audio.load((16_000, moved)), moved)
    loud = 32_768 * sound + np.float32(1.0)  # 16-bit numbers as floats
    np.testing.assert_array_equal(audio.load((16_000, loud)), loud)


def test_decoding_and_resampling_need_no_torch() -> None:
    code = (
        "import sys, numpy\nfrom speechprompt.audio.clips import decode\n"
        "assert len(decode((44_100, numpy.zeros(44_100, 'f4')))) == 16_000 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
