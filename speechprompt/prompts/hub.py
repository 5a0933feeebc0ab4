"""Prompts on the Hugging Face Hub: a repository holds one prompt's folder, with a card by which it is found.

A token is used for the one request and kept nowhere; errors never quote it.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.archive import BOUNDS
from speechprompt.prompts.card import LIBRARY, lm_tag, prompt_card
from speechprompt.prompts.prompt import CARD_NAME, MAX_BYTES, PROMPT_JSON, WEIGHTS_NAME, Prompt
from speechprompt.storage import hub
from speechprompt.storage.folders import JSON_BYTES, replaced_folder
from speechprompt.storage.repository import Repository

NEEDED = (PROMPT_JSON, WEIGHTS_NAME)
WANTED = {PROMPT_JSON: JSON_BYTES, WEIGHTS_NAME: MAX_BYTES}
STRANGERS = {PROMPT_JSON: JSON_BYTES, WEIGHTS_NAME: BOUNDS.file_bytes}  # as much as a zip may hold

SOUNDS = (".wav", ".flac", ".mp3", ".ogg")
MAX_EXAMPLE = 2 << 20  # bytes


def push(
    prompt: Prompt,
    repository: str,
    token: hub.Token = None,
    private: bool = True,
    base_model: str = "",
    revision: str | None = None,
    examples: Sequence[Path] = (),
) -> str:
    """Upload a prompt's folder and return its address; SpeechPromptError in one sentence when it fails.

    repository: "name" or "owner/name", made when it is not there, private or not. token: one with write access; where
    it is "" the sentence says how to push by hand. base_model: what the card names as such, a repository that holds
    the backbone. examples: recordings to be heard beside the card.
    """
    repository = repository.strip()
    hub.check_name(repository)
    if base_model:
        hub.parse(base_model)
    if token == "":
        zipped, inside = shlex.quote(f"{prompt.task}.zip"), shlex.quote(prompt.task)
        raise SpeechPromptError(
            "Nobody is logged in to the Hub here: log in, or download the prompt and run "
            f"`unzip {zipped} && hf upload {repository} {inside}` on your machine."
        )
    if hub.is_offline():
        raise SpeechPromptError(
            "The Hub cannot be reached from here: download the zip and upload it where there is a network."
        )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / prompt.task
        names = add_examples(folder, examples)
        prompt.save(folder, prompt_card(prompt, base_model, repository, names))
        name = hub.upload(folder, repository, f"Add the prompt {prompt.task}", token, private, revision)
    return f"https://huggingface.co/{name}"


def add_examples(folder: Path, examples: Sequence[Path]) -> list[str]:
    """Copy recordings to where they lie in the repository; their names there."""
    names = []
    for path in examples:
        if not path.is_file() or path.suffix not in SOUNDS or path.stat().st_size > MAX_EXAMPLE:
            raise SpeechPromptError(
                f"The example {path.name} must be a file of {', '.join(SOUNDS)} with at most {MAX_EXAMPLE >> 20} MB."
            )
        (folder / "examples").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "examples" / path.name)
        names.append(f"examples/{path.name}")
    return names


def pull(
    address: str,
    revision: str | None = None,
    token: hub.Token = None,
    folder: Path | None = None,
    cache: Path | None = None,
    wanted: dict[str, int] = WANTED,
) -> Prompt:
    """The prompt in a repository, "owner/name" or "owner/name@revision", checked as one from any folder is.

    folder: where its files are kept, whole or not at all. token: see hub.Token. cache: of the client's downloads.
    Whether it fits a backbone is for Backbone.check_fits to say.
    """
    repository = Repository(address, revision, token, cache)
    with tempfile.TemporaryDirectory() as place:
        here = Path(place) / repository.name.rpartition("/")[2]
        here.mkdir()
        repository.fetch(wanted, NEEDED, "prompt", here)
        prompt = Prompt.load(here)
        if folder is not None:
            with replaced_folder(folder, drop=(CARD_NAME,)) as aside:
                for name in NEEDED:
                    shutil.copyfile(here / name, aside / name)
                (aside / CARD_NAME).write_text(prompt_card(prompt), encoding="utf-8")
    return prompt


def pull_from_stranger(address: str, token: hub.Token = False) -> Prompt:
    """The same for who visits a page: smaller files alone, and none of them stays on the disk."""
    if hub.is_offline():
        raise SpeechPromptError(f"Nothing can be added from the Hub here because {hub.OFFLINE}: load a zip.")
    # The rest of a download that was given up may still be written.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        return pull(address, None, token, cache=Path(cache), wanted=STRANGERS)


def find(unit_lm_sha256: str, token: hub.Token = None) -> list[hub.Found]:
    """The repositories of prompts that were made for a unit LM, by the tags of their cards."""
    return hub.search([LIBRARY, lm_tag(unit_lm_sha256)], token=token)
