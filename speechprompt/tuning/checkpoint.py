"""The folder of a run: one process at a time, and a checkpoint that is whole or not there."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import cannot_write, replaced_file, sync, try_lock


@contextmanager
def run_folder(folder: Path | None) -> Iterator[None]:
    """Make the folder of a run and keep it to this process; SpeechPromptError when another one has it."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:  # empty, and left there: only holding it means something
        if not try_lock(file.fileno()):
            raise SpeechPromptError(
                "Another tuning or training is at work in the run folder: wait for it, or choose another --run."
            )
        yield


def save_checkpoint(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a checkpoint aside, then put it in its place; `settings` say what run it belongs to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replaced_file(path) as aside:
            torch.save({**state, "settings": settings}, aside)
    except (OSError, RuntimeError) as error:  # torch has no other name for a full disk
        raise cannot_write(f"The checkpoint {path.name}", error) from error
    sync(path.parent)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What save_checkpoint wrote, tensors on the CPU; SpeechPromptError when a byte of it is not as it was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ValueError("a checksum is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["settings"]
    except Exception as error:  # zipfile and torch raise many things on damaged files
        raise SpeechPromptError(
            f"The checkpoint {path.name} of the run folder is damaged or none of ours: "
            "delete it to begin again, or choose an empty --run."
        ) from error
    return state


def load_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The state of a stopped run, None when there is none; SpeechPromptError when it was another run."""
    if not path.is_file():
        return None
    state = read_checkpoint(path)
    if state.pop("settings") != settings:
        raise SpeechPromptError(
            "The run folder holds another tuning or training (other settings or data): choose an empty --run."
        )
    return state
