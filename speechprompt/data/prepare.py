"""A corpus as it is distributed -> one packed parquet file, a few recordings in memory at a time."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from speechprompt.audio.limits import MAX_SECONDS, SAMPLE_RATE
from speechprompt.audio.load import load
from speechprompt.data.corpora.source import Clip, on_disk, text_of
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import replaced_file

GROUP_BYTES = 16 << 20  # of sound in a row group, and so in memory
KEPT = (".wav", ".flac", ".ogg", ".opus", ".mp3")  # stored as they are; others, such as videos, as FLAC
MAX_FILE_BYTES = 64 << 20  # that are stored as they are


@dataclass
class Prepared:
    """What was written: rows of each split; how many recordings could not be read, and why the first could not."""

    rows: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    failed: int = 0
    reason: str = ""


def prepare(clips: Iterable[Clip], out: Path, progress: bool = True) -> Prepared:
    """Write clips into a parquet file with the columns id, split, audio (bytes of a sound file) and those of the clips.

    A recording is stored as it is; a part of one, a video or what is longer than a minute as FLAC at 16 kHz, of at most
    the first minute. A recording that cannot be read, or has the id of one before, has no row. The file is there when
    it is whole. SpeechPromptError when there is no recording that can be read.
    """
    import pyarrow
    import pyarrow.parquet

    done = Prepared()
    rows: list[dict[str, Any]] = []
    ids: set[str] = set()
    writer = None
    n_bytes = 0
    with replaced_file(out) as aside, ExitStack() as open_files:
        for clip in tqdm(clips, desc="prepare", unit=" clips", mininterval=2, disable=not progress):
            name = text_of(clip.id)
            try:
                if name in ids:
                    raise SpeechPromptError("The corpus names it twice: the first one was taken.")
                audio, whole = sound_bytes(replace(clip, path=on_disk(clip.path)))
            except (SpeechPromptError, OSError) as error:
                done.failed += 1
                done.reason = done.reason or f"{name}: {error}"
                continue
            ids.add(name)
            if writer is None:
                text = [(name, pyarrow.string()) for name in ("id", "split", *clip.columns)]
                schema = pyarrow.schema([*text, ("audio", pyarrow.binary())])
                writer = open_files.enter_context(pyarrow.parquet.ParquetWriter(aside, schema))
            done.rows[clip.split] += 1
            done.cut += not whole
            columns = {column: text_of(value) for column, value in clip.columns.items()}
            rows.append({"id": name, "split": clip.split, "audio": audio, **columns})
            n_bytes += len(audio)
            if n_bytes >= GROUP_BYTES:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows, n_bytes = [], 0
        if writer is None:
            what = (
                f"none could be read; the first one said: {done.reason}" if done.failed else "there are none"
            )
            raise SpeechPromptError(f"The corpus has no recording to write: {what}".rstrip(".") + ".")
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
    return done


def sound_bytes(clip: Clip) -> tuple[bytes, bool]:
    """The bytes that a clip is stored as, and whether they hold all of it."""
    if not clip.path.is_file():
        raise SpeechPromptError(f"The file {clip.path.name[:80]!r} does not exist: copy the corpus again.")
    seconds = length(clip.path)
    part = clip.start > 0 or clip.seconds is not None
    if not part and clip.path.suffix.lower() in KEPT and (seconds is None or seconds <= MAX_SECONDS):
        if clip.path.stat().st_size > MAX_FILE_BYTES:
            raise SpeechPromptError(f"The file has more than {MAX_FILE_BYTES >> 20} MB: convert it to FLAC.")
        audio = clip.path.read_bytes()
        if seconds is None:
            load(audio)  # raises what is wrong with it
        return audio, True
    if seconds is None:
        return flac(load(clip.path), SAMPLE_RATE), True
    asked = MAX_SECONDS if clip.seconds is None else min(clip.seconds, MAX_SECONDS)
    samples, rate = stretch(clip.path, clip.start, asked)
    return flac(load((rate, samples)), SAMPLE_RATE), part or seconds <= MAX_SECONDS


def length(path: Path) -> float | None:
    """Seconds of a recording by its header; None where libsndfile knows no such file."""
    import soundfile

    try:
        with path.open("rb") as file:  # libsndfile takes no name that is no text
            return float(soundfile.info(file).duration)
    except (soundfile.LibsndfileError, RuntimeError):
        return None


def stretch(path: Path, start: float, seconds: float) -> tuple[np.ndarray, int]:
    """float32 [T, channels] of a part of a recording, and its rate in Hz."""
    import soundfile

    try:
        with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
            file.seek(min(round(start * file.samplerate), file.frames))
            return file.read(
                round(seconds * file.samplerate), dtype="float32", always_2d=True
            ), file.samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise SpeechPromptError(f"{path.name} cannot be decoded: copy it again.") from error


def flac(waveform: np.ndarray, rate: int) -> bytes:
    """float32 [T] -> the bytes of a FLAC file of 16 bits."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
