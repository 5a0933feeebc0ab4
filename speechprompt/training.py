"""What every training here shares, of a prompt or of a backbone: learning-rate schedule and checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from speechprompt.errors import SpeechPromptError


def learning_rate(step: int, steps: int, peak: float, warm_up: int, floor: float = 0.0) -> float:
    """Linear warm-up times a cosine from `peak` at step 0 down to `floor` · peak at `steps`."""
    cosine = (1 + math.cos(math.pi * min(1, step / steps))) / 2
    return peak * min(1, (step + 1) / warm_up) * (floor + (1 - floor) * cosine)


def save_checkpoint(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a checkpoint aside, then put it in its place; `settings` say what run it belongs to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    torch.save({**state, "settings": settings}, aside)
    aside.replace(path)


def load_checkpoint(
    path: Path, settings: dict[str, Any], device: str | torch.device = "cpu"
) -> dict[str, Any] | None:
    """The state of a stopped run, None when there is none; SpeechPromptError when it was another run."""
    if not path.is_file():
        return None
    state = torch.load(path, map_location=device, weights_only=True)
    if state.pop("settings") != settings:
        raise SpeechPromptError(
            "The run folder holds another tuning or training (other settings or data): choose an empty --run."
        )
    return state
