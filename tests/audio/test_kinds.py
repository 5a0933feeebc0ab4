"""What is a recording is seen by its content, by one list of names, and never by what systems keep beside it."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from speechprompt.audio.clips import FolderClips
from speechprompt.audio.kinds import SUFFIXES, is_hidden, is_recording, kind, named_as_recording
from speechprompt.errors import SpeechPromptError
from speechprompt.ui.teach.board import board
from tests.sound_files import by_ffmpeg, by_libsndfile, tone

WRITTEN = {
    "WAV": lambda: by_libsndfile(tone(16_000), 16_000, "WAV", "PCM_16"),
    "AIFF": lambda: by_libsndfile(tone(16_000), 16_000, "AIFF", "PCM_16"),
    "FLAC": lambda: by_libsndfile(tone(16_000), 16_000, "FLAC", "PCM_16"),
    "Ogg": lambda: by_libsndfile(tone(16_000), 16_000, "OGG", "OPUS"),
    "MP3": lambda: by_ffmpeg(tone(16_000), 16_000, "mp3", "libmp3lame", pipe=True),
    "m4a or mp4": lambda: by_ffmpeg(tone(44_100), 44_100, "ipod", "aac"),
    "WebM": lambda: by_ffmpeg(tone(48_000), 48_000, "webm", "libopus"),
    "AMR": lambda: by_ffmpeg(tone(8_000), 8_000, "amr", "libopencore_amrnb"),
    "AAC": lambda: by_ffmpeg(tone(44_100), 44_100, "adts", "aac"),
    "CAF": lambda: by_ffmpeg(tone(16_000), 16_000, "caf", "pcm_s16le"),
    "AU": lambda: by_libsndfile(tone(16_000), 16_000, "AU", "PCM_16"),
    "WavPack": lambda: by_ffmpeg(tone(16_000), 16_000, "wv", "wavpack"),
}
OTHERS = {
    "text": b"some words\n",
    "text in UTF-16": "some words".encode("utf-16"),
    "picture": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "picture of a phone": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
    "WebP": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    "zip": b"PK\x03\x04",
    "nothing": b"",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_recording_is_known_by_how_it_begins(name: str, tmp_path: Path) -> None:
    content = WRITTEN[name]()
    (tmp_path / "recording").write_bytes(content)
    found = kind(content[:64])
    assert (found in ("MP3", "ID3") if name == "MP3" else found == name) and is_recording(
        tmp_path / "recording"
    )


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_is_not(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OTHERS[name])
    assert not kind(OTHERS[name]) and not is_recording(tmp_path / "file")


def test_a_file_named_as_a_recording_is_one_so_that_its_reason_is_given(tmp_path: Path) -> None:
    for suffix in (".wav", ".M4A", ".webm"):
        (tmp_path / f"login{suffix}").write_text("<html>")
        assert named_as_recording(f"login{suffix}") and is_recording(tmp_path / f"login{suffix}")


def test_what_systems_keep_beside_recordings_is_hidden() -> None:
    for path in ("._yes.wav", "a/.DS_Store", "__MACOSX/yes/1.wav", ".trash/1.wav"):
        assert is_hidden(PurePosixPath(path))
    for path in ("yes.wav", "a/b.c/d.wav", "./yes.wav"):
        assert not is_hidden(PurePosixPath(path))


def test_a_folder_gives_every_recording_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "__MACOSX").mkdir()
    for name, make in WRITTEN.items():
        (tmp_path / f"{name}.bin").write_bytes(make())
    for path in ("._x.wav", "__MACOSX/x.wav", ".hidden.wav"):
        (tmp_path / path).write_bytes(WRITTEN["WAV"]())
    (tmp_path / "broken.wav").write_text("no sound")
    (tmp_path / "notes.txt").write_text("no sound")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to nowhere").symlink_to("nowhere")
    clips = FolderClips(tmp_path)
    assert list(clips.ids()) == sorted([*(f"{name}.bin" for name in WRITTEN), "broken.wav"])
    assert clips.left_out == 3
    for path in clips.paths:
        (tmp_path / path).unlink()
    with pytest.raises(SpeechPromptError, match="holds no sound files"):
        FolderClips(tmp_path)


def test_the_page_offers_the_same_list_of_names() -> None:
    assert {f".{suffix}" for suffix in board("").props["suffixes"].split("|")} == set(SUFFIXES)
