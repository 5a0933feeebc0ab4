"""On which device, and in which numbers, the models run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speechprompt.errors import SpeechPromptError

if TYPE_CHECKING:  # torch takes seconds to import
    import torch


def choose_device(device: str | torch.device) -> torch.device:
    """ "auto" -> the GPU when there is one, else the CPU; SpeechPromptError for a device that is not there."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise SpeechPromptError(f"There is no device {str(device)[:40]!r} here: use cpu or auto.") from error
    return torch.device(device)


def choose_dtype(dtype: str | torch.dtype, device: str | torch.device) -> torch.dtype:
    """What the models multiply in: a dtype or its name; SpeechPromptError for one that they cannot run in."""
    import torch

    kinds = (torch.float32, torch.bfloat16, torch.float16)
    if isinstance(dtype, str):
        dtype = next((kind for kind in kinds if str(kind) == f"torch.{dtype}"), dtype)
    if not isinstance(dtype, torch.dtype) or dtype not in kinds:
        known = ", ".join(str(kind).removeprefix("torch.") for kind in kinds)
        raise SpeechPromptError(f"The models run in {known}, not in {str(dtype)[:40]}.")
    if dtype == torch.float16 and torch.device(device).type == "cpu":
        # oneDNN's float16 convolutions were seen not to return on processors with AVX512-FP16.
        raise SpeechPromptError(
            "float16 is for GPUs: on a CPU take bfloat16, or float32 where it has no AMX."
        )
    return dtype
