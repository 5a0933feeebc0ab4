"""Answers from a prompted unit LM: one label, one per slot, or a sequence up to `</s>` (SpeechPrompt, section 3).

The prompts of a request share batches. An answer of one label is read from a row's one pass; rows that
have more labels go on together from their cache, one label at a time, constrained to what may come next
(the slot's labels; any label or the end), so that no special is ever answered. `beam_search` chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from speechprompt.decoding.beam_search import TINY, RawAnswer, Search
from speechprompt.decoding.fits import NO_JUDGES, Evidence, Judges
from speechprompt.decoding.forward import forward_prompted, forward_step, label_logits, to_batch
from speechprompt.decoding.prefix import Prefix
from speechprompt.machine.memory import memory_guard
from speechprompt.machine.request_time import check_time
from speechprompt.models.layers import Cache
from speechprompt.models.packing import packed
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import FRAME_RATE, UNIT_OFFSET, Units, Utterance, stretches

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

# Places of one pass: beyond them time per row no longer falls (measured on CPU), but memory grows.
MAX_TOKENS = 2048
MAX_TOKENS_GPU = 32_768
# Rows with more labels go on together, from the keys and values of several passes: a step takes hardly
# longer for many rows than for few.
CACHE_BYTES = 128 << 20
# The prompts of the batches before, put together for their rows: a page, a folder and a stream ask the same again.
KEPT_BATCHES, KEPT_BYTES = 4, 12 << 20
STREAMED = 256  # utterances of a stream that are answered at a time


def pieces(utterance: Utterance, prompt: Prompt) -> list[Utterance]:
    """What a prompt is asked about at once: the utterance, or stretches of its window's length."""
    if prompt.form.window is None or not isinstance(utterance, Units):
        return [utterance]
    return [*stretches(utterance, round(prompt.form.window * FRAME_RATE))]


