"""Read a fairseq checkpoint as what it is, numbers and settings, without running any of it.

A checkpoint is a pickle, and a pickle may call anything. `torch.load(weights_only=True)` calls nothing
but tensor builders; the other classes that fairseq's checkpoints hold (argparse's Namespace, omegaconf's
containers, fairseq's enums and configs, numpy's scalars) are let in by name as empty stand-ins that only
keep what they are given. Any other class is refused. Knows no model.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError

ZIP_MAGIC = b"PK\x03\x04"  # torch.save since 1.6
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before: pickles, then raw storages
MAX_PICKLE = 16 << 20  # bytes of structure; the numbers lie outside of it
MAX_SETTINGS = 100_000  # entries in cfg or args
MAX_DEPTH = 20
FLOATS = (torch.float16, torch.bfloat16, torch.float32)

# Let in as stand-ins: whatever these packages define, and these single names.
INERT_PACKAGES = re.compile(rb"c((?:fairseq|omegaconf|typing)(?:\.\w+)*)\n([\w.]+)\n")
INERT_NAMES = (
    "argparse.Namespace",
    "_operator.getitem",  # how typing.List[int] is pickled
    "operator.getitem",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "list", "dict", "tuple", "type")),
)


class StandIn:
    """In place of an object of a class that is not loaded: its arguments and its state, and no behaviour."""

    name: str = ""  # the full name of the class, where the reader keeps it
    args: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls, *args: Any) -> StandIn:
        made = super().__new__(cls)
        made.args = args
        return made

    def __init__(self, *args: Any) -> None:
        pass  # object's own would refuse the arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _no_default_factory(*args: Any) -> dict[Any, Any]:
    return {}  # the unpickler fills real dicts only, so a defaultdict becomes one


def load(path: Path, what: str, max_bytes: int = 4 << 30) -> dict[str, Any]:
    """{"model": name -> Tensor, "cfg": nested plain dict or None, "args": plain dict or None}.

    Tensors are on the CPU in the dtype they were saved in, and may be views of the file. Settings hold
    numbers, text, lists and dicts; anything else became the text "<Name>". `what` begins every error;
    SpeechPromptError names a file that is missing, too large, damaged, no checkpoint, or the class that
    was refused.
    """
    path = Path(path)
    label = f"{what}: {path.name}"
    if not path.is_file():
        raise SpeechPromptError(f"{label} is not there, or is no file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise SpeechPromptError(f"{label} has {size} bytes, more than the {max_bytes} allowed.")
    structure, zipped = _structure(path, label)
    names = {f"{module.decode()}.{name.decode()}" for module, name in INERT_PACKAGES.findall(structure)}
    stand_ins = [(type("StandIn", (StandIn,), {}), name) for name in sorted(names.union(INERT_NAMES))]
    allowed: list[Any] = [*stand_ins, (_no_default_factory, "collections.defaultdict")]
    try:
        with torch.serialization.safe_globals(allowed):
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a hostile file can make the unpickler raise anything
        if refused := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise SpeechPromptError(
                f"{label} holds {refused[1]!r}, which no checkpoint of fairseq needs; nothing of it was run. "
                "Save the checkpoint again with only its weights and settings."
            ) from error
        raise SpeechPromptError(
            f"{label} is damaged or cut short: copy or download it again (its structure cannot be read)."
        ) from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("model"), dict):
        raise SpeechPromptError(
            f"{label} is not a checkpoint that fairseq's trainer wrote: it has no 'model' with weights."
        )
    settings = {
        key: None if loaded.get(key) is None else _plain(loaded[key], label) for key in ("cfg", "args")
    }
    return {"model": _weights(loaded["model"], size, label), **settings}


def _structure(path: Path, label: str) -> tuple[bytes, bool]:
    """The bytes that hold the checkpoint's structure, and whether it is the zip format."""
    with path.open("rb") as file:
        head = file.read(MAX_PICKLE)
    if head.startswith(LEGACY_MAGIC):
        return head, False
    if not head.startswith(ZIP_MAGIC):
        raise SpeechPromptError(f"{label} is no PyTorch checkpoint: give the .pt file that fairseq wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            found = [entry for entry in entries if re.fullmatch(r"[^/]+/data\.pkl", entry.filename)]
            foreign = len(found) != 1 or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            small = not foreign and found[0].file_size <= MAX_PICKLE
            structure = archive.read(found[0]) if small else b""
    except Exception as error:  # zipfile raises many things on damaged archives
        raise SpeechPromptError(f"{label} is damaged or cut short: copy or download it again.") from error
    if foreign:
        raise SpeechPromptError(f"{label} is a zip archive, but not one that torch.save wrote.")
    if not small:
        raise SpeechPromptError(f"{label} has a structure of more than {MAX_PICKLE} bytes.")
    return structure, True


def _weights(model: dict[Any, Any], size: int, label: str) -> dict[str, Tensor]:
    """The weights, if each is a plain tensor and together they are no larger than the file can hold."""
    total = 0
    for name, tensor in model.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise SpeechPromptError(f"{label}: 'model' must hold named tensors, and nothing else.")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise SpeechPromptError(f"{label}: {name[:80]!r} is not a plain tensor.")
        total += tensor.numel() * tensor.element_size()
    if total > 2 * size:  # a tied output layer counts twice; a few numbers spread over gigabytes do not pass
        raise SpeechPromptError(f"{label} claims more numbers than a file of {size} bytes can hold.")
    return {name: tensor.detach() for name, tensor in model.items()}


def _plain(value: Any, label: str) -> Any:
    """Settings as plain numbers, text, lists and dicts, whichever containers they were saved in."""
    left = MAX_SETTINGS

    def convert(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise SpeechPromptError(f"{label} has settings that are too many or too deeply nested.")
        if isinstance(value, StandIn):
            if isinstance(state := value.state, dict):  # omegaconf's containers, its values, a Namespace
                return convert(state.get("_content", state.get("_val", state)), depth + 1)
            return convert(value.args[0], depth + 1) if len(value.args) == 1 else "<object>"  # an enum
        if isinstance(value, dict):
            return {
                str(key): convert(item, depth + 1) for key, item in value.items() if type(key) in (str, int)
            }
        if isinstance(value, (list, tuple)):
            return [convert(item, depth + 1) for item in value]
        return value if type(value) in (int, float, bool, str, type(None)) else f"<{type(value).__name__}>"

    return convert(value, 0)


def model_settings(checkpoint: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The model's own settings: cfg["model"], or args in checkpoints older than fairseq 1.0.

    References such as "${task.tokens_per_sample}" are replaced by what they refer to in cfg.
    """
    cfg = checkpoint["cfg"] if isinstance(checkpoint["cfg"], dict) else {}
    found = cfg.get("model") or checkpoint["args"]
    if not isinstance(found, dict) or not found:
        raise SpeechPromptError(
            f"{label} says nothing about its model: both cfg['model'] and args are empty."
        )
    settings = {}
    for name, value in found.items():
        if isinstance(value, str) and (reference := re.fullmatch(r"\$\{(\w+)\.(\w+)\}", value)):
            section = cfg.get(reference[1])
            value = section.get(reference[2]) if isinstance(section, dict) else None
        settings[name] = value
    return settings


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], label: str) -> None:
    """Raise SpeechPromptError unless exactly these names are there, in these shapes, as finite floats."""
    if missing := sorted(expected.keys() - found.keys()):
        raise SpeechPromptError(f"{label} lacks the tensor {missing[0]!r}.")
    if unknown := sorted(found.keys() - expected.keys()):
        raise SpeechPromptError(f"{label} holds an unexpected tensor {unknown[0][:80]!r}.")
    for name, shape in expected.items():
        if tuple(found[name].shape) != tuple(shape):
            raise SpeechPromptError(
                f"{label}: {name} has the shape {list(found[name].shape)}, expected {list(shape)}."
            )
        if found[name].dtype not in FLOATS:
            raise SpeechPromptError(f"{label}: {name} has the dtype {found[name].dtype}.")
        if not bool(torch.isfinite(found[name]).all()):
            raise SpeechPromptError(f"{label}: {name} holds values that are not finite numbers.")
