"""Prompted forward pass: units behind a prompt -> logits (SpeechPrompt, section 2.2; v2, section 3).

A row is `</s> u1 … uN <sep>` behind its own prompt; the answer is read at the separator and, when it
has several labels, at the labels that follow. Each row has a prompt of its own (`Prefix`), so that prompts
share batches. Tuning runs it with gradients, generation.py with a cache. Knows no audio and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from speechprompt.decoding.prefix import Prefix
from speechprompt.models.layers import Cache, run_layers
from speechprompt.units import EOS, PAD, SEPARATOR, UNIT_OFFSET, Utterance, to_tokens

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows for the LM: tokens int64 [B, T], padded on the right; lengths int64 [B], to the separator (N + 2).

    beside [B, T, d]: what UnitLM.beside adds to the embeddings, None for nothing.
    """

    tokens: Tensor
    lengths: Tensor
    beside: Tensor | None = None


def to_batch(
    lm: UnitLM,
    utterances: Sequence[Utterance],
    absolute: Sequence[bool] | None = None,
    answers: Sequence[Sequence[int]] | None = None,
) -> Batch:
    """Utterances -> a batch on the LM's device.

    A row is `</s> u1 … uN <sep> a1 … aS <pad>…`, or begins with another start symbol; answers are
    token ids that follow the separator, those from the vocabulary's size V on standing for labels with
    embeddings of their own (V + label). absolute: see UnitLM.beside; by default none.
    """
    lengths = [len(ids) + 2 for ids in utterances]
    after: Sequence[Sequence[int]] = answers or [()] * len(lengths)
    width = max(n + len(answer) for n, answer in zip(lengths, after, strict=True))
    tokens = torch.full((len(lengths), width), PAD)
    for row, ids, answer in zip(tokens, utterances, after, strict=True):
        given = [lm.start_token, *to_tokens(ids), SEPARATOR, *answer]
        row[: len(given)] = torch.tensor(given)
    beside = lm.beside(utterances, width, absolute or [False] * len(lengths))
    return Batch(tokens.to(lm.device), torch.tensor(lengths, device=lm.device), beside)


def forward_prompted(
    lm: UnitLM,
    batch: Batch,
    prefix: Prefix,
    positions: Tensor | None = None,
    cache: Cache | None = None,
) -> Tensor:
    """Logits float32 [B, S, V] over the vocabulary, at the answer positions only.

    positions int64 [B, S]: where to read, by default the separator (S = 1). An empty `cache` is left with the keys
    and values of everything, for `forward_step`. Gradients reach the tensors of the prefix.
    """
    tokens = batch.tokens
    n, length = tokens.shape
    n_symbols, n_keys, n_inputs = lm.config.vocab_size, prefix.n_keys, prefix.n_inputs
    embedded = lm.model.embed_tokens(tokens.masked_fill(tokens >= n_symbols, PAD))
    if prefix.label_embeddings is not None:
        is_label = tokens >= n_symbols
        labels = prefix.label_embeddings[(tokens - n_symbols).clamp(min=0)] * lm.embed_scale
        embedded = torch.where(is_label[..., None], labels.to(embedded.dtype), embedded)
    separator = (prefix.separator * lm.embed_scale).to(embedded.dtype)
    embedded = torch.where((tokens == SEPARATOR)[..., None], separator[:, None], embedded)
    if batch.beside is not None:
        embedded = embedded + batch.beside.to(embedded.dtype)
    # Tokens keep the positions 0 … T-1 whatever the prompt's length, or come after it.
    position_ids = torch.arange(length, device=tokens.device)[None] + lm.first_position
    if prefix.shift is not None:
        position_ids = position_ids + prefix.shift[:, None]
    if prefix.inputs is not None:
        # Input prompts have no position: -1 is the table's padding row, which is zero.
        before = torch.full((len(position_ids), n_inputs), -1, device=tokens.device)
        if prefix.shift is not None:
            places = torch.arange(-n_inputs, 0, device=tokens.device)[None] + prefix.shift[:, None]
            before = torch.where(places >= 0, places + lm.first_position, before)
        position_ids = torch.cat([before, position_ids], 1)
        embedded = torch.cat([prefix.inputs.to(embedded.dtype).expand(n, -1, -1), embedded], 1)

    def extend(layer: int, new_keys: Tensor, new_values: Tensor) -> tuple[Tensor, Tensor]:
        before: tuple[Tensor, Tensor] | None = None
        if prefix.keys is not None and prefix.values is not None:
            before = (prefix.keys[layer].expand(n, -1, -1, -1), prefix.values[layer].expand(n, -1, -1, -1))
        if cache is not None:
            if before:
                cache.extend(layer, *before)
            return cache.extend(layer, new_keys, new_values)
        if before:
            return torch.cat([before[0], new_keys], 2), torch.cat([before[1], new_values], 2)
        return new_keys, new_values

    read = (batch.lengths[:, None] - 1 if positions is None else positions) + n_inputs
    prompts, spoken = prefix.mask(n), tokens != PAD
    if prompts is None:
        present, real = None, F.pad(spoken, (n_keys + n_inputs, 0), value=True)
    else:
        # Padding on the right may be looked at: it comes after every position that is read.
        present, real = F.pad(prompts, (0, length), value=True), torch.cat([prompts, spoken], 1)
    hidden = run_layers(lm, embedded, position_ids, read, extend, n_keys, present, real[:, n_keys:])
    if cache is not None:
        cache.settle(real)
    return lm.lm_head(hidden).float()


