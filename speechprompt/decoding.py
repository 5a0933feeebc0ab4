"""Prompted forward pass: units and prompts -> answers (SpeechPrompt, section 2.2; v2, section 3).

A row is `</s> u1 … uN <sep>` behind its own prompt, and the answer is read at the separator. All
prompts of a request share one batch of the frozen unit LM: each row carries its prompt as its past
keys and values, its separator and its verbalizer. Training runs the same `forward_prompted`, with
gradients. Knows no audio and no files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache, XGLMForCausalLM

from speechprompt.prompt import Prompt
from speechprompt.unit_lm import embed_scale
from speechprompt.units import EOS, PAD, SEPARATOR, UNIT_OFFSET, to_tokens

# Bounds of one LM batch: beyond them time per row no longer falls (measured on CPU), but memory grows.
MAX_TOKENS = 4096
MAX_WEIGHTS = 1 << 25  # attention weights of one layer: 128 MB in float32, held about three times


@dataclass(frozen=True, eq=False)
class RawAnswer:
    """One prompt's answer to one utterance, before units and labels get their names.

    probabilities: float32 [C], softmax over the task's labels alone, so that no special can win;
    vocabulary_logits: float32 [V], what the LM itself says at the answer position.
    """

    probabilities: np.ndarray
    vocabulary_logits: np.ndarray


def to_batch(
    utterances: Sequence[Sequence[int] | np.ndarray], device: str | torch.device = "cpu"
) -> tuple[Tensor, Tensor]:
    """Unit ids per utterance -> tokens int64 [B, T] `</s> u1 … uN <sep> <pad>…` and lengths [B] (N + 2)."""
    lengths = [len(ids) + 2 for ids in utterances]
    tokens = torch.full((len(lengths), max(lengths)), PAD)
    for row, ids, length in zip(tokens, utterances, lengths, strict=True):
        row[:length] = torch.tensor([EOS, *to_tokens(ids), SEPARATOR])
    return tokens.to(device), torch.tensor(lengths, device=device)


def project_prompts(lm: XGLMForCausalLM, key_prompts: Tensor, value_prompts: Tensor) -> tuple[Tensor, Tensor]:
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
    lm: XGLMForCausalLM,
    tokens: Tensor,
    lengths: Tensor,
    keys: Tensor | None,
    values: Tensor | None,
    separator: Tensor,
    key_mask: Tensor | None = None,
    inputs: Tensor | None = None,
    input_mask: Tensor | None = None,
    positions: Tensor | None = None,
) -> Tensor:
    """Logits float32 [B, S, V] over the vocabulary, at the answer positions only.

    tokens int64 [B, T], padded on the right; lengths int64 [B]. keys and values as project_prompts
    gives them, [L, heads, P, d / heads] for one prompt or [L, B, …] for one per row. separator [d] or
    [B, d], in place of every SEPARATOR token. inputs [P', d] or [B, P', d]: input prompts. The masks,
    bool [B, P] and [B, P'], say which prompt vectors a row really has; None means all. positions int64
    [B, S]: where to read, by default the separator (S = 1). Gradients reach keys, values, separator and
    inputs.
    """
    batch, length = tokens.shape
    embedded = lm.model.embed_tokens(tokens)
    scaled = (separator * embed_scale(lm)).to(embedded.dtype).expand(batch, -1)
    embedded = torch.where((tokens == SEPARATOR)[..., None], scaled[:, None], embedded)
    # Tokens keep the positions 0 … T-1 whatever the prompt's length.
    position_ids = torch.arange(length, device=tokens.device)[None]
    n_inputs = 0 if inputs is None else inputs.shape[-2]
    if inputs is not None:
        # Input prompts have no position: -1 is the table's padding row, which is zero.
        position_ids = F.pad(position_ids, (n_inputs, 0), value=-1)
        embedded = torch.cat([inputs.to(embedded.dtype).expand(batch, -1, -1), embedded], 1)
    n_keys, cache = 0, None
    if keys is not None and values is not None:
        n_keys = keys.shape[-2]
        layers = zip(keys, values, strict=True)
        cache = DynamicCache([(k.expand(batch, -1, -1, -1), v.expand(batch, -1, -1, -1)) for k, v in layers])
    hidden = lm.model(
        inputs_embeds=embedded,
        attention_mask=_attention_bias(batch, length, n_keys, n_inputs, key_mask, input_mask, embedded),
        position_ids=position_ids.expand(batch, -1),
        past_key_values=cache,
        use_cache=False,
    ).last_hidden_state
    at = (lengths[:, None] - 1 if positions is None else positions) + n_inputs
    answers = hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[-1]))
    return lm.lm_head(answers).float()


def _attention_bias(
    batch: int,
    length: int,
    n_keys: int,
    n_inputs: int,
    key_mask: Tensor | None,
    input_mask: Tensor | None,
    like: Tensor,
) -> Tensor:
    """[B, 1, P' + T, P + P' + T]: 0 where a position may look, the lowest number elsewhere.

    Padding on the right needs no mask of its own: it comes after every position that is read.
    """
    queries = n_inputs + length
    allowed = torch.ones(queries, n_keys + queries, dtype=torch.bool, device=like.device).tril(n_keys)[None]
    if key_mask is not None or input_mask is not None:
        present = torch.ones(batch, n_keys + queries, dtype=torch.bool, device=like.device)
        if key_mask is not None:
            present[:, :n_keys] = key_mask
        if input_mask is not None:
            present[:, n_keys : n_keys + n_inputs] = input_mask
        allowed = allowed & present[:, None]
    bias = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    bias.masked_fill_(~allowed, torch.finfo(like.dtype).min)
    return bias[:, None].expand(batch, -1, -1, -1)


def label_logits(
    vocabulary_logits: Tensor, weight: Tensor | None = None, units: Tensor | None = None
) -> Tensor:
    """Vocabulary logits [..., V] -> label logits [..., C] by a verbalizer, specials left out.

    Learned: weight [C + 4, V] maps the logits linearly. Fixed: units int64 [C], one for each label.
    """
    if weight is not None:
        return F.linear(vocabulary_logits, weight[UNIT_OFFSET:])
    if units is None:
        raise ValueError("a verbalizer is either a weight or units")
    return vocabulary_logits[..., units + UNIT_OFFSET]


class PromptedLM:
    """A frozen unit LM with prompts that are projected once and answer together in one batch."""

    def __init__(self, lm: XGLMForCausalLM, prompts: Sequence[Prompt]) -> None:
        self.lm = lm
        self.prompts = list(prompts)
        device, config = lm.device, lm.config
        n, heads, d = len(self.prompts), config.attention_heads, config.d_model
        n_keys = max((p.length for p in self.prompts if p.deep), default=0)
        n_inputs = max((p.length for p in self.prompts if not p.deep), default=0)
        # Shorter prompts are padded on the left, and the padding is masked.
        self.keys = torch.zeros(
            config.num_layers, n, heads, n_keys, d // heads, dtype=lm.dtype, device=device
        )
        self.values = torch.zeros_like(self.keys)
        self.key_mask = torch.zeros(n, n_keys, dtype=torch.bool, device=device)
        self.inputs = torch.zeros(n, n_inputs, d, device=device)
        self.input_mask = torch.zeros(n, n_inputs, dtype=torch.bool, device=device)
        self.separators = torch.zeros(n, d, device=device)
        self.weights: list[Tensor | None] = []
        self.units: list[Tensor | None] = []
        with torch.inference_mode():
            for i, prompt in enumerate(self.prompts):
                self._place(i, prompt)

    def _place(self, i: int, prompt: Prompt) -> None:
        device, length = self.lm.device, prompt.length
        self.separators[i] = prompt.separator.to(device)
        if prompt.key_prompts is not None and prompt.value_prompts is not None:
            own = project_prompts(self.lm, prompt.key_prompts.to(device), prompt.value_prompts.to(device))
            self.keys[:, i, :, -length:], self.values[:, i, :, -length:] = own
            self.key_mask[i, -length:] = True
        elif prompt.input_prompts is not None:
            self.inputs[i, -length:] = prompt.input_prompts.to(device)
            self.input_mask[i, -length:] = True
        weight, units = prompt.verbalizer_weight, prompt.verbalizer_units
        self.weights.append(None if weight is None else weight.to(device))
        self.units.append(None if units is None else units.to(device))

    @torch.inference_mode()
    def answer(
        self, utterances: Sequence[Sequence[int] | np.ndarray], prompts: Sequence[int]
    ) -> list[list[RawAnswer]]:
        """Unit ids per utterance, indices of prompts -> per utterance, one answer per prompt in order."""
        rows = [(u, p) for u in range(len(utterances)) for p in range(len(prompts))]
        rows.sort(key=lambda row: len(utterances[row[0]]))  # like lengths together: little padding
        answers: dict[tuple[int, int], RawAnswer] = {}
        for chunk in self._chunks(rows, [len(ids) + 2 for ids in utterances]):
            which = [prompts[p] for _, p in chunk]
            logits = self._forward([utterances[u] for u, _ in chunk], which)
            for index in set(which):
                members = [i for i, prompt in enumerate(which) if prompt == index]
                scores = label_logits(logits[members], self.weights[index], self.units[index]).softmax(-1)
                vocabulary = logits[members].cpu().numpy()
                for i, row, probabilities in zip(members, vocabulary, scores.cpu().numpy(), strict=True):
                    answers[chunk[i]] = RawAnswer(probabilities, row)
        return [[answers[u, p] for p in range(len(prompts))] for u in range(len(utterances))]

    def _forward(self, utterances: Sequence[Sequence[int] | np.ndarray], which: list[int]) -> Tensor:
        """Vocabulary logits [B, V] at the separators; row i carries prompt which[i]."""
        tokens, lengths = to_batch(utterances, self.lm.device)
        index = torch.tensor(which, device=self.lm.device)
        # The prompt padding that no row of this batch needs is cut off.
        n_keys = max(self.prompts[i].length if self.prompts[i].deep else 0 for i in which)
        n_inputs = max(0 if self.prompts[i].deep else self.prompts[i].length for i in which)
        key_mask = self.key_mask[index, self.key_mask.shape[1] - n_keys :]
        input_mask = self.input_mask[index, self.input_mask.shape[1] - n_inputs :]
        keys = values = inputs = None
        if n_keys:
            keys, values = self.keys[:, index, :, -n_keys:], self.values[:, index, :, -n_keys:]
        if n_inputs:
            inputs = self.inputs[index, -n_inputs:]
        return forward_prompted(
            self.lm,
            tokens,
            lengths,
            keys,
            values,
            self.separators[index],
            None if bool(key_mask.all()) else key_mask,
            inputs,
            None if bool(input_mask.all()) else input_mask,
        )[:, 0]

    def _chunks(self, rows: list[tuple[int, int]], lengths: list[int]) -> Iterator[list[tuple[int, int]]]:
        """Cut rows (sorted by length) into batches that stay within MAX_TOKENS and MAX_WEIGHTS."""
        n_prompt = self.keys.shape[-2] + self.inputs.shape[1]
        chunk: list[tuple[int, int]] = []
        for row in rows:
            total = n_prompt + lengths[row[0]]
            size = len(chunk) + 1
            weights = size * total * total * self.lm.config.attention_heads
            if chunk and (size * total > MAX_TOKENS or weights > MAX_WEIGHTS):
                yield chunk
                chunk = []
            chunk.append(row)
        if chunk:
            yield chunk
