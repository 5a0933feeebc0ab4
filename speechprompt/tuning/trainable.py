"""What tuning trains: the tensors of one prompt, in front of a frozen unit LM (SpeechPrompt, 2.2 and 2.3).

Prompts, separator and verbalizer as they begin, the loss of a batch, which answers are right. Knows no data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.decoding.forward import forward_prompted, label_logits, outside_mass, to_batch
from speechprompt.decoding.prefix import Prefix, past
from speechprompt.errors import SpeechPromptError
from speechprompt.models.layers import run_layers
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.units import EOS, SEPARATOR, UNIT_OFFSET, Utterance

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

Labelled = tuple[Utterance, Sequence[int]]  # one utterance, indices of its labels
NO_LABEL = -100  # target of a place where nothing is to be answered


class TrainablePrompt(nn.Module):
    """The trainable tensors of one prompt in front of a frozen unit LM; names as in Prompt."""

    verbalizer_units: Tensor | None

    def __init__(self, lm: UnitLM, config: TuneConfig, units: Tensor | None, form: AnswerForm) -> None:
        super().__init__()
        self.config, self.form = config, form
        self.projected = config.projected or not lm.projects
        if config.input_prompts and not lm.projects and config.positions == "row":
            raise SpeechPromptError(
                "Input prompts on this unit LM need positions: tune with --positions after_prompt."
            )
        d, n_layers, length = lm.config.d_model, lm.config.num_layers, config.prompt_length
        generator = torch.Generator().manual_seed(config.seed)
        embeddings = lm.model.embed_tokens.weight.float().cpu()

        def normal(*shape: int, std: float = 1.0) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator) * std)

        def prompts(*shape: int) -> nn.Parameter:
            if config.start != "units":
                return normal(*shape)
            drawn = torch.randint(UNIT_OFFSET, len(embeddings), shape[:-1], generator=generator)
            return nn.Parameter(embeddings[drawn] * math.sqrt(d))

        if config.input_prompts:
            self.input_prompts = prompts(length, d)
        else:
            width = lm.past_width if self.projected else d
            self.key_prompts = prompts(n_layers, length, width)
            self.value_prompts = prompts(n_layers, length, width)
            if self.projected and lm.projects:  # as they are where the LM makes them of such prompts
                both = [p.detach().to(lm.device) for p in (self.key_prompts, self.value_prompts)]
                made = past(lm, both[0], both[1], projected=False)
                for prompt, start in zip((self.key_prompts, self.value_prompts), made, strict=True):
                    prompt.data = start.transpose(2, 3).reshape(n_layers, length, width).float().cpu()
            elif self.projected:
                self.begin_as_read(
                    lm, torch.randint(UNIT_OFFSET, len(embeddings), (1, length), generator=generator)
                )
        # The separator starts as the LM's own end symbol, which is what ends an utterance.
        self.separator = normal(d, std=1.0 if config.start == "papers" else 0.3 / math.sqrt(d))
        if config.start != "papers":
            self.separator.data += embeddings[EOS]
        if config.feedback == "trained" and (form.kind == "sequence" or len(form.slots) > 1):
            self.label_embeddings = normal(len(form.labels), d, std=0.3 / math.sqrt(d))
            self.label_embeddings.data += embeddings[EOS]
        self.n_symbols = lm.config.vocab_size
        if units is None:
            self.verbalizer_weight = normal(len(form.labels) + UNIT_OFFSET, lm.config.vocab_size, std=0.03)
            if config.start == "papers":  # as torch.nn.Linear
                bound = 1 / math.sqrt(lm.config.vocab_size)
                self.verbalizer_weight.data.uniform_(-bound, bound, generator=generator)
        self.register_buffer("verbalizer_units", units)
        self.to(lm.device)

    @torch.no_grad()
    def begin_as_read(self, lm: UnitLM, symbols: Tensor) -> None:
        """Begin with the keys and values that the LM makes of these symbols, int64 [1, P]: no others are like them."""
        made: list[tuple[Tensor, Tensor]] = []

        def keep(layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            made.append((keys, values))
            return keys, values

        places = torch.arange(symbols.shape[1], device=lm.device)[None]
        run_layers(lm, lm.model.embed_tokens(symbols.to(lm.device)), places, places, keep, 0)
        for prompt, found in zip(
            (self.key_prompts, self.value_prompts), zip(*made, strict=True), strict=True
        ):
            prompt.data = torch.stack(found)[:, 0].transpose(1, 2).flatten(2).float().cpu()

    @property
    def any_answer(self) -> list[int]:
        """An answer of the least labels that forward takes, where it is only the first step that is read."""
        return [first for _, first, _ in self.form.spans] if self.form.slots else [0]

    def fed(self, labels: Sequence[int]) -> list[int]:
        """The tokens that labels are fed back as, see to_batch."""
        if hasattr(self, "label_embeddings"):
            return [self.n_symbols + label for label in labels]
        return self.symbols(labels)

    def symbols(self, labels: Sequence[int]) -> list[int]:
        """Labels as symbols of the vocabulary: their first units, or in a learned verbalizer units 0 … C - 1."""
        table = self.label_units
        return [UNIT_OFFSET + int(table[label, 0]) for label in labels]

    @property
    def label_units(self) -> Tensor:
        """int64 [C, K]: the units of each label, -1 for none; in a learned verbalizer unit c for label c."""
        units = self.verbalizer_units
        if units is None:
            units = torch.arange(len(self.form.labels), device=self.separator.device)
        return units.reshape(len(units), -1)

    def forward(
        self, lm: UnitLM, utterances: Sequence[Utterance], answers: Sequence[Sequence[int]]
    ) -> Tensor:
        """Vocabulary logits float32 [B, W, V] where the true answers (label indices) are to be answered.

        The first is at the separator, or before it when the loss counts the separator too; what lies
        beyond a shorter answer means nothing.
        """
        fed = [self.fed(labels if self.reads_end else labels[:-1]) for labels in answers]
        batch = to_batch(lm, utterances, [self.config.absolute_pitch] * len(utterances), fed)
        steps = torch.arange(-self.lead, 1 + max(map(len, fed)), device=lm.device)
        at = (batch.lengths[:, None] - 1 + steps).clamp(max=batch.tokens.shape[1] - 1)
        return forward_prompted(lm, batch, self.prefix(lm), at)

    def prefix(self, lm: UnitLM) -> Prefix:
        """The prompt as every row has it, some of its values dropped in training."""
        dropped = partial(F.dropout, p=self.config.prompt_dropout, training=self.training)
        shift = None
        if self.config.positions == "after_prompt":
            shift = torch.tensor([self.config.prompt_length], device=lm.device)
        embeddings = getattr(self, "label_embeddings", None)
        prefix = Prefix(self.separator[None], label_embeddings=embeddings, shift=shift)
        if hasattr(self, "input_prompts"):
            return replace(prefix, inputs=dropped(self.input_prompts)[None])
        keys, values = past(lm, dropped(self.key_prompts), dropped(self.value_prompts), self.projected)
        return replace(prefix, keys=keys, values=values)

    @property
    def lead(self) -> int:
        """Positions before the separator's that forward reads."""
        return int(self.config.loss == "reference")

    @property
    def reads_end(self) -> bool:
        """Whether the last label is fed too, to see what the LM says after it."""
        return self.form.kind == "sequence" or self.config.loss == "reference"

    def answer_logits(self, vocabulary: Tensor) -> Tensor:
        """What forward gives -> logits [B, S, C] of the labels; of a sequence [B, S, C + 1], the end last."""
        weight = self.verbalizer_weight if self.verbalizer_units is None else None
        return label_logits(
            vocabulary[:, self.lead :], weight, self.verbalizer_units, end=self.form.kind == "sequence"
        )

    def targets(self, answers: Sequence[Sequence[int]], width: int) -> Tensor:
        """int64 [B, width]: labels as answer_logits counts them (C ends a sequence), NO_LABEL after the last."""
        ends = [len(self.form.labels)] if self.form.kind == "sequence" else []
        return self._rows([[*labels, *ends] for labels in answers], width)

    def _rows(self, rows: list[list[int]], width: int) -> Tensor:
        filled = [[*row, *[NO_LABEL] * (width - len(row))] for row in rows]
        return torch.tensor(filled, device=self.separator.device)

    def outputs(self, vocabulary: Tensor) -> Tensor:
        """All outputs: the vocabulary's, or a learned verbalizer's classes and specials, of which some are dropped."""
        if self.verbalizer_units is not None:
            return vocabulary
        logits = F.linear(vocabulary, self.verbalizer_weight)
        return F.dropout(logits, self.config.class_dropout, self.training)

    def loss(self, vocabulary: Tensor, answers: Sequence[Sequence[int]]) -> Tensor:
        """Mean negative log-likelihood (natural log) of what is to be answered."""
        smoothing = self.config.label_smoothing
        if self.config.loss != "labels":
            logits = self.outputs(vocabulary)
            n = len(self.form.labels)
            before, after = [n] * self.lead, [n + 1] * self.reads_end
            due = [[*before, *labels, *after] for labels in answers]
            return self._sums_loss(logits, self._rows(due, logits.shape[1]))
        logits = self.answer_logits(vocabulary)
        truth = self.targets(answers, logits.shape[1])
        if not self.form.slots:
            return cross_entropy(logits, truth, smoothing)
        losses = [
            cross_entropy(logits[:, step, first:end], truth[:, step] - first, smoothing)
            for step, (_, first, end) in enumerate(self.form.spans)
        ]
        return torch.stack(losses).mean()

    def _sums_loss(self, logits: Tensor, due: Tensor) -> Tensor:
        """Mean -log of the summed probability of what is due among all symbols, logits [B, S, V].

        due: int64 [B, S], a label, C for the separator, C + 1 for the end, NO_LABEL for nothing.
        """
        table = self.label_units
        own = torch.tensor([[SEPARATOR], [EOS]], device=table.device) - UNIT_OFFSET
        symbols = UNIT_OFFSET + torch.cat([table, own.expand(-1, table.shape[1])])
        none = torch.cat([table < 0, torch.arange(table.shape[1], device=table.device).expand(2, -1) > 0])
        has_label = due != NO_LABEL
        odds, chosen = logits[has_label].log_softmax(-1), due[has_label]
        units = odds.gather(1, symbols[chosen].clamp(min=0)).masked_fill(none[chosen], -torch.inf)
        smoothing = self.config.label_smoothing
        loss = -(1 - smoothing) * units.logsumexp(-1)
        return (loss - smoothing * odds.mean(-1)).mean() if smoothing else loss.mean()

    def outside(self, vocabulary: Tensor) -> Tensor:
        """What forward gives -> log-probability [B] of all that is no label's unit, at the first label's step."""
        if self.verbalizer_units is None:
            raise ValueError("a learned verbalizer leaves nothing outside")
        return outside_mass(vocabulary[:, self.lead], self.verbalizer_units, end=self.form.kind == "sequence")

    def right(self, vocabulary: Tensor, answers: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """bool [B, S]: where the true label is the likeliest, given the true ones before; and where one is due.

        The greedy answer of a row is the true one exactly when all that is due is right.
        """
        logits = self.answer_logits(vocabulary)
        truth = self.targets(answers, logits.shape[1])
        for step, (_, first, end) in enumerate(self.form.spans if self.form.slots else []):
            logits[:, step, :first] = logits[:, step, end:] = -torch.inf
        return logits.argmax(-1) == truth, truth != NO_LABEL

    def tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU, under the names of Prompt's fields."""
        return {name: value.detach().cpu().clone() for name, value in self.state_dict().items()}


def cross_entropy(logits: Tensor, truth: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(
        logits.flatten(0, -2), truth.flatten(), ignore_index=NO_LABEL, label_smoothing=smoothing
    )