def forward_step(
    lm: UnitLM, cache: Cache, rows: Sequence[int], embedded: Tensor, positions: Tensor
) -> Tensor:
    """Logits float32 [B, V] after one more place for each row that goes on; the cache grows by it.

    rows: the B rows of the cache that go on, in their new order; one may come more than once. embedded
    [B, d], scaled as tokens are; positions int64 [B], the place of each in its row.
    """
    cache.keep(rows)
    embedded = embedded[:, None].to(lm.dtype)
    beside = lm.beside_label()
    if beside is not None:
        embedded = embedded + beside
    n_past = cache.present.shape[1]
    cache.present = F.pad(cache.present, (0, 1), value=True)
    here = torch.zeros_like(positions)[:, None]
    position_ids = positions[:, None] + lm.first_position
    hidden = run_layers(lm, embedded, position_ids, here, cache.extend, n_past, cache.present)
    return lm.lm_head(hidden[:, 0]).float()


def label_logits(
    vocabulary_logits: Tensor, weight: Tensor | None = None, units: Tensor | None = None, end: bool = False
) -> Tensor:
    """Vocabulary logits [..., V] -> label logits [..., C] by a verbalizer, specials left out.

    Learned: weight [C + 4, V] maps the logits linearly. Fixed: units int64 [C], one for each label, or
    [C, K], several, of which -1 is none: a label's probability is the sum of its
    units'. With `end`, one more output (the last) is that of `</s>`, which ends a sequence.
    """
    if weight is not None:
        rows = torch.cat([weight[UNIT_OFFSET:], weight[EOS : EOS + 1]]) if end else weight[UNIT_OFFSET:]
        return F.linear(vocabulary_logits, rows)
    if units is None:
        raise ValueError("a verbalizer is either a weight or units")
    if units.ndim == 1:
        symbols = units + UNIT_OFFSET
        return vocabulary_logits[..., F.pad(symbols, (0, 1), value=EOS) if end else symbols]
    found = vocabulary_logits[..., units.clamp(min=0) + UNIT_OFFSET].masked_fill(units < 0, -torch.inf)
    found = found.logsumexp(-1)
    return torch.cat([found, vocabulary_logits[..., EOS : EOS + 1]], -1) if end else found


def outside_mass(vocabulary_logits: Tensor, units: Tensor, end: bool = False) -> Tensor:
    """Vocabulary logits [..., V] -> log-probability [...] of all that is no unit of any label.

    units: of a fixed verbalizer, see label_logits. With `end`, `</s>` belongs to what may be answered.
    """
    inside = units[units >= 0] + UNIT_OFFSET
    outside = torch.ones(vocabulary_logits.shape[-1], dtype=torch.bool, device=vocabulary_logits.device)
    outside[F.pad(inside, (0, 1), value=EOS) if end else inside] = False
    return vocabulary_logits[..., outside].logsumexp(-1) - vocabulary_logits.logsumexp(-1)
