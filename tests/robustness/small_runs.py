"""What tests of accidents share: small data, prompts and commands."""

from __future__ import annotations

from pathlib import Path

import torch

from speechprompt.prompts.prompt import Prompt
from tests import tiny


def no_rest(folder: Path) -> bool:
    return [path.name for path in folder.parent.iterdir()] == [folder.name]


def prompt_is_whole(folder: Path) -> None:
    """One of the two prompts that were written in turns, with its own card."""
    found = Prompt.load(folder)
    seed = int((folder / "README.md").read_text().removeprefix("# "))
    assert torch.equal(found.separator, tiny.make_prompt(seed=seed).separator.half().float())
