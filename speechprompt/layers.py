"""The unit LM's decoder layers, run over XGLM's own modules for what an answer needs and no more.

The same numbers as `XGLMModel.forward`, for less: attention goes through blocks of queries, each of
which sees only the keys up to its end, so memory is linear in length and no score above the diagonal
is computed; the last layer makes keys and values of all places but goes on only where the answer is
read. Knows no tokens and no prompts. The LM is in eval mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import XGLMForCausalLM

# Queries that attend at once. Measured on a CPU: as fast as PyTorch's fused attention on rows of 3000
# places, faster on short ones, and its backward pass in bfloat16 takes a quarter of the time.
BLOCK_CPU, BLOCK_GPU = 64, 512

ROOM = 8  # places that a cache makes ready at a time, so that a step need not copy all that is there

Extend = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
Block = tuple[int, int, Tensor]  # first query, end, bias


class Cache:
    """Keys and values of every layer, [B, heads, places, d / heads], with room for places to come."""

    def __init__(self) -> None:
        self.held: list[tuple[Tensor, Tensor]] = []
        self.filled: list[int] = []

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add places to a layer, or the layer itself; return all of its keys and values."""
        if layer == len(self.held):
            self.held.append((keys[:, :, :0], values[:, :, :0]))
            self.filled.append(0)
        start = self.filled[layer]
        end = self.filled[layer] = start + keys.shape[2]
        if end > self.held[layer][0].shape[2]:
            room = keys.new_zeros(*keys.shape[:2], end - start + ROOM, keys.shape[3])
            old_keys, old_values = (tensor[:, :, :start] for tensor in self.held[layer])
            self.held[layer] = torch.cat([old_keys, room], 2), torch.cat([old_values, room], 2)
        for held, new in zip(self.held[layer], (keys, values), strict=True):
            held[:, :, start:end] = new
        return self.held[layer][0][:, :, :end], self.held[layer][1][:, :, :end]

    def reorder(self, rows: Tensor) -> None:
        """Keep these rows, int64 [B'], in this order; one may come more than once."""
        self.held = [(keys[rows], values[rows]) for keys, values in self.held]


def run_layers(
    lm: XGLMForCausalLM,
    embedded: Tensor,
    position_ids: Tensor,
    read: Tensor,
    extend: Extend,
    n_past: int,
    present: Tensor | None = None,
) -> Tensor:
    """Hidden states [B, S, d] at the places `read`, after the last norm: what the output layer takes.

    embedded [B, T, d]; position_ids int64 [1 or B, T]; read int64 [B, S], places of the T. extend(layer,
    keys, values) puts the keys and values of the n_past places before in front of those of the T places,
    [B, heads, n_past + T, d / heads]. present bool [B, n_past + T]: the places a row really has, None for
    all. Every place sees those before it and itself. Gradients flow.
    """
    batch, length, width = embedded.shape
    hidden = embedded + lm.model.embed_positions(position_ids, n_past)
    step = BLOCK_CPU if embedded.device.type == "cpu" else BLOCK_GPU
    places = torch.arange(n_past, n_past + length, device=embedded.device)[None]
    spans = [(a, min(a + step, length)) for a in range(0, length, step)]
    blocks: list[Block] = [
        (a, b, bias(places[:, a:b], n_past + b, present, embedded.dtype)) for a, b in spans
    ]
    last = len(lm.model.layers) - 1
    for i, layer in enumerate(lm.model.layers):
        own = layer.self_attn
        normed = layer.self_attn_layer_norm(hidden)
        heads = (batch, -1, own.num_heads, own.head_dim)
        keys, values = extend(
            i, own.k_proj(normed).view(heads).transpose(1, 2), own.v_proj(normed).view(heads).transpose(1, 2)
        )
        if i == last:
            at = read[..., None].expand(-1, -1, width)
            hidden, normed = hidden.gather(1, at), normed.gather(1, at)
            blocks = [(0, read.shape[1], bias(read + n_past, keys.shape[2], present, embedded.dtype))]
        queries = (own.q_proj(normed) * own.scaling).view(heads).transpose(1, 2)
        mixed = [attend(queries[:, :, a:b], keys, values, mask) for a, b, mask in blocks]
        joined = mixed[0] if len(mixed) == 1 else torch.cat(mixed, 2)
        hidden = hidden + own.out_proj(joined.transpose(1, 2).reshape(batch, -1, width))
        inner = layer.fc1(layer.final_layer_norm(hidden)).relu_()  # in place: fresh memory costs as much
        hidden = hidden + layer.fc2(inner)
    return lm.model.layer_norm(hidden)


def bias(queries: Tensor, n_keys: int, present: Tensor | None, dtype: torch.dtype) -> Tensor:
    """[1 or B, 1, Q, n_keys]: 0 where a query may look, a very low number elsewhere.

    queries int64 [1 or B, Q]: their places among the keys. Half the lowest number, so that no score can
    make it infinite where a place may look nowhere.
    """
    allowed = torch.arange(n_keys, device=queries.device) <= queries[..., None]
    if present is not None:
        allowed = allowed & present[:, None, :n_keys]
    low = torch.finfo(dtype).min / 2
    return torch.zeros(allowed.shape, dtype=dtype, device=queries.device).masked_fill_(~allowed, low)[:, None]


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """[B, heads, Q, d / heads] over the first K keys, those that the mask [1 or B, 1, Q, K] covers."""
    n_keys = mask.shape[-1]
    scores = queries @ keys[:, :, :n_keys].transpose(-1, -2) + mask
    return scores.softmax(-1) @ values[:, :, :n_keys]
