"""Files that come to Teach: recordings, a table or a zip of labelled ones, a lesson or a prompt that was kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.request_time import check_time
from speechprompt.prompts.prompt import Prompt
from speechprompt.teaching.clip_archive import BOUNDS, LabelledFile, by_table, read_sound, read_table
from speechprompt.teaching.lesson import MAX_CLIP_SECONDS
from speechprompt.teaching.lesson_zip import FORMAT_VERSION, KeptLesson, LessonFile, unpack
from speechprompt.ui.session import Session

READY_MADE, READY_TABLE = "lesson", "labels.csv"  # in the folder of examples
READY_TITLE = "Bed, cat or happy"


@dataclass(eq=False)
class Opened:
    """What files held, decoded: (label, name, float32 [T] at 16 kHz) of each clip; lesson: of a lesson that was kept;
    n_other: files in a zip that are nothing of the kind."""

    clips: list[tuple[str, str, np.ndarray]] = field(default_factory=list)
    lesson: LessonFile | None = None
    prompt: Prompt | None = None
    n_other: int = 0


def take(session: Session, label: str, paths: list[Path]) -> Opened:
    """What uploaded files hold, all or nothing; those without a table or a zip are the label's.

    SpeechPromptError in one sentence where one is none of the kind, or where the session has no room for them.
    """
    if not paths or not all(path.is_file() for path in paths):
        raise SpeechPromptError("The files are no longer on the server: choose them again.")
    tables = [path for path in paths if path.suffix.lower() == ".csv"]
    archives = [path for path in paths if path.suffix.lower() == ".zip"]
    if len(archives) > 1:
        raise SpeechPromptError("Give one zip at a time.")
    if sum(path.stat().st_size for path in paths) > BOUNDS.all_bytes:
        raise SpeechPromptError(
            f"Together the files have more than {BOUNDS.all_bytes >> 20} MB: choose fewer."
        )
    session.check_room(len(paths) - len(tables) - len(archives), 0)
    kept = unpack(archives[0]) if archives else KeptLesson(None, [], None)
    files = kept.files
    if tables:
        pairs = [pair for table in tables for pair in read_table(table.read_bytes())]
        session.check_room(len(pairs), 0)
        pairs = [(Path(name).name, label) for name, label in pairs]  # a browser tells no folders
        files += by_table(pairs, {path.name: path for path in paths if path not in (*tables, *archives)})
    elif not archives or len(paths) > len(archives):
        session.check_known(label)
        loose = [path for path in paths if path not in archives]
        files += [LabelledFile(label, path.name, read_sound(path)) for path in loose]
    return Opened(decoded(session, files), kept.lesson, kept.prompt, kept.n_other)


def decoded(session: Session, files: list[LabelledFile]) -> list[tuple[str, str, np.ndarray]]:
    """The files as clips, as long as the session has room for them."""
    clips: list[tuple[str, str, np.ndarray]] = []
    samples = 0
    for file in files:
        check_time()
        session.check_room(len(files), samples / audio.SAMPLE_RATE)  # before more is decoded
        try:
            waveform = audio.load({"bytes": file.data, "path": file.name}, MAX_CLIP_SECONDS)
        except SpeechPromptError as error:
            raise SpeechPromptError(f"Nothing was added. {file.name[:60]}: {error}") from error
        clips.append((file.label, file.name, waveform))
        samples += len(waveform)
    return clips


def ready_made(examples: Path | None) -> Opened:
    """The lesson that ships with the example clips; SpeechPromptError where there is none."""
    folder = None if examples is None else examples / READY_MADE
    if folder is None or not (folder / READY_TABLE).is_file():
        raise SpeechPromptError("There is no ready-made lesson here: add labels of your own.")
    pairs = read_table((folder / READY_TABLE).read_bytes())
    files = by_table(pairs, {name: folder / name for name, _ in pairs})
    labels = tuple(dict.fromkeys(label for _, label in pairs))
    clips = [(file.label, file.name, audio.load(file.data)) for file in files]
    return Opened(clips, LessonFile(FORMAT_VERSION, READY_TITLE, labels))
