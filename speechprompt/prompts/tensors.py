"""The tensors of a prompt: their names in its file, their shapes, and what their numbers may be."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from speechprompt.units import UNIT_OFFSET

MAX_LENGTH = 200  # prompt vectors per layer
MAX_UNITS = 1000  # of one label
LARGEST = 65_504.0  # what a half-precision number holds: with more, logits are no numbers any longer

# Field of Prompt -> name of its tensor in the file.
TENSOR_NAMES = {
    name: name for name in ("separator", "key_prompts", "value_prompts", "input_prompts", "label_embeddings")
} | {"verbalizer_weight": "verbalizer.weight", "verbalizer_units": "verbalizer.units"}


def check_tensors(tensors: Mapping[str, Tensor], n_labels: int, kind: str, projected: bool) -> None:
    """Raise ValueError, naming the fact, unless a prompt's tensors fit each other and its answer form.

    tensors: by their names in the file. kind: of the answer form, "label", "slots" or "sequence".
    projected: key_prompts are past keys already.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool((tensor.abs() <= LARGEST).all()):
            raise ValueError(f"{name} holds values that are not finite, or beyond {LARGEST:g}")
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    expected = expected_shapes(shapes, n_labels, projected)
    for name in sorted(shapes.keys() | expected.keys()):
        if shapes.get(name) != expected.get(name):
            raise ValueError(f"{name} has the shape {shapes.get(name)}, expected {expected.get(name)}")
    if "label_embeddings" in tensors and kind == "label":
        raise ValueError("an answer of one label needs no label_embeddings")
    if "verbalizer.weight" in tensors and "label_embeddings" not in tensors and kind != "label":
        n_units = shapes["verbalizer.weight"][1] - UNIT_OFFSET
        if n_labels > n_units:  # label c is fed back as unit c
            raise ValueError(
                f"a learned verbalizer can feed back at most {n_units} labels, one for each unit"
            )
    if (units := tensors.get("verbalizer.units")) is not None:
        used = units[units >= 0]
        first = units if units.ndim == 1 else units[:, 0]
        if units.dtype != torch.int64 or len(used.unique()) != len(used) or int(first.min()) < 0:
            raise ValueError("verbalizer.units must be different units, at least one per label")
        if int(units.min()) < -1:
            raise ValueError("verbalizer.units must be units, or -1 for none")


def prompt_length(shapes: dict[str, tuple[int, ...]]) -> int:
    """P by the shape of whichever prompts are there; 0 when there are none."""
    shape = shapes.get("key_prompts", shapes.get("input_prompts", ()))
    return shape[-2] if len(shape) >= 2 else 0


def expected_shapes(
    shapes: dict[str, tuple[int, ...]], n_labels: int, projected: bool = False
) -> dict[str, tuple[int, ...]]:
    """What the shapes must be, given the sizes L, P, d, V that the leading tensors claim; ValueError without them."""
    deep, separator = "input_prompts" not in shapes, shapes.get("separator", ())
    length, d = prompt_length(shapes), separator[0] if separator else 0
    if not 1 <= length <= MAX_LENGTH or not 1 <= d <= 4096:
        raise ValueError(f"prompts need 1 to {MAX_LENGTH} vectors and a separator as wide as the unit LM")
    expected: dict[str, tuple[int, ...]] = {"separator": (d,)}
    if deep:
        n_layers, _, *last = shapes["key_prompts"]
        width = last[0] if projected and last and 1 <= last[0] <= 4096 else d
        expected["key_prompts"] = expected["value_prompts"] = (n_layers, length, width)
    else:
        expected["input_prompts"] = (length, d)
    if "label_embeddings" in shapes:
        expected["label_embeddings"] = (n_labels, d)
    if "verbalizer.weight" in shapes:
        vocab_size = shapes["verbalizer.weight"][-1] if shapes["verbalizer.weight"] else 0
        expected["verbalizer.weight"] = (n_labels + UNIT_OFFSET, vocab_size)
    else:
        units = shapes.get("verbalizer.units", ())
        several = len(units) == 2 and 1 <= units[1] <= MAX_UNITS
        expected["verbalizer.units"] = (n_labels, units[1]) if several else (n_labels,)
    return expected
