"""A header that lies about the length loses nothing: all of the sound is answered, or one sentence says why not."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from tests.sound_files import by_ffmpeg, by_libsndfile, tone

RATE = 16_000
WAV = by_libsndfile(tone(RATE), RATE, "WAV", "PCM_16")
CHUNK = b"LIST" + struct.pack("<I", 8) + b"INFOabcd"


def sized(data: int, content: bytes = WAV) -> bytes:
    return content[:40] + struct.pack("<I", data) + content[44:]


@pytest.mark.parametrize("declared", [0, 1, 2, 12_345, 31_000, 32_001, 2**31, 2**32 - 2, 2**32 - 1])
def test_a_wav_is_read_to_its_end_whatever_size_it_says(declared: int) -> None:
    np.testing.assert_array_equal(audio.load(sized(declared)), audio.load(WAV))


def test_a_size_is_put_right_wherever_the_sound_begins(tmp_path) -> None:
    content = WAV[:36] + CHUNK + sized(0)[36:]
    np.testing.assert_array_equal(audio.load(content), audio.load(WAV))
    (tmp_path / "stream.wav").write_bytes(content)
    np.testing.assert_array_equal(audio.load(tmp_path / "stream.wav"), audio.load(WAV))


def test_a_size_is_put_right_for_the_second_decoder_too() -> None:
    content = by_ffmpeg(tone(RATE), RATE, "wav", "g722")
    at = content.index(b"data") + 4
    stream = content[:at] + bytes(4) + content[at + 4 :]
    np.testing.assert_array_equal(audio.load(stream), audio.load(content))


@pytest.mark.parametrize(
    "behind",
    [
        CHUNK,
        CHUNK + CHUNK,
        b"TAG" + bytes(125),
        b"APETAGEX" + bytes(50),
        b"ID3\x04" + bytes(90),
        bytes(5_000),
    ],
)
def test_what_programs_put_behind_the_sound_is_no_sound(behind: bytes) -> None:
    assert len(audio.load(WAV + behind)) == RATE


def test_a_sound_of_odd_length_may_be_padded_or_not() -> None:
    content = by_libsndfile(tone(RATE)[:-1], RATE, "WAV", "PCM_U8")
    content = content[:40] + struct.pack("<I", 15_999) + content[44 : 44 + 15_999]
    for behind in (b"\0" + CHUNK, CHUNK):
        assert len(audio.load(content + behind)) == 15_999


def test_an_empty_recording_is_called_short_and_not_filled_up() -> None:
    for content in (WAV[:44], sized(0, WAV[:44]) + CHUNK):
        with pytest.raises(SpeechPromptError, match=r"0\.00 s long"):
            audio.load(content)


@pytest.mark.parametrize("kind", ["wav", "mp4"])
def test_files_joined_to_one_are_refused_where_decoders_stop_at_the_first(kind: str) -> None:
    content = WAV if kind == "wav" else by_ffmpeg(tone(44_100), 44_100, "ipod", "aac")
    assert len(audio.load(content)) >= RATE
    with pytest.raises(SpeechPromptError, match="several recordings one behind the other"):
        audio.load(content + content)


def joined(kind: str) -> tuple[bytes, float]:
    """Two files one behind the other, and the seconds in them."""
    two = [tone(RATE, 1.0), tone(RATE, 1.5, frequency=1000.0)]
    if kind == "ogg opus":
        return b"".join(by_libsndfile(x, RATE, "OGG", "OPUS") for x in two), 2.5
    if kind == "flac":
        return b"".join(by_libsndfile(x, RATE, "FLAC", "PCM_16") for x in two), 2.5
    pipe = kind == "mp3 without xing"
    return b"".join(by_ffmpeg(x, RATE, "mp3", "libmp3lame", pipe=pipe) for x in two), 2.5


@pytest.mark.parametrize("kind", ["mp3", "mp3 without xing", "flac", "ogg opus"])
def test_joined_streams_are_read_to_the_end(kind: str) -> None:
    content, seconds = joined(kind)
    waveform = audio.load(content)
    assert seconds - 0.01 <= len(waveform) / RATE <= seconds + 0.2
    end = waveform[-RATE : -RATE // 2]
    heard = np.abs(np.fft.rfft(end * np.hanning(len(end)))).argmax() * RATE / len(end)
    assert abs(heard - 1000) < 20  # the second one


def test_an_mp3_of_changing_bit_rate_without_xing_frame_is_not_cut() -> None:
    quiet, loud = np.zeros(10 * RATE, np.float32), np.random.default_rng(0).standard_normal(2 * RATE) * 0.3
    sound = np.concatenate([loud.astype(np.float32), quiet])
    content = by_ffmpeg(sound, RATE, "mp3", "libmp3lame", pipe=True, codec_options={"qscale": "2"})
    content = content[content.index(b"\xff\xf3") :]
    assert 12.0 <= len(audio.load(content)) / RATE <= 12.2


def flac_of_length(samples: int, content: bytes) -> bytes:
    """Total samples of STREAMINFO: the last 36 bits of 8 bytes from byte 18."""
    (field,) = struct.unpack(">Q", content[18:26])
    return content[:18] + struct.pack(">Q", field >> 36 << 36 | samples) + content[26:]


@pytest.mark.parametrize("declared", [0, 4_000, 16_000, 20_000_000])
def test_a_flac_is_read_to_its_end_whatever_length_it_says(declared: int) -> None:
    content = by_libsndfile(tone(RATE), RATE, "FLAC", "PCM_16")
    waveform = audio.load(flac_of_length(declared, content))
    np.testing.assert_allclose(waveform, audio.load(content), atol=1e-4)


def test_the_limit_holds_where_the_header_says_less_or_nothing() -> None:
    hour = by_libsndfile(np.zeros(8_000 * 70, np.float32), 8_000, "FLAC", "PCM_16")
    for declared in (0, 8_000):
        with pytest.raises(SpeechPromptError, match="the limit is 60 s"):
            audio.load(flac_of_length(declared, hour))
    wav = by_libsndfile(np.zeros(8_000 * 70, np.float32) + 0.1, 8_000, "WAV", "PCM_16")
    with pytest.raises(SpeechPromptError, match=r"70\.0 s long and the limit is 60 s"):
        audio.load(sized(0, wav))


def test_a_file_of_a_million_chunks_ends_soon() -> None:
    class Counted(io.BytesIO):
        reads = 0

        def read(self, n: int | None = -1) -> bytes:
            self.reads += 1
            return super().read(n)

    from speechprompt.audio.headers import SoundFile

    for content in (WAV + b"abcd\0\0\0\0" * 1_000_000, b"RIFF\0\0\0\0WAVE" + b"abcd\0\0\0\0" * 1_000_000):
        file = Counted(content)
        SoundFile(file)
        assert file.reads < 10_000
