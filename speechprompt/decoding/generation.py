"""Answers from a prompted unit LM: one label, one per slot, or a sequence up to `</s>` (SpeechPrompt, section 3).

The prompts of a request share batches. An answer of one label is read from a row's one pass; rows that
have more to say go on together from their cache, one label at a time, constrained to what may come next
(the slot's labels; any label or the end), so that no special is ever answered. `beam_search` chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from speechprompt.decoding.beam_search import TINY, RawAnswer, Search
from speechprompt.decoding.forward import (
    forward_prompted,
    forward_step,
    label_logits,
    project_prompts,
    to_batch,
)
from speechprompt.machine import check_time, memory_guard
from speechprompt.models.layers import Cache
from speechprompt.models.packing import packed
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import FRAME_RATE, UNIT_OFFSET, Units, Utterance, stretches

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

# Places of one pass: beyond them time per row no longer falls (measured on CPU), but memory grows.
MAX_TOKENS = 2048
MAX_TOKENS_GPU = 32_768
# Rows with more to say go on together, from the keys and values of several passes: a step takes hardly
# longer for many rows than for few.
CACHE_BYTES = 128 << 20

# Utterance and prompt by their places in the request, and what of the utterance is asked about.
Row = tuple[int, int, Utterance]


def pieces(utterance: Utterance, prompt: Prompt) -> list[Utterance]:
    """What a prompt is asked about at once: the utterance, or stretches of its window's length."""
    if prompt.window is None or not isinstance(utterance, Units):
        return [utterance]
    return [*stretches(utterance, round(prompt.window * FRAME_RATE))]


def together(parts: list[RawAnswer]) -> RawAnswer:
    """One label for all stretches of a recording: by the mean of what the LM says at each, in logits."""
    if len(parts) == 1:
        return parts[0]
    logits = np.stack([part.vocabulary_logits for part in parts]).mean(0, dtype=np.float64)
    # The verbalizer is linear, so label logits have the same mean; a log-probability is one but for a constant.
    scores = np.log(np.stack([part.probabilities for part in parts]) + TINY).mean(0, dtype=np.float64)
    odds = np.exp(scores - scores.max())
    probabilities = (odds / odds.sum()).astype(np.float32)
    return RawAnswer([int(probabilities[0].argmax())], probabilities, logits.astype(np.float32))


