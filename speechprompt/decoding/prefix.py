"""The prompts of a batch's rows as one thing: what the forward pass puts before and into each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from speechprompt.prompts.prompt import Prompt

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM


@dataclass(frozen=True, eq=False)
class Prefix:
    """Prompts of B rows, or of one that all rows of a batch have (B = 1).

    separator [B, d], in place of every SEPARATOR token. keys and values [L, B, heads, P, d / heads]: deep prompts
    as `project` gives them, in the LM's dtype. inputs [B, P', d]: input prompts. key_mask and input_mask, bool
    [B, P] and [B, P']: the prompt vectors that a row has, the others are padding on the left; None for all.
    label_embeddings [C, d]: of tokens V + c, which stand for labels. shift: int64 [B], the position of a row's first
    token; None for 0. Gradients pass through all but the masks.
    """

    separator: Tensor
    keys: Tensor | None = None
    values: Tensor | None = None
    key_mask: Tensor | None = None
    inputs: Tensor | None = None
    input_mask: Tensor | None = None
    label_embeddings: Tensor | None = None
    shift: Tensor | None = None

    @classmethod
    def of(cls, lm: UnitLM, prompts: Sequence[Prompt]) -> Prefix:
        """One row for each prompt, on the LM's device; shorter ones are padded."""
        n, config = len(prompts), lm.config
        n_keys = max((prompt.length for prompt in prompts if prompt.deep), default=0)
        n_inputs = max((prompt.length for prompt in prompts if not prompt.deep), default=0)
        shape = (config.num_layers, n, lm.past_heads, n_keys, lm.head_width)
        keys, values = (torch.zeros(shape, dtype=lm.dtype, device=lm.device) for _ in range(2))
        inputs = torch.zeros(n, n_inputs, config.d_model, device=lm.device)
        key_mask = torch.zeros(n, n_keys, dtype=torch.bool, device=lm.device)
        input_mask = torch.zeros(n, n_inputs, dtype=torch.bool, device=lm.device)
        separator = torch.zeros(n, config.d_model, device=lm.device)
        for i, prompt in enumerate(prompts):
            separator[i] = prompt.separator.to(lm.device)
            if prompt.key_prompts is not None and prompt.value_prompts is not None:
                prompts_of = prompt.key_prompts.to(lm.device), prompt.value_prompts.to(lm.device)
                projected_keys, projected_values = past(lm, *prompts_of, prompt.projected)
                keys[:, i, :, -prompt.length :] = projected_keys[:, 0]
                values[:, i, :, -prompt.length :] = projected_values[:, 0]
                key_mask[i, -prompt.length :] = True
            elif prompt.input_prompts is not None:
                inputs[i, -prompt.length :] = prompt.input_prompts.to(lm.device)
                input_mask[i, -prompt.length :] = True
        shifts = [prompt.shift for prompt in prompts]
        shift = torch.tensor(shifts, device=lm.device) if any(shifts) else None
        return cls(separator, keys, values, key_mask, inputs, input_mask, shift=shift)

    @property
    def n_keys(self) -> int:
        """P, the places that deep prompts take before a row."""
        return 0 if self.keys is None else self.keys.shape[-2]

    @property
    def n_inputs(self) -> int:
        """P', the places that input prompts take at the beginning of a row."""
        return 0 if self.inputs is None else self.inputs.shape[-2]

    @property
    def row_bytes(self) -> int:
        """What one row's prompts take in memory."""
        tensors = (self.separator, self.keys, self.values, self.inputs)
        return sum(t.numel() * t.itemsize for t in tensors if t is not None) // len(self.separator)

    def rows(self, index: Sequence[int]) -> Prefix:
        """The rows of these numbers, in their order; where all are the same, that one for all."""
        of: slice | Tensor = slice(index[0], index[0] + 1)  # one prompt need not be copied for every row
        if len(set(index)) > 1:
            of = torch.tensor(index, device=self.separator.device)

        def chosen(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[of]

        return replace(
            self,
            separator=self.separator[of],
            keys=None if self.keys is None else self.keys[:, of],
            values=None if self.values is None else self.values[:, of],
            key_mask=chosen(self.key_mask),
            inputs=chosen(self.inputs),
            input_mask=chosen(self.input_mask),
            shift=chosen(self.shift),
        )

    def cut(self) -> Prefix:
        """Without the padding that no row needs, and without a mask where no row has padding."""
        n_keys, key_mask = needed(self.key_mask, self.n_keys)
        n_inputs, input_mask = needed(self.input_mask, self.n_inputs)
        return replace(
            self,
            keys=None if self.keys is None or not n_keys else self.keys[..., -n_keys:, :],
            values=None if self.values is None or not n_keys else self.values[..., -n_keys:, :],
            key_mask=key_mask,
            inputs=None if self.inputs is None or not n_inputs else self.inputs[:, -n_inputs:],
            input_mask=input_mask,
        )

    def mask(self, batch: int) -> Tensor | None:
        """bool [batch, P + P']: the prompt vectors that each row has; None for all."""
        if self.key_mask is None and self.input_mask is None:
            return None
        masks = [
            self.separator.new_ones(1, n, dtype=torch.bool) if mask is None else mask
            for mask, n in ((self.key_mask, self.n_keys), (self.input_mask, self.n_inputs))
        ]
        return torch.cat([mask.expand(batch, -1) for mask in masks], 1)


def needed(mask: Tensor | None, n: int) -> tuple[int, Tensor | None]:
    """How many of n vectors any row has, and the mask of those; None where every row has them all."""
    if mask is None or not n:
        return n, None
    n = int(mask.any(0).sum())
    left = mask[:, mask.shape[1] - n :]
    return n, None if bool(left.all()) else left


def past(lm: UnitLM, key_prompts: Tensor, value_prompts: Tensor, projected: bool) -> tuple[Tensor, Tensor]:
    """Deep prompts [L, P, width] of one row -> its past keys and values [L, 1, heads, P, d / heads], in the LM's dtype.

    projected: they are these already. Else they pass the layers' own projections, biases included, but no layer norm
    and no embedding scale.
    """
    n_layers, length, _ = key_prompts.shape
    keys, values = key_prompts.to(lm.dtype), value_prompts.to(lm.dtype)
    if not projected:
        of = [layer.self_attn for layer in lm.model.layers]
        keys = torch.stack([one.k_proj(key) for one, key in zip(of, keys, strict=True)])
        values = torch.stack([one.v_proj(value) for one, value in zip(of, values, strict=True)])
    shape = (n_layers, 1, length, lm.past_heads, lm.head_width)
    return keys.reshape(shape).transpose(2, 3), values.reshape(shape).transpose(2, 3)
