"""A prompt pushed to the Hugging Face Hub, as a repository that holds its folder.

The token is used for this one upload and kept nowhere; errors never quote it.
"""

from __future__ import annotations

import logging
import re
import shlex
import tempfile
from pathlib import Path

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import Prompt

log = logging.getLogger(__name__)

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def push(prompt: Prompt, repository: str, token: str) -> str:
    """Upload a prompt's folder and return its address; SpeechPromptError in one sentence when it fails.

    repository: "name" or "owner/name", made (private) when it is not there. token: one with write access; where it is
    "" the sentence says how to push by hand.
    """
    repository = repository.strip()
    if not REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise SpeechPromptError("Name the repository as owner/name, of letters, digits, - . and _.")
    if not token:
        zipped, inside = shlex.quote(f"{prompt.task}.zip"), shlex.quote(prompt.task)
        raise SpeechPromptError(
            "Nobody is logged in to the Hub here: log in, or download the prompt and run "
            f"`unzip {zipped} && hf upload {repository} {inside}` on your machine."
        )
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    offline = "The Hub cannot be reached from here: download the zip and upload it where there is a network."
    if constants.HF_HUB_OFFLINE:
        raise SpeechPromptError(offline)
    api = HfApi(token=token)
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / prompt.task
            prompt.save(folder, prompt_card(prompt))
            made = api.create_repo(repository, private=True, exist_ok=True)
            api.upload_folder(
                repo_id=made.repo_id, folder_path=folder, commit_message=f"Add the prompt {prompt.task}"
            )
    except OfflineModeIsEnabled as error:
        raise SpeechPromptError(offline) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        log.warning("The Hub refused a prompt with status %s", status)
        if status in (401, 403):
            raise SpeechPromptError("The Hub refused the token: use one with write access to it.") from None
        raise SpeechPromptError(f"The Hub refused the upload (status {status}): try again later.") from None
    except Exception as error:  # what the network raises differs from library to library
        log.warning("The Hub could not be reached: %s", type(error).__name__)
        raise SpeechPromptError(offline) from None
    return f"https://huggingface.co/{made.repo_id}"