class PromptedLM:
    """A frozen unit LM with prompts that are projected once and answer together in one batch."""

    def __init__(self, lm: UnitLM, prompts: Sequence[Prompt]) -> None:
        self.lm = packed(lm)
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
        self.fed: list[Tensor] = []  # [C, d] each: what labels are fed back as
        self.caches: list[Cache] = []  # that no batch uses just now
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
        if prompt.label_embeddings is not None:
            self.fed.append(prompt.label_embeddings.to(device) * self.lm.embed_scale)
        else:
            symbols = torch.arange(len(prompt.labels)) if units is None else units
            # Without embeddings of their own only as many labels as units are ever fed back.
            symbols = (symbols + UNIT_OFFSET).clamp(max=self.lm.config.vocab_size - 1)
            self.fed.append(self.lm.model.embed_tokens(symbols.to(device)))

    @memory_guard()
    @torch.inference_mode()
    def answer(self, utterances: Sequence[Utterance], prompts: Sequence[int]) -> list[list[RawAnswer]]:
        """Utterances, indices of prompts -> per utterance, one answer per prompt in order."""
        check_time()
        rows = [
            (u, p, piece)
            for u, utterance in enumerate(utterances)
            for p, index in enumerate(prompts)
            for piece in pieces(utterance, self.prompts[index])
        ]
        rows.sort(key=lambda row: len(row[2]))  # like lengths together: little padding
        answers: dict[tuple[int, int], list[RawAnswer]] = {}
        for start, end in self._spans([piece for *_, piece in rows], self._goes_on(prompts)):
            batch = rows[start:end]
            found = self._answer_batch([piece for *_, piece in batch], [prompts[p] for _, p, _ in batch])
            for (u, p, _), raw in zip(batch, found, strict=True):
                answers.setdefault((u, p), []).append(raw)
        return [[together(answers[u, p]) for p in range(len(prompts))] for u in range(len(utterances))]

    def _answer_batch(self, utterances: Sequence[Utterance], which: list[int]) -> list[RawAnswer]:
        """Rows that are answered together, the short ones first: row i is utterances[i] behind prompt which[i]."""
        device = self.lm.device
        index = torch.tensor(which, device=device)
        lengths = torch.tensor([len(utterance) + 2 for utterance in utterances], device=device)
        longest = len(utterances[-1]) + 2
        # The prompt padding that no row of this batch needs is cut off.
        n_keys = max(self.prompts[i].length if self.prompts[i].deep else 0 for i in which)
        n_inputs = max(0 if self.prompts[i].deep else self.prompts[i].length for i in which)
        key_mask = self.key_mask[index, self.key_mask.shape[1] - n_keys :]
        input_mask = self.input_mask[index, self.input_mask.shape[1] - n_inputs :]
        spoken = torch.arange(longest, device=device) < lengths[:, None]
        present = torch.cat([key_mask, input_mask, spoken], 1)
        cache = None
        if self._goes_on(which):
            cache = self.caches.pop() if self.caches else Cache(self.lm)  # of its own for each thread
            cache.begin(len(which), present.shape[1])
        passes = []
        for start, end in self._spans(utterances):
            own = slice(start, end)
            part = None if cache is None else cache.part(start, end)
            passes.append(self._first_pass(utterances[own], which[own], key_mask[own], input_mask[own], part))
            if cache is not None and part is not None:
                cache.join(part, present.shape[1])
        logits = torch.cat(passes)
        search = Search(self.prompts, which, self._label_logits)
        search.extend(logits)
        while search.alive and cache is not None:
            check_time()
            places = torch.tensor([h.place for h in search.alive], device=device)
            if places.tolist() != list(range(len(present))):  # something ended, or a hypothesis branched
                cache.reorder(places)
            said = [(h.row, len(h.labels)) for h in search.alive]
            rows, counts = torch.tensor(said, device=device).T
            fed = torch.stack([self.fed[which[h.row]][h.labels[-1]] for h in search.alive])
            logits = forward_step(self.lm, cache, fed, lengths[rows] + counts - 1, present[places])
            present = torch.cat([present[places], present.new_ones(len(places), 1)], 1)
            search.extend(logits)
        if cache is not None:
            cache.held.clear()
            self.caches.append(cache)
        return search.answers()

    def _first_pass(
        self,
        utterances: Sequence[Utterance],
        which: list[int],
        key_mask: Tensor,
        input_mask: Tensor,
        cache: Cache | None,
    ) -> Tensor:
        """Logits [B, V] at the separators of some rows. The masks: bool [B, P] and [B, P'], see forward_prompted."""
        check_time()
        tokens, lengths = to_batch(utterances, self.lm.device, start=self.lm.start_token)
        index = torch.tensor(which, device=self.lm.device)
        n_keys, n_inputs = key_mask.shape[1], input_mask.shape[1]
        keys = values = inputs = None
        if n_keys:
            of = index if len(set(which)) > 1 else index[:1]  # one prompt need not be copied for every row
            keys, values = self.keys[:, of, :, -n_keys:], self.values[:, of, :, -n_keys:]
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
            cache=cache,
            prosody=self.lm.beside(
                utterances, tokens.shape[1], [self.prompts[i].absolute_pitch for i in which]
            ),
        )[:, 0]

    def _goes_on(self, which: Sequence[int]) -> bool:
        """Whether any of these prompts may have more than one label to say."""
        return any(self.prompts[i].answer != "label" for i in which)

    def _label_logits(self, index: int, logits: Tensor) -> Tensor:
        """Vocabulary logits [n, V] -> what the verbalizer of prompt `index` makes of them, [n, C] or [n, C + 1]."""
        ends = self.prompts[index].answer == "sequence"
        return label_logits(logits, self.weights[index], self.units[index], end=ends)

    def _spans(self, utterances: Sequence[Utterance], goes_on: bool = False) -> Iterator[tuple[int, int]]:
        """Cut utterances, the short ones first, into first and end of what is passed through the LM at once.

        At most MAX_TOKENS places, padding and prompts included; with goes_on as many as CACHE_BYTES hold.
        """
        n_prompt = self.keys.shape[-2] + self.inputs.shape[1]
        most = MAX_TOKENS if self.lm.device.type == "cpu" else MAX_TOKENS_GPU
        if goes_on:
            n_layers, d = self.keys.shape[0], self.lm.config.d_model
            most = max(most, CACHE_BYTES // (2 * n_layers * d * self.keys.element_size()))
        start = 0
        for i, utterance in enumerate(utterances):
            if i > start and (i + 1 - start) * (n_prompt + len(utterance) + 2) > most:
                yield start, i
                start = i
        if utterances:
            yield start, len(utterances)
