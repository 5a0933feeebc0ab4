"""Headers that lie about how much sound a file holds, so that what follows would be left out.

Recorders that are cut off, and programs that write into a pipe, leave a size of 0, of 0xFFFFFFFF or one of
long ago in the header of a WAV: it is put right here. Files joined to one, of which decoders would give the
first alone, are refused.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from speechprompt.errors import SpeechPromptError

JOINED = "The file holds several recordings one behind the other: export them as one, or use one at a time."
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # what programs put behind the sound
MOST_CHUNKS = 1000
RIFF_HEADER, CHUNK_HEADER = 12, 8  # bytes
LARGEST = 0xFFFFFFFF
PIPED = 0x7FFFF000  # sizes from here on are what programs write that cannot know them
BLOCK, MOST_ZEROS = 1 << 16, 64 << 20  # bytes
FARTHEST = (1 << 62) - 1  # that a file can be asked for


class SoundFile:
    """A file as decoders read it: one whose size in the header is put right, and that never raises.

    A damaged header may send a decoder to before the beginning; it stays where it is then. An exception would
    be printed from within its callback, traceback and all.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        check_single_mp4(file, self.size)
        self._patches = patches(file, self.size)
        self.missing = promised(file, self.size)
        file.seek(0)

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self.size}.get(whence, 0)
        if 0 <= base + offset <= FARTHEST:
            self.file.seek(base + offset)
        return self.file.tell()

    def read(self, n: int = -1) -> bytes:
        at = self.file.tell()
        content = self.file.read(n)
        for start, right in self._patches:
            first, end = max(at, start), min(at + len(content), start + len(right))
            if first < end:
                content = content[: first - at] + right[first - start : end - start] + content[end - at :]
        return content

    def readinto(self, buffer: memoryview | bytearray) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def patches(file: BinaryIO, size: int) -> list[tuple[int, bytes]]:
    """Where the header of a WAV must read otherwise, and what: nothing where its bytes are used up.

    SpeechPromptError where a second WAV follows the first, which no decoder would reach.
    """
    file.seek(0)
    head = file.read(RIFF_HEADER)
    if head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
        return []
    order = "<" if head[:4] == b"RIFF" else ">"
    at = RIFF_HEADER
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        chunk = file.read(CHUNK_HEADER)
        if len(chunk) < CHUNK_HEADER:
            return []
        (length,) = struct.unpack(order + "I", chunk[4:])
        if chunk[:4] == b"data":
            break
        at += CHUNK_HEADER + length + length % 2
    else:
        return []
    start = at + CHUNK_HEADER
    if start + length >= size:  # decoders stop at the end of the file
        return []
    if follows_properly(file, start + length, size, order, zeros_too=length > 0):
        return []
    right = min(size - start, LARGEST)
    return [
        (4, struct.pack(order + "I", min(size - CHUNK_HEADER, LARGEST))),
        (at + 4, struct.pack(order + "I", right)),
    ]


def promised(file: BinaryIO, size: int) -> float:
    """How many times the sound that a WAV holds its header promises: more than 1 where the file was cut off.

    1 where that is not known: sizes that programs write into pipes promise nothing.
    """
    file.seek(0)
    head = file.read(RIFF_HEADER)
    if head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
        return 1.0
    order, at = "<" if head[:4] == b"RIFF" else ">", RIFF_HEADER
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        chunk = file.read(CHUNK_HEADER)
        if len(chunk) < CHUNK_HEADER:
            break
        (length,) = struct.unpack(order + "I", chunk[4:])
        at += CHUNK_HEADER
        if chunk[:4] == b"data":
            return length / (size - at) if 0 < size - at < length < PIPED else 1.0
        at += length + length % 2
    return 1.0


def follows_properly(file: BinaryIO, end: int, size: int, order: str, zeros_too: bool) -> bool:
    """Whether what follows the sound are chunks, tags or (zeros_too) zeros, and not more of the sound.

    SpeechPromptError where it is another WAV.
    """
    for at in {end, end + end % 2}:  # a chunk of odd length is padded, by most programs
        for _ in range(MOST_CHUNKS):
            if at >= size:
                break
            file.seek(at)
            head = file.read(RIFF_HEADER)
            if head[:4] in (b"RIFF", b"RIFX") and head[8:] == b"WAVE":
                raise SpeechPromptError(JOINED)
            if head.startswith(TAGS):
                return True
            if len(head) < CHUNK_HEADER or not all(32 <= byte < 127 for byte in head[:4]):
                if zeros_too and only_zeros(file, at):
                    return True
                break
            (length,) = struct.unpack(order + "I", head[4:CHUNK_HEADER])
            at += CHUNK_HEADER + length + length % 2
        if size <= at <= size + 1:
            return True
    return False


def only_zeros(file: BinaryIO, at: int) -> bool:
    """Whether zeros alone follow; no where there are more of them than anybody pads with."""
    file.seek(at)
    for _ in range(MOST_ZEROS // BLOCK):
        block = file.read(BLOCK)
        if block.count(0) != len(block):
            return False
        if not block:
            return True
    return False


def check_single_mp4(file: BinaryIO, size: int) -> None:
    """SpeechPromptError where a second m4a or mp4 follows the first, by its index."""
    at, indices = 0, 0
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or (at == 0 and head[4:8] != b"ftyp"):
            return
        length, first = int.from_bytes(head[:4], "big"), 8
        if length == 1:  # a large one has its size behind its name
            length, first = int.from_bytes(head[8:], "big"), 16
        indices += head[4:8] == b"moov"
        if indices > 1:
            raise SpeechPromptError(JOINED)
        if not first <= length <= size - at:
            return
        at += length
