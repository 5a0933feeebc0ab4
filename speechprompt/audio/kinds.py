"""Which files are recordings, by how they begin or are named: the one list of kinds."""

from __future__ import annotations

import stat
from pathlib import Path, PurePath

HEAD_BYTES = 1024  # of a file, which show what it is

# How names of recordings end: what a file chooser offers. A file named so that is no recording is refused
# with the reason, one that is named otherwise is a recording by how it begins.
SUFFIXES = (
    *(
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".m4a",
        ".mp4",
        ".aac",
        ".webm",
        ".mka",
        ".mkv",
        ".mov",
    ),
    *(
        ".3gp",
        ".3g2",
        ".amr",
        ".wma",
        ".caf",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".w64",
        ".rf64",
        ".wv",
    ),
    *(".tta", ".ape", ".mp2", ".ac3", ".spx", ".gsm", ".g722", ".sln", ".sph", ".voc", ".8svx"),
)
KINDS = {  # first bytes -> what begins so
    b"RIFF": "WAV",
    b"RIFX": "WAV",
    b"RF64": "WAV",
    b"riff": "Wave64",
    b"FORM": "AIFF",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"caff": "CAF",
    b".snd": "AU",
    b"#!AMR": "AMR",
    b"\x1aE\xdf\xa3": "WebM",
    b"0&\xb2u\x8ef\xcf\x11": "WMA",
    b"MAC ": "Monkey's Audio",
    b"wvpk": "WavPack",
    b"TTA1": "True Audio",
    b"NIST_1A": "NIST SPHERE",
    b"Creative Voice File": "Creative Voice",
}
CONTAINERS = {b"RIFF": (b"WAVE", b"AVI "), b"RIFX": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC", b"8SVX")}
PICTURES = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ")


def kind(head: bytes) -> str:
    """What kind of recording begins so, "" where none is known to."""
    if head[4:8] == b"ftyp":
        return "" if head[8:12] in PICTURES else "m4a or mp4"
    for beginning, name in KINDS.items():
        if head.startswith(beginning):
            return name if head[8:12] in CONTAINERS.get(beginning, (head[8:12],)) else ""
    if len(head) > 3 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:
            return "AAC"
        # A frame of MPEG layer 2 or 3 whose version, bit rate and rate are ones that there are
        if head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08 and head[1] & 0x06 in (0x02, 0x04):
            return "MP3" if head[2] >> 4 not in (0, 15) and head[2] & 0x0C != 0x0C else ""
    return ""


def named_as_recording(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def is_hidden(path: PurePath) -> bool:
    """Whether a path is one that systems keep beside the files: `._x.wav`, `.DS_Store`, `__MACOSX/...`."""
    return any(
        (part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in path.parts
    )


def is_recording(path: Path) -> bool:
    """Whether a file is a recording by its name or by how it begins; no pipe is waited for."""
    if named_as_recording(path.name):
        return True
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return bool(kind(file.read(HEAD_BYTES)))
    except (OSError, ValueError):
        return False
