"""A data set on the Hugging Face Hub -> a folder on this disk, in the Hub's own cache."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.hub import OFFLINE, in_time, is_offline

log = logging.getLogger(__name__)

ADDRESS = re.compile(r"hf:/{1,2}datasets/([\w.-]{1,96}(?:/[\w.-]{1,96})?)(?:@([\w./-]{1,100}))?", re.ASCII)
LISTS = ("*.parquet", "*.csv", "*.tsv", "*.jsonl")
SOUNDS = ("*.wav", "*.flac", "*.mp3", "*.ogg", "*.opus")


def on_the_hub(path: Path | str) -> bool:
    """Whether a source is an address on the Hub; Path has made one slash of two."""
    return str(path).startswith(("hf:/", "hf://"))


def fetch(address: Path | str) -> Path:
    """The folder of hf://datasets/OWNER/NAME or …@REVISION; SpeechPromptError when the Hub cannot give it."""
    found = ADDRESS.fullmatch(str(address))
    if not found or ".." in str(address):
        raise SpeechPromptError("A data set on the Hub is named hf://datasets/OWNER/NAME, or …@REVISION.")
    from huggingface_hub import HfApi, snapshot_download

    name, revision = found[1], found[2]
    if is_offline():
        raise SpeechPromptError(
            f"{name} cannot be fetched because {OFFLINE}: unset it, or give a folder on this disk."
        )
    try:
        files = in_time(name, lambda: HfApi().list_repo_files(name, repo_type="dataset", revision=revision))
        packed = [file for file in files if file.endswith(".parquet")]
        patterns = ["*.parquet"] if packed else [*LISTS, *SOUNDS]
        return Path(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except SpeechPromptError:
        raise
    except Exception as error:  # what the network raises differs from library to library
        log.warning("The Hub gave no data set: %s", type(error).__name__)
        raise SpeechPromptError(
            f"The Hub does not give the data set {name}: check its name and your access, or give a folder on this disk."
        ) from None