def together(parts: list[RawAnswer], prompt: Prompt) -> RawAnswer:
    """One label for all stretches of a recording: by the mean of the LM's logits at each."""
    if len(parts) == 1:
        return parts[0]
    logits = np.stack([part.vocabulary_logits for part in parts]).mean(0, dtype=np.float64)
    units = prompt.verbalizer_units
    if units is not None and units.ndim == 2:
        scores = label_logits(torch.from_numpy(logits), units=units) / prompt.temperature
    else:
        # The verbalizer is linear, so label logits have the same mean; a log-probability is one but for a constant.
        mean = np.log(np.stack([part.probabilities for part in parts]) + TINY).mean(0, dtype=np.float64)
        scores = torch.from_numpy(mean)
    probabilities = scores.softmax(-1).float().numpy()
    return RawAnswer([int(probabilities[0].argmax())], probabilities, logits.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Query:
    """What one row asks of the LM: utterance and prompt by their number in the request, and a piece of the former."""

    utterance: int
    prompt: int
    piece: Utterance


class PromptedLM:
    """A frozen unit LM with prompts that are projected once and answer together in one batch."""

    def __init__(self, lm: UnitLM, prompts: Sequence[Prompt], judges: Judges = NO_JUDGES) -> None:
        """judges: answer beside the prompts where `judged` is asked."""
        self.lm = packed(lm)
        self.prompts, self.judges = list(prompts), judges
        ready = list(dict.fromkeys([*self.prompts, *judges.prompts]))
        self.numbers = {prompt: i for i, prompt in enumerate(ready)}
        self.caches: list[Cache] = []  # that no batch uses just now
        with torch.inference_mode():
            prefix = self.prefix = Prefix.of(self.lm, ready)
            self._kept = lru_cache(KEPT_BATCHES)(lambda which: prefix.rows(which).cut())
            self.verbalizers = [to_device(prompt, lm.device) for prompt in ready]
            self.fed = [label_inputs(self.lm, prompt) for prompt in ready]
            self.absolute = [prompt.absolute_pitch for prompt in ready]

    @memory_guard()
    @torch.inference_mode()
    def answer(
        self, utterances: Sequence[Utterance], prompts: Sequence[Prompt] | None = None
    ) -> list[list[RawAnswer]]:
        """Per utterance, one answer for each prompt in order; prompts: some of this LM's, by default all."""
        check_time()
        prompts = self.prompts if prompts is None else prompts
        queries = [
            Query(u, p, piece)
            for u, utterance in enumerate(utterances)
            for p, prompt in enumerate(prompts)
            for piece in pieces(utterance, prompt)
        ]
        queries.sort(key=lambda query: len(query.piece))  # like lengths together: little padding
        answers: dict[tuple[int, int], list[RawAnswer]] = {}
        for start, end in self._spans([query.piece for query in queries], several_labels(prompts)):
            batch = queries[start:end]
            found = self._answer_batch([q.piece for q in batch], [prompts[q.prompt] for q in batch])
            for query, raw in zip(batch, found, strict=True):
                answers.setdefault((query.utterance, query.prompt), []).append(raw)
        return [
            [together(answers[u, p], prompt) for p, prompt in enumerate(prompts)]
            for u in range(len(utterances))
        ]

    def judged(
        self, utterances: Sequence[Utterance], prompts: Sequence[Prompt] | None = None
    ) -> list[list[tuple[RawAnswer, Evidence]]]:
        """What answer gives, each with what says whether the utterance fits its task; all of it in one batch."""
        prompts = self.prompts if prompts is None else prompts
        asked = [*prompts, *self.judges.needed(prompts)]
        rows = []
        for found in self.answer(utterances, asked):
            answers = dict(zip(asked, found, strict=True))
            rows.append(
                [
                    (answers[prompt], self.judges.evidence(prompt, answers[prompt], answers))
                    for prompt in prompts
                ]
            )
        return rows

    def _answer_batch(self, utterances: Sequence[Utterance], prompts: Sequence[Prompt]) -> list[RawAnswer]:
        """Rows that are answered together, the short ones first: row i is utterances[i] behind prompts[i]."""
        which = [self.numbers[prompt] for prompt in prompts]
        search = Search(prompts, self._label_logits)
        with self._cache(utterances, prompts) as cache:
            passes = []
            for start, end in self._spans(utterances):
                part = None if cache is None else cache.part(start, end)
                passes.append(self._first_pass(utterances[start:end], which[start:end], part))
            search.extend(torch.cat(passes))
            while search.alive and cache is not None:
                check_time()
                alive = search.alive
                fed = torch.stack([self.fed[which[h.row]][h.labels[-1]] for h in alive])
                lengths = [len(utterances[h.row]) + 1 + len(h.labels) + prompts[h.row].shift for h in alive]
                positions = torch.tensor(lengths, device=self.lm.device)
                search.extend(forward_step(self.lm, cache, [h.parent for h in alive], fed, positions))
        return search.answers()

    @contextmanager
    def _cache(self, utterances: Sequence[Utterance], prompts: Sequence[Prompt]) -> Iterator[Cache | None]:
        """An empty cache for these rows; None where each has but one label to answer."""
        if not several_labels(prompts):
            yield None
            return
        cache = self.caches.pop() if self.caches else Cache(self.lm)  # another thread has its own
        n_prompt = sum(
            max((p.length for p in prompts if p.deep is deep), default=0) for deep in (True, False)
        )
        cache.begin(len(prompts), n_prompt + len(utterances[-1]) + 2)
        yield cache
        cache.held.clear()
        self.caches.append(cache)

    def _first_pass(
        self, utterances: Sequence[Utterance], which: Sequence[int], cache: Cache | None
    ) -> Tensor:
        """Logits [B, V] at the separators of some rows, which have the prompts of these numbers."""
        check_time()
        batch = to_batch(self.lm, utterances, [self.absolute[i] for i in which])
        small = len(which) * self.prefix.row_bytes <= KEPT_BYTES
        prefix = self._kept(tuple(which)) if small else self.prefix.rows(which).cut()
        return forward_prompted(self.lm, batch, prefix, cache=cache)[:, 0]

    def _label_logits(self, prompt: Prompt, logits: Tensor) -> Tensor:
        """Vocabulary logits [n, V] -> those of the prompt's labels, [n, C], or [n, C + 1] with a sequence's end."""
        weight, units = self.verbalizers[self.numbers[prompt]]
        return label_logits(logits, weight, units, end=prompt.form.kind == "sequence")

    def _spans(self, utterances: Sequence[Utterance], cached: bool = False) -> Iterator[tuple[int, int]]:
        """Cut utterances, the short ones first, into first and end of what is passed through the LM at once.

        At most MAX_TOKENS places, padding and prompts included; of what is cached as many as CACHE_BYTES hold.
        """
        n_prompt = self.prefix.n_keys + self.prefix.n_inputs
        most = MAX_TOKENS if self.lm.device.type == "cpu" else MAX_TOKENS_GPU
        if cached:
            config = self.lm.config
            most = max(
                most, CACHE_BYTES // (2 * config.num_layers * self.lm.past_width * self.lm.dtype.itemsize)
            )
        start = 0
        for i, utterance in enumerate(utterances):
            if i > start and (i + 1 - start) * (n_prompt + len(utterance) + 2) > most:
                yield start, i
                start = i
        if utterances:
            yield start, len(utterances)


def stream(lm: UnitLM, prompt: Prompt, utterances: Sequence[Utterance]) -> Iterator[RawAnswer]:
    """One prompt's answer to each of many utterances, in their order; STREAMED are answered at a time."""
    prompted = PromptedLM(lm, [prompt])
    for at in range(0, len(utterances), STREAMED):
        for (raw,) in prompted.answer(utterances[at : at + STREAMED]):
            yield raw


def several_labels(prompts: Sequence[Prompt]) -> bool:
    """Whether any of these prompts may answer with more than one label."""
    return any(prompt.form.kind != "label" for prompt in prompts)


def to_device(prompt: Prompt, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    """Weight and units of the verbalizer, of which one is None."""
    weight, units = prompt.verbalizer_weight, prompt.verbalizer_units
    return None if weight is None else weight.to(device), None if units is None else units.to(device)


def label_inputs(lm: UnitLM, prompt: Prompt) -> Tensor:
    """What each label is fed back as, [C, d], scaled as tokens are."""
    if prompt.label_embeddings is not None:
        return prompt.label_embeddings.to(lm.device) * lm.embed_scale
    units = prompt.verbalizer_units
    symbols = torch.arange(len(prompt.labels)) if units is None else units.reshape(len(units), -1)[:, 0]
    # Without embeddings of their own only as many labels as units are ever fed back.
    symbols = (symbols + UNIT_OFFSET).clamp(max=lm.config.vocab_size - 1)
    return lm.model.embed_tokens(symbols.to(lm.device))
