"""What libsndfile cannot read goes to FFmpeg's libraries, behind the same limits; the sentence has the true reason."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from speechprompt.audio import libav
from speechprompt.audio import load as audio
from speechprompt.audio.headers import SoundFile
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.request_time import time_limit
from tests.sound_files import TONE, by_ffmpeg, by_libsndfile, refused_of_damaged, tone

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
KINDS = {  # who writes it -> container, codec, rate, through a pipe, options
    "voice memo, AAC in m4a": ("ipod", "aac", 44_100, False, {}),
    "ALAC in m4a": ("ipod", "alac", 44_100, False, {}),
    "Safari's MediaRecorder, fragmented mp4": ("mp4", "aac", 48_000, True, FRAGMENTS),
    "Chrome's MediaRecorder, webm without length": ("webm", "libopus", 48_000, True, {}),
    "webm": ("webm", "libopus", 48_000, False, {}),
    "Firefox's MediaRecorder, Ogg": ("ogg", "libopus", 48_000, True, {}),
    "Ogg FLAC": ("ogg", "flac", 16_000, False, {}),
    "Ogg FLAC through a pipe": ("ogg", "flac", 16_000, True, {}),
    "FLAC through a pipe": ("flac", "flac", 16_000, True, {}),
    "MP3 through a pipe": ("mp3", "libmp3lame", 16_000, True, {}),
    "WAV through a pipe": ("wav", "pcm_s16le", 16_000, True, {}),
    "Wave64 through a pipe": ("w64", "pcm_s16le", 16_000, True, {}),
    "AIFF through a pipe": ("aiff", "pcm_s16be", 16_000, True, {}),
    "AU through a pipe": ("au", "pcm_s16be", 16_000, True, {}),
    "AMR": ("amr", "libopencore_amrnb", 8_000, False, {}),
    "AMR in 3gp": ("3gp", "libopencore_amrnb", 8_000, False, {}),
    "WMA": ("asf", "wmav2", 44_100, False, {}),
    "WMA through a pipe": ("asf", "wmav2", 44_100, True, {}),
    "AAC without container": ("adts", "aac", 44_100, True, {}),
    "AAC in LATM": ("latm", "aac", 44_100, True, {}),
    "ALAC in CAF": ("caf", "alac", 44_100, False, {}),
    "WavPack": ("wv", "wavpack", 16_000, False, {}),
    "True Audio": ("tta", "tta", 16_000, False, {}),
    "G.722 in WAV": ("wav", "g722", 16_000, False, {}),
    "QuickTime": ("mov", "pcm_s16le", 44_100, False, {}),
    "FLAC in Matroska": ("matroska", "flac", 16_000, False, {}),
    "AC-3": ("ac3", "ac3", 44_100, True, {}),
    "MPEG transport stream": ("mpegts", "aac", 44_100, True, {}),
    "MP2": ("mp2", "mp2", 44_100, True, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_phones_browsers_and_messengers_write(kind: str, tmp_path: Path) -> None:
    container, codec, rate, pipe, options = KINDS[kind]
    bit_rate = {"b": "64000"} if codec == "wmav2" else {}
    content = by_ffmpeg(tone(rate), rate, container, codec, pipe, options, bit_rate)
    (tmp_path / "no suffix tells").write_bytes(content)
    for source in (content, tmp_path / "no suffix tells"):
        waveform = audio.load(source)
        assert waveform.dtype == np.float32 and 0.95 <= len(waveform) / 16_000 <= 1.15
        middle = waveform[4_000:12_000]
        heard = np.abs(np.fft.rfft(middle * np.hanning(8_000))).argmax() * 2
        assert abs(heard - TONE) < 10 and 0.35 < np.sqrt((middle**2).mean()) * 2**0.5 < 0.65


def test_a_video_gives_its_sound_and_only_that() -> None:
    content = by_ffmpeg(tone(44_100), 44_100, "mp4", "aac", video=True)
    assert 16_000 <= len(audio.load(content)) <= 16_800
    silent = io.BytesIO()
    with av.open(silent, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        output.mux(stream.encode(None))
    with pytest.raises(SpeechPromptError, match="holds pictures or data, but no sound"):
        audio.load(silent.getvalue())


@pytest.mark.parametrize("suffix", [".g722", ".G722"])
def test_a_file_without_header_is_read_by_its_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"call{suffix}"
    path.write_bytes(by_ffmpeg(tone(16_000), 16_000, "g722", "g722"))
    assert len(audio.load(path)) == 16_000
    path.write_text("<html>log in</html>")
    with pytest.raises(SpeechPromptError, match="it is a web page"):
        audio.load(path)


def test_a_change_of_rate_within_a_file_loses_nothing() -> None:
    two = [by_ffmpeg(tone(rate), rate, "adts", "aac") for rate in (44_100, 22_050)]
    assert 2.0 <= len(audio.load(two[0] + two[1])) / 16_000 <= 2.2


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("webm", "libopus"), ("adts", "aac")])
def test_a_cut_file_gives_what_is_there(container: str, codec: str) -> None:
    content = by_ffmpeg(tone(48_000, 2.0), 48_000, container, codec, pipe=True)
    assert 0.9 <= len(audio.load(content[: len(content) * 6 // 10])) / 16_000 <= 1.3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (by_ffmpeg(tone(44_100), 44_100, "ipod", "aac")[:5_000], "its index is missing"),
        (b"<!DOCTYPE html>\n<html><body>log in</body></html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 32044\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(100), "it is a zip file; unpack it"),
        (b"%PDF-1.7\n" + bytes(100), "it is a PDF"),
        ("naïve text\n".encode() * 200, "it is a text"),
        (b'{"audio": [0, 1]}', "it is a text"),
        (bytes(5_000), "it begins with zeros"),
        (np.random.default_rng(0).bytes(5_000), "it has no header"),
        (
            by_libsndfile(tone(48_000), 48_000, "OGG", "OPUS")[:600],
            "begins like Ogg, but is damaged, cut off",
        ),
    ],
)
def test_the_sentence_gives_the_true_reason(content: bytes, reason: str) -> None:
    with pytest.raises(SpeechPromptError) as caught:
        audio.load(content)
    sentence = str(caught.value)
    assert sentence.startswith("The file cannot be read as sound: ") and reason in sentence
    assert "\n" not in sentence and sentence.endswith(".") and sentence.count(".") <= 2


@pytest.mark.parametrize(
    "front",
    [bytes(2_048), bytes(100_000), b"\x13junk" * 80, b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(2_048)],
)
def test_an_mp3_is_found_behind_what_is_in_front_of_it(front: bytes) -> None:
    content = by_ffmpeg(tone(16_000), 16_000, "mp3", "libmp3lame", pipe=True)
    assert 1.0 <= len(audio.load(front + content[content.index(b"\xff\xf3") :])) / 16_000 <= 1.15


def test_the_sentence_about_a_flac_does_not_advise_flac() -> None:
    content = by_libsndfile(tone(16_000), 16_000, "FLAC", "PCM_16")
    with pytest.raises(SpeechPromptError, match="cannot be read as sound") as caught:
        audio.load(content[:60] + bytes(200))
    assert "use" not in str(caught.value) and "convert" not in str(caught.value)


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "m3u8 behind a mark": "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {0}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{0}</BaseURL></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_no_other_file(kind: str, tmp_path: Path, monkeypatch) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(by_libsndfile(tone(16_000), 16_000, "WAV", "PCM_16"))
    content = PLAYLISTS[kind].format(secret).encode()
    with pytest.raises(SpeechPromptError, match="cannot be read as sound"):
        audio.load(content)
    asked = []
    monkeypatch.setattr(libav, "no_other_file", lambda *args: asked.append(args))
    with pytest.raises(libav.UnreadableError):  # whoever comes past the reasons meets the list of formats
        libav.decode(SoundFile(io.BytesIO(content)), "", 60.0)
    assert not asked


def test_kinds_that_name_other_files_or_devices_are_not_listed() -> None:
    listed = set(libav.allowed()["format_whitelist"].split(","))
    assert not listed & {
        "hls",
        "concat",
        "sdp",
        "rtsp",
        "rtp",
        "dash",
        "image2",
        "lavfi",
        "alsa",
        "tee",
        "sap",
        "webm_dash_manifest",
    }
    assert all(name in str(av.formats_available) for name in listed)
    assert set(libav.CODECS.split(",")) - {"libopus"} <= set(av.codecs_available)  # other builds have that


def test_a_format_or_codec_that_is_not_listed_is_not_opened(monkeypatch) -> None:
    content = by_ffmpeg(tone(44_100), 44_100, "adts", "aac")
    assert len(audio.load(content))
    for name in ("FORMATS", "CODECS"):
        with monkeypatch.context() as patch:
            libav.allowed.cache_clear()
            patch.setattr(libav, name, "wav,pcm_s16le")
            with pytest.raises(SpeechPromptError, match="cannot be read as sound"):
                audio.load(content)
    libav.allowed.cache_clear()


def test_limits_are_those_of_the_first_decoder(monkeypatch) -> None:
    long = by_ffmpeg(np.zeros(8_000 * 61, np.float32), 8_000, "tta", "tta")

    def decoding(*_: object) -> None:
        raise AssertionError("the recording was decoded")

    with monkeypatch.context() as patch:
        patch.setattr(libav, "frames", decoding)
        with pytest.raises(SpeechPromptError, match=r"61\.0 s long and the limit is 60 s"):
            audio.load(long)
    endless = by_ffmpeg(np.zeros(48_000 * 90, np.float32), 48_000, "adts", "aac", pipe=True)
    seen = []
    kept = libav.samples_of
    monkeypatch.setattr(libav, "samples_of", lambda frame: seen.append(frame.samples) or kept(frame))
    with pytest.raises(SpeechPromptError, match="the limit is 60 s"):
        audio.load(endless)
    assert sum(seen) < 48_000 * 61
    with pytest.raises(SpeechPromptError, match=r"0\.0\d+ s long; at least 0\.1 s"):
        audio.load(by_ffmpeg(tone(16_000, 0.05), 16_000, "wv", "wavpack"))
    with pytest.raises(SpeechPromptError, match="The sampling rate is 7000 Hz"):
        audio.load(by_ffmpeg(tone(7_000), 7_000, "wv", "wavpack"))


def test_packets_are_counted_and_time_is_looked_at_between_them(monkeypatch) -> None:
    content = by_ffmpeg(tone(44_100), 44_100, "adts", "aac")
    with monkeypatch.context() as patch:
        patch.setattr(libav, "MOST_PACKETS", 10)
        with pytest.raises(SpeechPromptError, match="more pieces of sound than a recording can have"):
            audio.load(content)
    with time_limit(0.0), pytest.raises(SpeechPromptError, match="took longer"):
        audio.load(content)


def test_damage_anywhere_gives_sound_or_one_sentence() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for container, codec in (("ipod", "aac"), ("webm", "libopus"), ("wv", "wavpack"), ("caf", "alac")):
        content = by_ffmpeg(tone(48_000), 48_000, container, codec)
        refused += refused_of_damaged(content, 15, rng)
    assert refused > 0


def test_ffmpeg_prints_nothing_and_is_loaded_when_it_is_needed(tmp_path: Path) -> None:
    content = by_ffmpeg(tone(44_100), 44_100, "ipod", "aac")
    (tmp_path / "cut.m4a").write_bytes(content[: len(content) // 2])
    (tmp_path / "memo.m4a").write_bytes(content)
    (tmp_path / "clip.wav").write_bytes(by_libsndfile(tone(16_000), 16_000, "WAV", "PCM_16"))
    program = (
        "import sys\nfrom speechprompt.audio.load import load\nfrom speechprompt.errors import SpeechPromptError\n"
        "load('clip.wav')\nassert 'av' not in sys.modules\nload('memo.m4a')\n"
        "try:\n    load('cut.m4a')\nexcept SpeechPromptError:\n    print('refused')\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n", "")
