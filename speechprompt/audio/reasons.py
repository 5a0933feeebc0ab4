"""Why a file cannot be read as sound, by how it begins: what it is instead, or what is missing in it."""

from __future__ import annotations

from speechprompt.audio.kinds import HEAD_BYTES, kind
from speechprompt.errors import SpeechPromptError

UNREADABLE = "The file cannot be read as sound: "  # how every such sentence begins
OTHERS = {  # first bytes -> what it is instead, and what to do
    b"version https://git-lfs": "it is a pointer of Git LFS; fetch the recording itself with git lfs pull",
    b"PK\x03\x04": "it is a zip file; unpack it and choose a recording in it",
    b"\x1f\x8b": "it is compressed with gzip; unpack it first",
    b"%PDF": "it is a PDF document; choose a recording",
    b"\x89PNG": "it is a picture; choose a recording",
    b"\xff\xd8\xff": "it is a picture; choose a recording",
    b"GIF8": "it is a picture; choose a recording",
    b"MThd": "it is MIDI, which holds notes and no sound; export it as WAV",
    b"#EXTM3U": "it is a playlist, which names other files; choose a recording itself",
    b"v=0": "it describes a stream and holds no sound; choose a recording",
    b"ffconcat": "it is a playlist, which names other files; choose a recording itself",
    b"[playlist]": "it is a playlist, which names other files; choose a recording itself",
    b"\x00\x05\x16\x07": "it is what macOS keeps about another file; choose the recording itself",
    b"PAR1": "it is a parquet file; choose a recording",
}


class UnreadableError(Exception):
    """A decoder cannot read the file, or not to its end: the reason in half a sentence, "" where it gives none."""


def unreadable(head: bytes, reason: str = "") -> SpeechPromptError:
    """The sentence about a file whose first HEAD_BYTES these are; reason: the last decoder's."""
    return SpeechPromptError(f"{UNREADABLE}{instead(head) or text(head) or reason or damaged(head)}.")


def instead(head: bytes) -> str:
    """What the file is, where it is surely no recording, and what to do; else ""."""
    return next((what for beginning, what in OTHERS.items() if head.startswith(beginning)), "")


def text(head: bytes) -> str:
    """What the file is, where it begins as a text, and what to do; else "". An MP3 may stand behind one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return "it is a web page, as comes where a download needs a login; download the recording itself"
    return "it is a text; choose a recording" if len(head) > 4 and is_text(head) else ""


def is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < HEAD_BYTES - 3:  # else a letter is cut in two
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def damaged(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "it begins with zeros and no sound is found behind them; copy it again"
    found = kind(head)
    if found == "m4a or mp4":
        return (
            "it begins like m4a or mp4, but its index is missing, as in one that was cut off; "
            "export or send it again"
        )
    if found:
        return (
            f"it begins like {found}, but is damaged, cut off or of a kind that no decoder here reads; "
            "export it again"
        )
    return (
        "it has no header that says how its sound is stored, or of a kind that no decoder here reads; "
        "export it as WAV, FLAC, Ogg, Opus, MP3 or m4a"
    )
