"""The Hugging Face Hub: names of repositories, a sentence for whatever its client raises, uploads and searches.

Tokens are handed to the client and quoted in no sentence. `repository` downloads. Knows no prompt and no model.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from speechprompt.errors import SpeechPromptError

log = logging.getLogger(__name__)

# None: that of `hf auth login`; False: none, so that only public repositories are seen.
Token = str | bool | None
PART = r"[A-Za-z0-9][\w.-]{0,95}"
ADDRESS = re.compile(rf"({PART}/{PART})(?:@([A-Za-z0-9][\w./-]{{0,99}}))?", re.ASCII)
NAME = re.compile(rf"{PART}(/{PART})?", re.ASCII)
MAX_FILES = 2000  # in a repository, wanted or not
MAX_NAME = 400  # characters of a file's path
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
OFFLINE = "HF_HUB_OFFLINE is set"
ANSWER_SECONDS = 60.0  # that the Hub may take for an answer, and beside that for each byte of a file
BYTES_A_SECOND = 20_000
T = TypeVar("T")


def parse(address: str, revision: str | None = None) -> tuple[str, str | None]:
    """ "owner/name" or "owner/name@revision" -> both parts; SpeechPromptError for anything else.

    revision: a branch, tag or commit, in place of one in the address.
    """
    found = ADDRESS.fullmatch(address.strip()) if isinstance(address, str) else None
    if found and revision is not None:
        found = ADDRESS.fullmatch(f"{found[1]}@{revision}")
    if not found or ".." in found[0] or "--" in found[1]:
        raise SpeechPromptError(
            "A repository on the Hub is named owner/name, or owner/name@revision, of letters, digits, - . and _."
        )
    return found[1], found[2]


def is_address(text: object) -> bool:
    """Whether a name is that of a repository and of nothing on this disk."""
    return isinstance(text, str) and ADDRESS.fullmatch(text) is not None and not os.path.exists(text)


def is_offline() -> bool:
    """Whether this machine is told to leave the Hub alone."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def in_a_sentence(name: str, revision: str | None = None) -> Iterator[None]:
    """What the client raises becomes one sentence; full disks stay OSError, which names the file."""
    from huggingface_hub import errors

    try:
        yield
    except SpeechPromptError:
        raise
    except errors.GatedRepoError:
        raise SpeechPromptError(
            f"{name} asks for consent: accept its terms on the Hub, then log in with `hf auth login`."
        ) from None
    except errors.RepositoryNotFoundError:
        raise SpeechPromptError(
            f"The Hub has no repository {name}, or it is private: check the name, or log in with `hf auth login`."
        ) from None
    except errors.RevisionNotFoundError:
        raise SpeechPromptError(f"{name} has no revision {revision!r} on the Hub: check its name.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        log.warning("The Hub answered about %s with status %s", name, status)
        if status in (401, 403):
            raise SpeechPromptError(
                f"The Hub refused the token for {name}: use one with access to it."
            ) from None
        raise SpeechPromptError(f"The Hub refused {name} (status {status}): try again later.") from None
    except Exception as error:  # what the network raises differs from library to library
        if isinstance(error, OSError) and error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
        ):
            raise
        log.warning("The Hub gave no %s: %s", name, type(error).__name__)
        if "onsistency check" in str(error) or type(error).__name__ == "RemoteProtocolError":
            raise SpeechPromptError(f"{name} came incomplete from the Hub: try again.") from None
        why = f" because {OFFLINE}" if is_offline() else ""
        raise SpeechPromptError(
            f"The Hub cannot be reached for {name}{why}: check the network, or give a folder on this disk."
        ) from None


def in_time(name: str, work: Callable[[], T], n_bytes: int = 0) -> T:
    """What `work` returns, which asks the Hub about `name` and moves so many bytes.

    The client waits for ever for a server that takes a request and says nothing, or a byte now and then. Then
    SpeechPromptError; the work goes on by itself, in a thread that ends with the process, until its connection does.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    seconds = ANSWER_SECONDS + n_bytes / BYTES_A_SECOND
    Thread(target=copy_context().run, args=(run,), daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            raise  # the work's
        raise SpeechPromptError(
            f"The Hub did not answer about {name} within {seconds:.0f} s: try again later."
        ) from None


def check_name(name: str) -> None:
    """Raise SpeechPromptError unless a repository to write to can be named so: "name" or "owner/name"."""
    if not NAME.fullmatch(name) or ".." in name or "--" in name:
        raise SpeechPromptError("Name the repository as owner/name, of letters, digits, - . and _.")


def upload(
    folder: Path,
    repository: str,
    message: str,
    token: Token = None,
    private: bool = True,
    revision: str | None = None,
) -> str:
    """Commit a folder's files to a repository, which is made where it is not there; its name with the owner.

    repository: "name" or "owner/name". revision: a branch that is there, main by default.
    """
    from huggingface_hub import HfApi

    name = repository.strip()
    check_name(name)

    def send() -> str:
        api = HfApi(token=token)
        made = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=message, revision=revision)
        return str(made.repo_id)

    with in_a_sentence(name, revision):
        return in_time(name, send, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


@dataclass(frozen=True)
class Found:
    """A repository that a search brought: its name, downloads of the last month, and whether only you see it."""

    name: str
    downloads: int
    private: bool


def search(tags: Iterable[str], limit: int = 100, token: Token = None) -> list[Found]:
    """Repositories of models that have all these tags, the most downloaded first."""
    from huggingface_hub import HfApi

    with in_a_sentence("a list of repositories"):
        asked = HfApi(token=token).list_models(filter=[*tags], sort="downloads", limit=limit)
        found = in_time("prompts", lambda: list(asked))
        return [
            Found(model.id, model.downloads or 0, bool(model.private))
            for model in found
            if ADDRESS.fullmatch(model.id)
        ]
