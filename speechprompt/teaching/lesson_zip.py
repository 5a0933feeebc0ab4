"""A lesson as one zip: its recordings by label, the labels without any, and the prompt where it has been taught.

It is what a person keeps to teach on another day. A zip that comes back is hostile until checked: the list of its
labels by a schema, the recordings and the prompt as those of any other zip.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
import soundfile

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts import archive as prompt_zip
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage import schema
from speechprompt.storage.zip_reading import ZipReader, open_zip
from speechprompt.tasks.answer_form import MAX_LABEL_CHARACTERS
from speechprompt.teaching.clip_archive import BOUNDS, LabelledFile, read_labelled
from speechprompt.teaching.lesson import MAX_LABELS, MAX_TITLE_CHARACTERS
from speechprompt.teaching.speaking import LANGUAGES

LESSON_JSON, NOTICE = "lesson.json", "RECORDINGS.txt"
RECORDINGS = "recordings"  # the folder of what TABLE names
TABLE = f"{RECORDINGS}/labels.csv"
FORMAT_VERSION = 1
MAX_JSON_BYTES = 64 << 10


@schema.schema(known=False)
class LessonFile:
    """What lesson.json holds: the lesson's title, its labels in order, and the language of those that are spoken."""

    format_version: int
    title: str
    labels: Annotated[tuple[str, ...], schema.LAX]
    language: str = "English"

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"'format_version' must be {FORMAT_VERSION}: update SpeechPrompt")
        if not schema.is_plain(self.title, MAX_TITLE_CHARACTERS):
            raise ValueError(f"'title' must be at most {MAX_TITLE_CHARACTERS} printable characters")
        if len(self.labels) > MAX_LABELS or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"'labels' must be at most {MAX_LABELS}, each once")
        if not all(schema.is_plain(name, MAX_LABEL_CHARACTERS) and name.strip() for name in self.labels):
            raise ValueError(f"'labels' must be 1 to {MAX_LABEL_CHARACTERS} printable characters each")
        if self.language not in LANGUAGES:
            raise ValueError(f"'language' must be one of {', '.join(LANGUAGES)}")


@dataclass(frozen=True, eq=False)
class KeptLesson:
    """A lesson that came back: lesson is None of a zip that was made elsewhere, with labelled recordings or a
    prompt; n_other: files of the zip that are nothing of the kind."""

    lesson: LessonFile | None
    files: list[LabelledFile]
    prompt: Prompt | None
    n_other: int = 0


def pack(
    lesson: LessonFile, clips: Iterable[tuple[str, str, np.ndarray]], prompt: Prompt | None = None
) -> bytes:
    """The lesson as the bytes of a zip; clips: (label, name, int16 [T] at 16 kHz) of each recording."""
    packed, table = io.BytesIO(), io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(("file", "label"))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        n = 0
        for n, (label, name, samples) in enumerate(clips, 1):
            number = f"{n:03d}"
            stem = "".join(c if c.isalnum() else "-" for c in PurePosixPath(name).stem)[:40].strip("-")
            file = f"{number}-{stem}.flac" if stem else f"{number}.flac"
            sound = io.BytesIO()
            soundfile.write(sound, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            prompt_zip.write(archive, f"{RECORDINGS}/{file}", sound.getvalue())
            rows.writerow((file, label))
        if n:
            prompt_zip.write(archive, TABLE, table.getvalue().encode())
            prompt_zip.write(archive, NOTICE, notice(n).encode())
        facts = {name: getattr(lesson, name) for name in ("format_version", "title", "labels", "language")}
        prompt_zip.write(archive, LESSON_JSON, json.dumps(facts, ensure_ascii=False, indent=2).encode())
        if prompt is not None:
            prompt_zip.add(archive, prompt)
    return packed.getvalue()


def notice(n: int) -> str:
    return (
        f"This zip holds {n} recording{'s' * (n != 1)}, in the folder {RECORDINGS}: they may be somebody's voice.\n"
        "Delete that folder before you give the prompt to others, or download the prompt alone.\n"
        "On SpeechPrompt's Teach tab, this zip brings the whole lesson back.\n"
    )


def unpack(source: Path | bytes) -> KeptLesson:
    """What a zip holds for Teach: a lesson, labelled recordings or a prompt; SpeechPromptError in one sentence.

    The recordings are bytes, still to be decoded; whether the prompt fits a backbone is for Backbone.check_fits.
    """
    with open_zip(source, BOUNDS) as reader:
        prompts = [name for name in reader.names if prompt_zip.is_prompt(name)]
        prompt = prompt_zip.read(reader) if prompts else None
        if LESSON_JSON not in reader.names:
            if prompt is not None:
                return KeptLesson(None, [], prompt)
            return KeptLesson(None, *_recordings(reader))
        lesson = _lesson(reader)
        files = read_labelled(reader)[0] if TABLE in reader.names else []
        if any(file.label not in lesson.labels for file in files):
            raise SpeechPromptError(f"The zip's {LESSON_JSON} lacks a label of its recordings: add it there.")
        return KeptLesson(lesson, files, prompt)


def _recordings(reader: ZipReader) -> tuple[list[LabelledFile], None, int]:
    files, n_other = read_labelled(reader)
    return files, None, n_other


def _lesson(reader: ZipReader) -> LessonFile:
    data = reader.read(LESSON_JSON)
    try:
        facts = json.loads(data[: MAX_JSON_BYTES + 1])
    except (ValueError, RecursionError) as error:
        raise SpeechPromptError(f"The zip's {LESSON_JSON} is damaged: choose another zip.") from error
    if not isinstance(facts, dict):
        raise SpeechPromptError(f"The zip's {LESSON_JSON} is damaged: choose another zip.")
    return schema.read(LessonFile, facts, f"The zip's {LESSON_JSON}")
