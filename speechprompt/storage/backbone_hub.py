"""A backbone in a repository on the Hugging Face Hub: the files of its folder, and its prompts in `prompts/TASK`.

It is laid out as bundled backbones are, below a folder for each commit, so that what was once fetched stays as it was.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from speechprompt.errors import SpeechPromptError
from speechprompt.storage import hub
from speechprompt.storage.bundled import BACKBONE_JSON, NAME_PATTERN
from speechprompt.storage.folders import JSON_BYTES, read_json, replaced_folder
from speechprompt.storage.repository import Repository, most, put

MODEL_BYTES = 4 << 30  # of one file
CARD_BYTES = 1 << 20
PROMPT_BYTES = 64 << 20
WANTED = {
    BACKBONE_JSON: JSON_BYTES,
    "README.md": CARD_BYTES,
    "unit_lm/*.json": JSON_BYTES,
    "unit_lm/*.safetensors": MODEL_BYTES,
    "encoder/*.json": JSON_BYTES,
    "encoder/*.safetensors": MODEL_BYTES,
    "prompts/*/prompt_config.json": JSON_BYTES,
    "prompts/*/prompt.safetensors": PROMPT_BYTES,
}
NEEDED = (BACKBONE_JSON, "unit_lm/config.json", "unit_lm/model.safetensors")


def pull(address: str, revision: str | None = None, token: hub.Token = None) -> Path:
    """The folder of the backbone in a repository, beside the Hub's cache; fetched once for each commit."""
    from huggingface_hub import constants

    repository = Repository(address, revision, token)
    kept = Path(constants.HF_HOME) / "speechprompt" / repository.name.replace("/", "--") / repository.commit
    if not kept.is_dir():
        with replaced_folder(kept) as aside:
            unpack(repository, aside, link=True)
    (folder,) = (kept / "backbones").iterdir()
    return folder


def pull_to(address: str, folder: Path, revision: str | None = None, token: hub.Token = None) -> None:
    """The same into a folder of the user's: backbones/NAME with its prompts beside, in prompts/NAME."""
    repository = Repository(address, revision, token)
    if folder.exists() and any(folder.iterdir()):
        raise SpeechPromptError(f"{folder.name} is there already: name a folder that is not there.")
    with replaced_folder(folder) as aside:
        unpack(repository, aside, link=False)


def unpack(repository: Repository, root: Path, link: bool) -> None:
    """Lay a repository out as root/backbones/NAME and root/prompts/NAME."""
    arrived = root / "arrived"
    arrived.mkdir()
    repository.fetch(WANTED, NEEDED, "backbone", arrived, link)
    name = read_json(arrived, BACKBONE_JSON, f"Backbone {repository.name}").get("name")
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise SpeechPromptError(
            f"{repository.name}: {BACKBONE_JSON} has no name of 1 to 64 of a-z, 0-9, - and _."
        )
    if (arrived / "prompts").is_dir():
        (root / "prompts").mkdir()
        (arrived / "prompts").rename(root / "prompts" / name)
    (root / "backbones").mkdir()
    arrived.rename(root / "backbones" / name)


def push(folder: Path, prompts: Path, repository: str, token: hub.Token = None, private: bool = True) -> str:
    """Upload a backbone's folder and its prompts; its address. Only what `pull` wants goes."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for source, at in ((folder, root), (prompts, root / "prompts")):
            for path in sorted(source.rglob("*")) if source.is_dir() else ():
                name = (at / path.relative_to(source)).relative_to(root).as_posix()
                if path.is_file() and most(WANTED, name):
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    put(path.resolve(), root / name, link=True)
        name = hub.upload(root, repository, f"Add the backbone {folder.name}", token, private)
    return f"https://huggingface.co/{name}"
