"""Answers from a prompted unit LM: one label, one per slot, or a sequence up to `</s>` (SpeechPrompt, section 3).

All prompts of a request share one batch. An answer of one label is read from that batch alone; rows
that have more to say go on from its cache, one label at a time, constrained to what may come next
(the slot's labels; any label or the end), so that no special is ever answered. Sequences may keep
several hypotheses (beam search).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from speechprompt.decoding import (
    embed_prosody,
    forward_prompted,
    forward_step,
    label_logits,
    project_prompts,
    to_batch,
)
from speechprompt.layers import Cache
from speechprompt.packing import packed
from speechprompt.prompt import Prompt
from speechprompt.time_limit import check_time
from speechprompt.unit_lm import embed_scale, start_token
from speechprompt.units import FRAME_RATE, UNIT_OFFSET, Units, Utterance, stretches

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import XGLMForCausalLM

# Places of one LM batch: beyond them time per row no longer falls (measured on CPU), but memory grows.
MAX_TOKENS = 2048
MAX_TOKENS_GPU = 32_768

END = -1  # in place of a label: the sequence ends here
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class RawAnswer:
    """One prompt's answer to one utterance, before units and labels get their names.

    labels: the S answered labels as indices; a sequence that ended by itself has one more step than
    labels. probabilities: float32 [steps, C], or [steps, C + 1] for a sequence, whose last column is
    the end; softmax over what the task may answer there, at the prompt's temperature.
    vocabulary_logits: float32 [steps, V], what the LM itself says.
    """

    labels: list[int]
    probabilities: np.ndarray
    vocabulary_logits: np.ndarray

    @property
    def score(self) -> float:
        """Probability of the whole answer: the product over its steps, the end among them."""
        steps = [*self.labels, *[END] * (len(self.probabilities) - len(self.labels))]
        return float(np.prod([row[label] for row, label in zip(self.probabilities, steps, strict=True)]))


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A beginning of one row's answer; steps holds (probabilities, vocabulary logits) of each label."""

    row: int
    place: int  # its row in the cache
    labels: tuple[int, ...] = ()
    log_probability: float = 0.0
    steps: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    @property
    def rank(self) -> float:
        """Mean log-probability of the steps, so that long answers are not punished for their length."""
        return self.log_probability / len(self.labels)

    def answer(self) -> RawAnswer:
        probabilities, logits = (np.stack(part) for part in zip(*self.steps, strict=True))
        return RawAnswer([label for label in self.labels if label != END], probabilities, logits)


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

    def __init__(self, lm: XGLMForCausalLM, prompts: Sequence[Prompt]) -> None:
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
            self.fed.append(prompt.label_embeddings.to(device) * embed_scale(self.lm))
        else:
            symbols = torch.arange(len(prompt.labels)) if units is None else units
            # Without embeddings of their own only as many labels as units are ever fed back.
            symbols = (symbols + UNIT_OFFSET).clamp(max=self.lm.config.vocab_size - 1)
            self.fed.append(self.lm.model.embed_tokens(symbols.to(device)))

    @torch.inference_mode()
    def answer(self, utterances: Sequence[Utterance], prompts: Sequence[int]) -> list[list[RawAnswer]]:
        """Utterances, indices of prompts -> per utterance, one answer per prompt in order."""
        rows = [
            (u, p, piece)
            for u, utterance in enumerate(utterances)
            for p, index in enumerate(prompts)
            for piece in pieces(utterance, self.prompts[index])
        ]
        rows.sort(key=lambda row: len(row[2]))  # like lengths together: little padding
        answers: dict[tuple[int, int], list[RawAnswer]] = {}
        for chunk in self._chunks(rows):
            check_time()
            found = self._answer_batch([piece for *_, piece in chunk], [prompts[p] for _, p, _ in chunk])
            for (u, p, _), raw in zip(chunk, found, strict=True):
                answers.setdefault((u, p), []).append(raw)
        return [[together(answers[u, p]) for p in range(len(prompts))] for u in range(len(utterances))]

    def _answer_batch(self, utterances: Sequence[Utterance], which: list[int]) -> list[RawAnswer]:
        """One LM batch: row i is utterances[i] behind prompt which[i]."""
        tokens, lengths = to_batch(utterances, self.lm.device, start=start_token(self.lm))
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
        goes_on = any(self.prompts[i].answer != "label" for i in which)
        cache = Cache() if goes_on else None
        logits = forward_prompted(
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
            prosody=embed_prosody(
                self.lm, utterances, tokens.shape[1], [self.prompts[i].absolute_pitch for i in which]
            ),
        )[:, 0]
        finished: list[list[Hypothesis]] = [[] for _ in which]
        alive = self._extend([Hypothesis(row, row) for row in range(len(which))], logits, which, finished)
        spoken = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        present = torch.cat([key_mask, input_mask, spoken], 1)
        while alive and cache is not None:
            check_time()
            places = torch.tensor([h.place for h in alive], device=tokens.device)
            if places.tolist() != list(range(len(present))):  # something ended, or a hypothesis branched
                cache.reorder(places)
            said = [(h.row, len(h.labels)) for h in alive]
            rows, counts = torch.tensor(said, device=tokens.device).T
            fed = torch.stack([self.fed[which[h.row]][h.labels[-1]] for h in alive])
            logits = forward_step(self.lm, cache, fed, lengths[rows] + counts - 1, present[places])
            present = torch.cat([present[places], present.new_ones(len(alive), 1)], 1)
            alive = [replace(h, place=place) for place, h in enumerate(alive)]
            alive = self._extend(alive, logits, which, finished)
        return [max(done, key=lambda h: h.rank).answer() for done in finished]

    def _extend(
        self,
        hypotheses: list[Hypothesis],
        logits: Tensor,
        which: list[int],
        finished: list[list[Hypothesis]],
    ) -> list[Hypothesis]:
        """Choose the next label of every hypothesis (logits [n, V]); return those that are not at their end."""
        vocabulary = logits.cpu().numpy()
        members: dict[int, list[int]] = {}
        for i, hypothesis in enumerate(hypotheses):
            members.setdefault(which[hypothesis.row], []).append(i)
        candidates: dict[int, list[Hypothesis]] = {}  # by row
        for index, own in members.items():
            prompt, step = self.prompts[index], len(hypotheses[own[0]].labels)
            ends = prompt.answer == "sequence"
            found = label_logits(logits[own], self.weights[index], self.units[index], end=ends)
            if prompt.slots:
                _, first, end = prompt.slot_spans[step]
                found[:, :first] = found[:, end:] = -torch.inf
            scores = (found / prompt.temperature).log_softmax(-1).cpu().numpy()
            for i, row in zip(own, scores, strict=True):
                hypothesis, steps = hypotheses[i], (np.exp(row), vocabulary[i])
                for choice in np.argsort(-row, kind="stable")[: prompt.beams].tolist():
                    label = END if choice == len(prompt.labels) else choice
                    longer = replace(
                        hypothesis,
                        labels=(*hypothesis.labels, label),
                        log_probability=hypothesis.log_probability + float(row[choice]),
                        steps=(*hypothesis.steps, steps),
                    )
                    candidates.setdefault(hypothesis.row, []).append(longer)
        alive = []
        for row, choices in candidates.items():
            prompt = self.prompts[which[row]]
            choices.sort(key=lambda h: -h.log_probability)
            at_end = [h.labels[-1] == END or len(h.labels) == prompt.n_steps for h in choices]
            kept = list(zip(choices, at_end, strict=True))[: prompt.beams]
            finished[row] += [h for h, ended in kept if ended]
            going = [h for h, ended in kept if not ended]
            if len(finished[row]) >= prompt.beams:
                # Where one label is all but certain, short answers of no account fill the beam before the
                # likely one has ended.
                best = max(h.rank for h in finished[row])
                going = [h for h in going if h.rank > best]
            alive += going
        return alive

    def _chunks(self, rows: list[Row]) -> Iterator[list[Row]]:
        """Cut rows (sorted by length) into batches of at most MAX_TOKENS places, padding included."""
        n_prompt = self.keys.shape[-2] + self.inputs.shape[1]
        most = MAX_TOKENS if self.lm.device.type == "cpu" else MAX_TOKENS_GPU
        chunk: list[Row] = []
        for row in rows:
            if chunk and (len(chunk) + 1) * (n_prompt + len(row[2]) + 2) > most:
                yield chunk
                chunk = []
            chunk.append(row)
        if chunk:
            yield chunk
