"""Frozen linear layers whose weights oneDNN has packed: the same products on a CPU, often twice as fast.

PyTorch's own path asks MKL, which leaves AVX-512 unused on some makers' processors, and lays the weights
out anew at every call. Only answers use this; training and GPUs take the plain layers.
"""

from __future__ import annotations

import copy
import platform
from threading import Lock
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A product of a new number of rows costs oneDNN half a millisecond of preparation, so rows are filled up
# to a multiple; not the few rows of a step from the cache, nor many rows, whose copy would cost more.
ROWS, FEW_ROWS, MANY_ROWS = 32, 16, 512
USUAL_ROWS = 256  # what the layout of the weights is chosen for

Module = TypeVar("Module", bound=nn.Module)
_twins: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()
_lock = Lock()


def can_pack() -> bool:
    """Whether this PyTorch has oneDNN's packed products, and the processor gains from them."""
    available = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return bool(available) and platform.machine() in ("x86_64", "AMD64")


class PackedLinear(nn.Linear):
    """A frozen float32 CPU linear layer with a packed copy of its weight, for passes without gradients."""

    def __init__(self, plain: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.weight, self.bias = plain.weight, plain.bias
        self.packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), USUAL_ROWS)

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(input)
        rows = input.reshape(-1, self.in_features)
        n = len(rows)
        if more := filled(self, n) - n:
            rows = F.pad(rows, (0, 0, 0, more))
        product = torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "none", [], "")
        return product[:n].view(*input.shape[:-1], self.out_features)


def filled(layer: nn.Module | None, n: int) -> int:
    """How many rows a product of n rows with this layer is made of: n or, where it is packed, some more."""
    if not isinstance(layer, PackedLinear) or not FEW_ROWS <= n < MANY_ROWS or torch.is_grad_enabled():
        return n
    return -(-n // ROWS) * ROWS


def packed(module: Module) -> Module:
    """The module with its linear layers packed, all else shared with the original, which stays as it is.

    A module is packed once, however often it is asked for. Returns the module itself on a GPU, in another
    dtype than float32, or where packing gains nothing.
    """
    parameters = list(module.parameters())
    usual = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in parameters)
    frozen = not any(p.requires_grad for p in parameters)
    if not (usual and frozen and can_pack()):
        return module
    with _lock:
        if module not in _twins:
            _twins[module] = _packed(module)
        return cast(Module, _twins[module])


def _packed(module: nn.Module) -> nn.Module:
    if type(module) is nn.Linear:
        return PackedLinear(module)
    twin = copy.copy(module)
    twin._modules = {name: child and _packed(child) for name, child in module._modules.items()}
    return twin
