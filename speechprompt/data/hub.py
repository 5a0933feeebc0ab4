"""A data set on the Hugging Face Hub -> a folder on this disk, in the Hub's own cache."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from speechprompt.data.hub_layout import split_named
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.hub import OFFLINE, in_time, is_offline

log = logging.getLogger(__name__)

PART = r"[\w.-]{1,96}"
ADDRESS = re.compile(
    rf"hf:/{{1,2}}datasets/({PART}(?:/{PART})?)((?:/{PART}){{0,3}})/?(?:@([\w./-]{{1,100}}))?", re.ASCII
)
LISTS = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json")
SOUNDS = ("*.wav", "*.flac", "*.mp3", "*.ogg", "*.opus", "*.WAV", "*.FLAC", "*.MP3")
FOLDERS = 12  # of a data set that are named in a sentence


def on_the_hub(path: Path | str) -> bool:
    """Whether a source is an address on the Hub; Path has made one slash of two."""
    return str(path).startswith(("hf:/", "hf://"))


def fetch(address: Path | str) -> Path:
    """The folder of hf://datasets/OWNER/NAME, …/FOLDER or …@REVISION, of which no more than that is fetched.

    SpeechPromptError when the Hub cannot give it, or it holds several sets in folders of which none is named.
    """
    found = ADDRESS.fullmatch(str(address))
    if not found or ".." in str(address):
        raise SpeechPromptError(
            "A data set on the Hub is named hf://datasets/OWNER/NAME, …/FOLDER for a part of it, or …@REVISION."
        )
    from huggingface_hub import HfApi, snapshot_download

    name, folder, revision = found[1], found[2].strip("/"), found[3]
    below = f"{folder}/" if folder else ""
    if is_offline():
        raise SpeechPromptError(
            f"{name} cannot be fetched because {OFFLINE}: unset it, or give a folder on this disk."
        )
    try:
        files = in_time(name, lambda: HfApi().list_repo_files(name, repo_type="dataset", revision=revision))
        files = [file.removeprefix(below) for file in files if file.startswith(below)]
        if not files:
            raise SpeechPromptError(
                f"The data set {name} has no folder {folder!r}: look at its files on the Hub."
            )
        packed = [file for file in files if file.endswith(".parquet")]
        folder = "/".join(filter(None, (folder, set_in(name, packed))))
        wanted = ("*.parquet",) if packed else (*LISTS, *SOUNDS)
        patterns = [f"{folder}/{pattern}" if folder else pattern for pattern in wanted]
        root = snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=patterns)
        return Path(root) / folder
    except SpeechPromptError:
        raise
    except Exception as error:  # what the network raises differs from library to library
        log.warning("The Hub gave no data set: %s", type(error).__name__)
        raise SpeechPromptError(
            f"The Hub does not give the data set {name}: check its name and your access, or give a folder on this disk."
        ) from None


def set_in(name: str, packed: Sequence[str]) -> str:
    """The folder of the one set that parquet files are; "" where that is the top, or `data` in it.

    SpeechPromptError where they lie in folders for several sets, such as one for each language.
    """
    found = set()
    for file in packed:
        *parts, _ = file.split("/")
        found.add("/".join(parts[:-1] if parts and split_named(parts[-1]) else parts))
    if found & {"", "data"} or not found:
        return ""
    if len(found) == 1:
        return found.pop()
    sets = sorted(found)
    some = ", ".join(sets[:FOLDERS]) + (" …" if len(sets) > FOLDERS else "")
    raise SpeechPromptError(f"{name} holds the sets {some}: name one, as hf://datasets/{name}/{sets[0]}.")
