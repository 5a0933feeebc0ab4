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
from speechprompt.storage.zip_reading import Bounds, open_zip

BOUNDS = Bounds(files=16, file_bytes=16 << 20, all_bytes=17 << 20)  # the app's own prompts take 0.3 MB
NEEDED = (PROMPT_JSON, WEIGHTS_NAME)
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the same prompt gives the same bytes at any time


def pack(prompt: Prompt) -> bytes:
    """The prompt's folder (task name / config, weights, card, picture) as the bytes of a zip file."""
    packed = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as place,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        folder = Path(place) / prompt.task
        prompt.save(folder, prompt_card(prompt))
        for name in (*NEEDED, CARD_NAME, PICTURE_NAME):
            if not (folder / name).is_file():  # the picture, of a prompt without counts
                continue
            info = zipfile.ZipInfo(f"{prompt.task}/{name}", WRITTEN)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, (folder / name).read_bytes())
    return packed.getvalue()


def unpack(source: Path | bytes) -> Prompt:
    """The prompt in a zip, checked; SpeechPromptError in one sentence for whatever is wrong with it.

    Whether it fits a backbone is for Backbone.check_fits to say.
    """
    with open_zip(source, BOUNDS) as reader, tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in the zip"  # what errors name it
        folder.mkdir()
        inside = {
            PurePosixPath(name).parent for name in reader.names if PurePosixPath(name).name == PROMPT_JSON
        }
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
