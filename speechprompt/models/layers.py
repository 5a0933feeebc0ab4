"""The unit LM's decoder layers, run over XGLM's own modules for what an answer needs and no more.

The same numbers as `XGLMModel.forward`, for less: attention goes through blocks of queries, each of
which sees only the keys up to its end, so memory is linear in length and no score above the diagonal
is computed; the padding of shorter rows enters attention alone; the last layer makes keys and values of
all positions but goes on only where the answer is read. Knows no tokens and no prompts. The LM is in eval mode.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.models.packing import filled

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

# Queries that attend at once. Measured on a CPU: as fast as PyTorch's fused attention on rows of 3000
# positions, faster on short ones, and its backward pass in bfloat16 takes a quarter of the time.
BLOCK_CPU, BLOCK_GPU = 64, 512

ROOM = 8  # positions that a cache makes ready at a time, so that a step need not copy all that is there

Extend = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
Block = tuple[int, int, Tensor]  # first query, end, bias


class Cache:
    """Keys and values of every layer, [B, heads, positions, d / heads], with room for positions to come.

    present: bool [B, positions], those that a row has; the others are padding. One cache may serve many batches,
    which spares them fresh memory: that takes a fifth as long as the layers do.
    """

    def __init__(self, lm: UnitLM) -> None:
        config = lm.config
        self.sizes = (config.num_layers, lm.past_heads, lm.head_width)
        self.memory = torch.empty(0, dtype=lm.dtype, device=lm.device)
        self.held: list[tuple[Tensor, Tensor]] = []
        self.filled: list[int] = []
        self.present = torch.empty(0, 0, dtype=torch.bool, device=lm.device)

    def begin(self, batch: int, positions: int) -> None:
        """Forget everything; make ready for so many rows of so many positions, and some more."""
        n_layers, heads, width = self.sizes
        shape = (n_layers, 2, batch, heads, positions + ROOM, width)
        if len(self.memory) < math.prod(shape):
            self.memory = self.memory.new_empty(math.prod(shape))
        self.held = [(keys, values) for keys, values in self.memory[: math.prod(shape)].view(shape)]
        self.filled = [0] * n_layers
        self.present = self.present.new_zeros(batch, positions)

    def part(self, start: int, end: int) -> Cache:
        """The rows from start to end, empty, for a pass of their own: when all have had theirs, all go on."""
        part = copy.copy(self)
        part.held = [(keys[start:end], values[start:end]) for keys, values in self.held]
        part.filled = [0] * len(self.held)
        part.present = self.present[start:end]
        self.filled = [self.present.shape[1]] * len(self.held)
        return part

    def settle(self, present: Tensor) -> None:
        """End a first pass: its positions, bool [B, K], of which the rows have some; what is left is padding."""
        n, positions = present.shape[1], self.present.shape[1]
        for keys, values in self.held:
            # Nothing looks at padding, but a number that is not finite would be seen even so.
            keys[:, :, n:positions] = values[:, :, n:positions] = 0
        self.present[:, :n] = present
        self.filled = [positions] * len(self.held)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add positions to a layer; return all of its keys and values."""
        start = self.filled[layer]
        end = self.filled[layer] = start + keys.shape[2]
        if end > self.held[layer][0].shape[2]:
            room = keys.new_zeros(*keys.shape[:2], end - start + ROOM, keys.shape[3])
            old_keys, old_values = (tensor[:, :, :start] for tensor in self.held[layer])
            self.held[layer] = torch.cat([old_keys, room], 2), torch.cat([old_values, room], 2)
        for held, new in zip(self.held[layer], (keys, values), strict=True):
            held[:, :, start:end] = new
        return self.held[layer][0][:, :, :end], self.held[layer][1][:, :, :end]

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows in this order; one may come more than once."""
        if list(rows) == list(range(len(self.present))):
            return
        index = torch.tensor(rows, device=self.present.device)
        self.held = [(keys[index], values[index]) for keys, values in self.held]
        self.present = self.present[index]


class Packing:
    """The positions of a batch [B, T] that layers work on: all of them, or those that are not padding.

    valid: bool [B, T], the positions that are not padding; None for all. layer: a layer that works on them; where its
    products are made of more rows, these are added once, at the end, instead of by each product: copies of position 0.
    """

    def __init__(self, batch: int, length: int, valid: Tensor | None, layer: nn.Module | None = None) -> None:
        self.shape = (batch, length)
        self.kept = self.source = None
        n = batch * length
        if valid is not None and not bool(valid.all()):
            self.kept = valid.flatten().nonzero()[:, 0]
            n = len(self.kept)
            # Padding gets the numbers of its row's nearest position before or after: nothing looks at them, but
            # those of another row might not even be finite.
            counts = valid.sum(1)
            position = (valid.cumsum(1) - 1).clamp(min=0)
            self.source = (position + (counts.cumsum(0) - counts)[:, None]).flatten()
        if more := filled(layer, n) - n:
            kept = torch.arange(n) if self.kept is None else self.kept
            self.kept = F.pad(kept, (0, more), value=int(kept[0]))

    def listed(self, rows: Tensor) -> Tensor:
        """[B, T, d] -> [N, d], one position after the other."""
        flat = rows.flatten(0, 1)
        return flat if self.kept is None else flat.index_select(0, self.kept)

    def by_head(self, flat: Tensor, heads: int) -> Tensor:
        """[N, d] -> [B, heads, T, d / heads]; what padding holds has no meaning."""
        rows = (
            flat[: self.shape[0] * self.shape[1]]
            if self.source is None
            else flat.index_select(0, self.source)
        )
        return rows.view(*self.shape, heads, -1).transpose(1, 2)

    def at(self, flat: Tensor, read: Tensor) -> Tensor:
        """[N, d], positions int64 [B, S] of the rows -> [B · S, d]."""
        batch, length = self.shape
        positions = (read + torch.arange(0, batch * length, length, device=read.device)[:, None]).flatten()
        return flat.index_select(0, positions if self.source is None else self.source[positions])


def run_layers(
    lm: UnitLM,
    embedded: Tensor,
    position_ids: Tensor,
    read: Tensor,
    extend: Extend,
    n_past: int,
    present: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Hidden states [B, S, d] at the positions `read`, after the last norm: what the output layer takes.

    embedded [B, T, d]; position_ids int64 [1 or B, T]; read int64 [B, S], positions of the T. extend(layer,
    keys, values) puts the keys and values of the n_past positions before in front of those of the T positions,
    [B, heads, n_past + T, d / heads]. present bool [B, n_past + T]: the positions that may be looked at, None for
    all. valid bool [B, T]: those that must be worked on, None for all. Every position sees those before it and
    itself. Gradients flow.
    """
    batch, length, _ = embedded.shape
    if not lm.projects:  # another LM of transformers runs itself (causal_lm.py)
        return lm.run(embedded, position_ids, read, extend, n_past, present)  # type: ignore[operator]
    packed = Packing(batch, length, valid, lm.model.layers[0].fc1)
    hidden = packed.listed(embedded + lm.model.embed_positions(position_ids, n_past))
    step = BLOCK_CPU if embedded.device.type == "cpu" else BLOCK_GPU
    positions = torch.arange(n_past, n_past + length, device=embedded.device)[None]
    spans = [(a, min(a + step, length)) for a in range(0, length, step)]
    blocks: list[Block] = [
        (a, b, bias(positions[:, a:b], n_past + b, present, embedded.dtype)) for a, b in spans
    ]
    last = len(lm.model.layers) - 1
    for i, layer in enumerate(lm.model.layers):
        attention = layer.self_attn
        normed = layer.self_attn_layer_norm(hidden)
        made = (attention.k_proj(normed), attention.v_proj(normed))
        keys, values = extend(i, *(packed.by_head(flat, attention.num_heads) for flat in made))
        if i == last:
            hidden, normed = packed.at(hidden, read), packed.at(normed, read)
            packed = Packing(batch, read.shape[1], None)
            blocks = [(0, read.shape[1], bias(read + n_past, keys.shape[2], present, embedded.dtype))]
        queries = packed.by_head(attention.q_proj(normed) * attention.scaling, attention.num_heads)
        mixed = [attend(queries[:, :, a:b], keys, values, mask) for a, b, mask in blocks]
        joined = mixed[0] if len(mixed) == 1 else torch.cat(mixed, 2)
        hidden = hidden + attention.out_proj(packed.listed(joined.transpose(1, 2).flatten(2)))
        inner = layer.fc1(layer.final_layer_norm(hidden)).relu_()  # in place: fresh memory costs as much
        hidden = hidden + layer.fc2(inner)
    return lm.model.layer_norm(hidden).view(*read.shape, -1)


def bias(queries: Tensor, n_keys: int, present: Tensor | None, dtype: torch.dtype) -> Tensor:
    """[1 or B, 1, Q, n_keys]: 0 where a query may look, a very low number elsewhere.

    queries int64 [1 or B, Q]: their positions among the keys. Half the lowest number, so that no score can
    make it infinite where a position may look nowhere.
    """
    allowed = torch.arange(n_keys, device=queries.device) <= queries[..., None]
    if present is not None:
        allowed = allowed & present[:, None, :n_keys]
    low = torch.finfo(dtype).min / 2
    return torch.zeros(allowed.shape, dtype=dtype, device=queries.device).masked_fill_(~allowed, low)[:, None]


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """[B, heads, Q, d / heads] over the first K keys, those that the mask [1 or B, 1, Q, K] covers."""
    n_keys = mask.shape[-1]
    scores = (queries @ keys[:, :, :n_keys].transpose(-1, -2)).add_(mask)
    return scores.softmax(-1) @ values[:, :, :n_keys]
