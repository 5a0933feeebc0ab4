"""A prompt as one zip file to download and to load back: its folder, no more and no less.

A zip that comes back is hostile until checked: only a prompt's own files are read, by their known names
and within bounds, into a folder of ours, where Prompt.load judges them.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.confusion import PICTURE_NAME
from speechprompt.prompts.prompt import CARD_NAME, PROMPT_JSON, WEIGHTS_NAME, Prompt
from speechprompt.storage.zip_reading import Bounds, ZipReader, open_zip

BOUNDS = Bounds(files=16, file_bytes=16 << 20, all_bytes=17 << 20)  # the app's own prompts take 0.3 MB
NEEDED = (PROMPT_JSON, WEIGHTS_NAME)
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the same prompt gives the same bytes at any time


def pack(prompt: Prompt) -> bytes:
    """The prompt's folder (task name / config, weights, card, picture) as the bytes of a zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        add(archive, prompt)
    return packed.getvalue()


def add(archive: zipfile.ZipFile, prompt: Prompt) -> None:
    """Write the prompt's folder into a zip."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / prompt.task
        prompt.save(folder, prompt_card(prompt))
        for name in (*NEEDED, CARD_NAME, PICTURE_NAME):
            if (folder / name).is_file():  # the picture is not, of a prompt without counts
                write(archive, f"{prompt.task}/{name}", (folder / name).read_bytes())


def write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Write one file into a zip: the same data gives the same bytes at any time."""
    info = zipfile.ZipInfo(name, WRITTEN)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(info, data)


def unpack(source: Path | bytes) -> Prompt:
    """The prompt in a zip, checked; SpeechPromptError in one sentence for whatever is wrong with it.

    Whether it fits a backbone is for Backbone.check_fits to say.
    """
    with open_zip(source, BOUNDS) as reader:
        return read(reader)


def read(reader: ZipReader) -> Prompt:
    """The prompt in an open zip, checked, see unpack."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in the zip"  # what errors name it
        folder.mkdir()
        inside = {PurePosixPath(name).parent for name in reader.names if is_prompt(name)}
        if len(inside) != 1:
            raise SpeechPromptError(
                f"The zip must hold one prompt folder with {PROMPT_JSON} and {WEIGHTS_NAME}: "
                "choose one that was downloaded here."
            )
        for name in NEEDED:
            path = str(inside.copy().pop() / name)
            if path in reader.names:  # what is missing is said by Prompt.load
                (folder / name).write_bytes(reader.read(path))
        return Prompt.load(folder)


def is_prompt(name: str) -> bool:
    """Whether a file of this name makes its folder a prompt's."""
    return PurePosixPath(name).name == PROMPT_JSON
