"""Safetensors of a folder: exactly the expected tensors, or one sentence; nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import cannot_write, file_inside

FLOATS = ("F16", "BF16", "F32")  # safetensors' names of the dtypes that weights may be stored in


class TensorFile:
    """A safetensors file whose header has been read: `shapes` and `dtypes` by name, no values yet."""

    def __init__(self, folder: Path, name: str, what: str, max_bytes: int) -> None:
        self.label = f"{what}: {name}"
        self.path = file_inside(folder, name, what, max_bytes)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        try:
            with safe_open(self.path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (a safe_open handle is no dict)
                    view = file.get_slice(key)
                    self.shapes[key] = tuple(view.get_shape())
                    self.dtypes[key] = view.get_dtype()
        except (OSError, SafetensorError) as error:
            raise SpeechPromptError(
                f"{self.label} is damaged or not a safetensors file (pickles are never loaded)."
            ) from error

    def expect(self, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, tuple[str, ...]]) -> None:
        """Raise unless the file holds exactly these names and shapes, in one of the dtypes (FLOATS if unnamed)."""
        if missing := sorted(shapes.keys() - self.shapes.keys()):
            raise SpeechPromptError(f"{self.label} lacks the tensor {missing[0]!r}.")
        if unexpected := sorted(self.shapes.keys() - shapes.keys()):
            raise SpeechPromptError(f"{self.label} holds an unexpected tensor {unexpected[0][:80]!r}.")
        for name, shape in shapes.items():
            if self.shapes[name] != tuple(shape):
                raise SpeechPromptError(
                    f"{self.label}: {name} has the shape {list(self.shapes[name])}, expected {list(shape)}."
                )
            if self.dtypes[name] not in dtypes.get(name, FLOATS):
                raise SpeechPromptError(f"{self.label}: {name} has the dtype {self.dtypes[name]}.")

    def read(self, dtype: torch.dtype, device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """All tensors, floats as `dtype` (integers keep theirs); raise when a value is not finite."""
        tensors = {}
        with safe_open(self.path, framework="pt") as file:
            for name in self.shapes:
                stored = file.get_tensor(name)
                if not stored.is_floating_point():
                    tensors[name] = stored.clone().to(device)
                    continue
                tensor = stored.to(device=device, dtype=dtype, copy=True)
                if not bool(torch.isfinite(tensor).all()):
                    raise SpeechPromptError(f"{self.label}: {name} holds values that are not finite numbers.")
                tensors[name] = tensor
        return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], what: str) -> None:
    """Write safetensors; raise when a value is not finite (fp16 ends at 65504), before anything is written."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise SpeechPromptError(f"{what}: {name} holds values that are not finite as {tensor.dtype}.")
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except (OSError, SafetensorError) as error:
        raise cannot_write(f"{what}: {path.name}", error) from error
    path.chmod(0o644)  # safetensors leaves 0600
