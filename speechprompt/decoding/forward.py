"""Prompted forward pass: units behind a prompt -> logits (SpeechPrompt, section 2.2; v2, section 3).

A row is `</s> u1 … uN <sep>` behind its own prompt; the answer is read at the separator and, when it
has several labels, at the labels that follow. Each row carries its prompt as its past keys and values
(or as input), its separator and its verbalizer, so that prompts share batches. Tuning runs it with
gradients, generation.py with a cache. Knows no audio and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from speechprompt.models.layers import Cache, run_layers
from speechprompt.units import EOS, PAD, SEPARATOR, UNIT_OFFSET, Utterance, to_tokens

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM


def to_batch(
    utterances: Sequence[Utterance],
    device: str | torch.device = "cpu",
    answers: Sequence[Sequence[int]] | None = None,
    start: int = EOS,
) -> tuple[Tensor, Tensor]:
    """Utterances -> tokens int64 [B, T] and lengths [B] (N + 2, to the separator).

    A row is `</s> u1 … uN <sep> a1 … aS <pad>…`, or begins with another start symbol; answers are
    token ids that follow the separator, those from the vocabulary's size V on standing for labels with
    embeddings of their own (V + label).
    """
    lengths = [len(ids) + 2 for ids in utterances]
    said: Sequence[Sequence[int]] = answers or [()] * len(lengths)
    width = max(n + len(answer) for n, answer in zip(lengths, said, strict=True))
    tokens = torch.full((len(lengths), width), PAD)
    for row, ids, answer in zip(tokens, utterances, said, strict=True):
        given = [start, *to_tokens(ids), SEPARATOR, *answer]
        row[: len(given)] = torch.tensor(given)
    return tokens.to(device), torch.tensor(lengths, device=device)


def project_prompts(lm: UnitLM, key_prompts: Tensor, value_prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Deep prompts [L, P, d] -> past keys and values [L, heads, P, d / heads], in the LM's dtype.

    They pass the layers' own projections, biases included, but no layer norm and no embedding scale.
    """
    heads = lm.config.attention_heads
    keys, values = [], []
    for layer, key, value in zip(lm.model.layers, key_prompts, value_prompts, strict=True):
        keys.append(layer.self_attn.k_proj(key.to(lm.dtype)))
        values.append(layer.self_attn.v_proj(value.to(lm.dtype)))
    n_layers, length, d = key_prompts.shape
    return (
        torch.stack(keys).view(n_layers, length, heads, d // heads).transpose(1, 2),
        torch.stack(values).view(n_layers, length, heads, d // heads).transpose(1, 2),
    )


def forward_prompted(
    lm: UnitLM,
    tokens: Tensor,
    lengths: Tensor,
    keys: Tensor | None,
    values: Tensor | None,
    separator: Tensor,
    key_mask: Tensor | None = None,
    inputs: Tensor | None = None,
    input_mask: Tensor | None = None,
    positions: Tensor | None = None,
    cache: Cache | None = None,
    label_embeddings: Tensor | None = None,
    prosody: Tensor | None = None,
) -> Tensor:
    """Logits float32 [B, S, V] over the vocabulary, at the answer positions only.

    tokens int64 [B, T], padded on the right; lengths int64 [B]. keys and values as project_prompts
    gives them, [L, heads, P, d / heads] for one prompt or [L, B, …] for one per row. separator [d] or
    [B, d], in place of every SEPARATOR token. inputs [P', d] or [B, P', d]: input prompts. The masks,
    bool [B, P] and [B, P'], say which prompt vectors a row really has; None means all. positions int64
    [B, S]: where to read, by default the separator (S = 1). label_embeddings [C, d]: of tokens V + c. prosody
    [B, T, d]: what UnitLM.beside gives. An empty `cache` is left with the keys and
    values of everything, for `forward_step`. Gradients reach keys, values, separator and inputs.
    """
    batch, length = tokens.shape
    n_symbols = lm.config.vocab_size
    embedded = lm.model.embed_tokens(tokens.masked_fill(tokens >= n_symbols, PAD))
    if label_embeddings is not None:
        own = tokens >= n_symbols
        labels = label_embeddings[(tokens - n_symbols).clamp(min=0)] * lm.embed_scale
        embedded = torch.where(own[..., None], labels.to(embedded.dtype), embedded)
    scaled = (separator * lm.embed_scale).to(embedded.dtype).expand(batch, -1)
    embedded = torch.where((tokens == SEPARATOR)[..., None], scaled[:, None], embedded)
    if prosody is not None:
        embedded = embedded + prosody.to(embedded.dtype)
    # Tokens keep the positions 0 … T-1 whatever the prompt's length.
    position_ids = torch.arange(length, device=tokens.device)[None] + lm.first_position
    n_inputs = 0 if inputs is None else inputs.shape[-2]
    if inputs is not None:
        # Input prompts have no position: -1 is the table's padding row, which is zero.
        position_ids = F.pad(position_ids, (n_inputs, 0), value=-1)
        embedded = torch.cat([inputs.to(embedded.dtype).expand(batch, -1, -1), embedded], 1)
    n_keys = 0 if keys is None else keys.shape[-2]

    def extend(layer: int, own_keys: Tensor, own_values: Tensor) -> tuple[Tensor, Tensor]:
        before: tuple[Tensor, Tensor] | None = None
        if keys is not None and values is not None:
            before = (keys[layer].expand(batch, -1, -1, -1), values[layer].expand(batch, -1, -1, -1))
        if cache is not None:
            if before:
                cache.extend(layer, *before)
            return cache.extend(layer, own_keys, own_values)
        if before:
            return torch.cat([before[0], own_keys], 2), torch.cat([before[1], own_values], 2)
        return own_keys, own_values

    at = (lengths[:, None] - 1 if positions is None else positions) + n_inputs
    present = present_places(batch, length, n_keys, n_inputs, key_mask, input_mask, tokens.device)
    there = F.pad(tokens != PAD, (n_inputs, 0), value=True)
    if present is not None:  # the padding of shorter input prompts
        there = there & present[:, n_keys:]
    hidden = run_layers(lm, embedded, position_ids, at, extend, n_keys, present, there)
    return lm.lm_head(hidden).float()


def forward_step(lm: UnitLM, cache: Cache, embedded: Tensor, positions: Tensor, present: Tensor) -> Tensor:
    """Logits float32 [B, V] after one more place per row; the cache grows by it.

    embedded [B, d], scaled as tokens are; positions int64 [B], the place of each in its row; present
    bool [B, K], which of the K cached places a row really has (padding of prompts and rows is not).
    """
    embedded = embedded[:, None].to(lm.dtype)
    beside = lm.beside_label()
    if beside is not None:
        embedded = embedded + beside
    there = F.pad(present, (0, 1), value=True)
    here = torch.zeros_like(positions)[:, None]
    position_ids = positions[:, None] + lm.first_position
    hidden = run_layers(lm, embedded, position_ids, here, cache.extend, present.shape[1], there)
    return lm.lm_head(hidden[:, 0]).float()


def present_places(
    batch: int,
    length: int,
    n_keys: int,
    n_inputs: int,
    key_mask: Tensor | None,
    input_mask: Tensor | None,
    device: torch.device,
) -> Tensor | None:
    """bool [B, P + P' + T]: which places a row really has, or None for all.

    Padding on the right counts as there: it comes after every position that is read.
    """
    if key_mask is None and input_mask is None:
        return None
    present = torch.ones(batch, n_keys + n_inputs + length, dtype=torch.bool, device=device)
    if key_mask is not None:
        present[:, :n_keys] = key_mask
    if input_mask is not None:
        present[:, n_keys : n_keys + n_inputs] = input_mask
    return present


def label_logits(
    vocabulary_logits: Tensor, weight: Tensor | None = None, units: Tensor | None = None, end: bool = False
) -> Tensor:
    """Vocabulary logits [..., V] -> label logits [..., C] by a verbalizer, specials left out.

    Learned: weight [C + 4, V] maps the logits linearly. Fixed: units int64 [C], one for each label.
    With `end`, one more output (the last) is that of `</s>`, which ends a sequence.
    """
    if weight is not None:
        rows = torch.cat([weight[UNIT_OFFSET:], weight[EOS : EOS + 1]]) if end else weight[UNIT_OFFSET:]
        return F.linear(vocabulary_logits, rows)
    if units is None:
        raise ValueError("a verbalizer is either a weight or units")
    symbols = units + UNIT_OFFSET
    return vocabulary_logits[..., F.pad(symbols, (0, 1), value=EOS) if end else symbols]
