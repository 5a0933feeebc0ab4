"""Prompt tuning: labelled units -> a prompt, the language model frozen (SpeechPrompt, section 2.2).

Only the prompts, the separator and a learned verbalizer receive gradients. Knows no audio; recordings
are turned into units beforehand, once.
"""

from __future__ import annotations

import copy
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import XGLMForCausalLM

from speechprompt.dataset import batches_by_length
from speechprompt.decoding import forward_prompted, label_logits, project_prompts, to_batch
from speechprompt.errors import SpeechPromptError
from speechprompt.training import learning_rate, load_checkpoint, save_checkpoint
from speechprompt.units import EOS, UNIT_OFFSET

Labelled = tuple[Sequence[int], int]  # unit ids of one utterance, index of its label


@dataclass(frozen=True)
class TuneConfig:
    """What may be chosen; the defaults suit a few hundred to some ten thousand utterances.

    prompt_length: vectors per layer. steps: optimiser steps. tokens_per_batch: padded tokens.
    unit_noise: share of units dropped or replaced in training, against small data. keep_best: answer
    with the step that was best on valid. patience: checks in a row, each worse than the best, that end it.
    """

    prompt_length: int = 20
    deep: bool = True
    verbalizer: Literal["learned", "fixed"] = "learned"
    steps: int = 2000
    lr: float = 0.06
    tokens_per_batch: int = 2048
    unit_noise: float = 0.05
    label_smoothing: float = 0.0
    check_every: int = 100
    patience: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("prompt_length", 1, 200),
            ("steps", 1, 1_000_000),
            ("lr", 1e-6, 10.0),
            ("tokens_per_batch", 64, 1_000_000),
            ("unit_noise", 0.0, 0.9),
            ("label_smoothing", 0.0, 0.9),
            ("check_every", 1, 1_000_000),
            ("patience", 1, 1_000_000),
            ("seed", 0, 2**31 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise SpeechPromptError(f"{name} must be between {low} and {high}.")


@dataclass(frozen=True)
class Progress:
    """State of a tuning run at one check: mean loss since the last one, accuracy (0..1) on valid."""

    step: int
    loss: float
    valid_accuracy: float


class Tuner(nn.Module):
    """The trainable tensors of one prompt in front of a frozen unit LM; names as in Prompt."""

    verbalizer_units: Tensor | None

    def __init__(self, lm: XGLMForCausalLM, config: TuneConfig, units: Tensor | None, n_labels: int) -> None:
        super().__init__()
        d, n_layers = lm.config.d_model, lm.config.num_layers
        generator = torch.Generator().manual_seed(config.seed)

        def normal(*shape: int, std: float = 1.0) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator) * std)

        if config.deep:
            self.key_prompts = normal(n_layers, config.prompt_length, d)
            self.value_prompts = normal(n_layers, config.prompt_length, d)
        else:
            self.input_prompts = normal(config.prompt_length, d)
        # The separator starts as the LM's own end symbol, which is what ends an utterance.
        self.separator = normal(d, std=0.3 / math.sqrt(d))
        self.separator.data += lm.model.embed_tokens.weight[EOS].float().cpu()
        if units is None:
            self.verbalizer_weight = normal(n_labels + UNIT_OFFSET, lm.config.vocab_size, std=0.03)
        self.register_buffer("verbalizer_units", units)
        self.to(lm.device)

    def forward(self, lm: XGLMForCausalLM, utterances: Sequence[Sequence[int]]) -> Tensor:
        """Label logits float32 [B, C]."""
        tokens, lengths = to_batch(utterances, lm.device)
        keys = values = inputs = None
        if hasattr(self, "key_prompts"):
            keys, values = project_prompts(lm, self.key_prompts, self.value_prompts)
            keys, values = keys[:, None], values[:, None]
        else:
            inputs = self.input_prompts
        logits = forward_prompted(lm, tokens, lengths, keys, values, self.separator, inputs=inputs)[:, 0]
        weight = self.verbalizer_weight if self.verbalizer_units is None else None
        return label_logits(logits, weight, self.verbalizer_units)

    def tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU, under the names of Prompt's fields."""
        return {name: value.detach().cpu().clone() for name, value in self.state_dict().items()}


def frequent_units(train: Sequence[Labelled], n_labels: int) -> Tensor:
    """A fixed verbalizer by frequency: label c is the c-th most frequent unit (SpeechPrompt, 2.3)."""
    counts = Counter(unit for ids, _ in train for unit in ids)
    if len(counts) < n_labels:
        raise SpeechPromptError(
            f"A fixed verbalizer needs {n_labels} different units and the data holds {len(counts)}: "
            "use the learned one."
        )
    return torch.tensor([unit for unit, _ in counts.most_common(n_labels)])


def with_noise(ids: Sequence[int], share: float, n_units: int, rng: random.Random) -> list[int]:
    """Drop or replace units at random, as a slightly different recording would."""
    heard: list[int] = []
    for unit in ids:
        draw = rng.random()
        if draw >= share:
            heard.append(unit)
        elif draw >= share / 2:
            heard.append(rng.randrange(n_units))
    return heard or list(ids)


def fast_copy(lm: XGLMForCausalLM) -> XGLMForCausalLM:
    """The frozen LM in bfloat16 where the hardware multiplies it fast, else the LM itself."""
    fast = lm.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return copy.deepcopy(lm).bfloat16() if fast else lm


@torch.inference_mode()
def accuracy(lm: XGLMForCausalLM, tuner: Tuner, examples: Sequence[Labelled]) -> float:
    correct = 0
    for group in batches_by_length([len(ids) for ids, _ in examples], 8192, None):
        answers = tuner(lm, [examples[i][0] for i in group]).argmax(-1).tolist()
        correct += sum(a == examples[i][1] for a, i in zip(answers, group, strict=True))
    return correct / len(examples)


def tune(
    lm: XGLMForCausalLM,
    train: Sequence[Labelled],
    valid: Sequence[Labelled],
    n_labels: int,
    config: TuneConfig,
    run: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> tuple[dict[str, Tensor], float]:
    """Tune one prompt; return its tensors (fields of Prompt) and its best accuracy on valid.

    With `run`, a checkpoint is kept in that folder at every check and a stopped run goes on from it.
    Ctrl-C ends the tuning early with the best tensors so far. Deterministic by config.seed on one
    machine and thread count.
    """
    if not train or not valid:
        raise SpeechPromptError("Tuning needs at least one training and one validation utterance.")
    if len({label for _, label in train}) < 2:
        raise SpeechPromptError("Tuning needs utterances of at least two labels.")
    units = frequent_units(train, n_labels) if config.verbalizer == "fixed" else None
    n_units = lm.config.vocab_size - UNIT_OFFSET
    frozen = fast_copy(lm)
    tuner = Tuner(frozen, config, units, n_labels)
    optimizer = torch.optim.Adam(tuner.parameters(), lr=config.lr, betas=(0.9, 0.98))
    state: dict[str, Any] = {"step": 0, "best": -1.0, "tensors": {}, "since": 0}
    settings = {**asdict(config), "n_labels": n_labels, "n_train": len(train), "n_valid": len(valid)}
    checkpoint = run / "tune.pt" if run else None
    resumed = load_checkpoint(checkpoint, settings) if checkpoint else None
    if resumed:
        tuner.load_state_dict(resumed.pop("model"))
        optimizer.load_state_dict(resumed.pop("optimizer"))
        state = resumed
    warm_up = min(100, config.steps // 5 + 1)
    losses: list[float] = []
    try:
        with tqdm(initial=state["step"], total=config.steps, desc="tune", mininterval=2) as bar:
            for group in epochs(train, config, state["step"]):
                if state["step"] >= config.steps or state["since"] >= config.patience:
                    break
                step = state["step"]
                rng = random.Random(config.seed * 1_000_003 + step)
                batch = [with_noise(train[i][0], config.unit_noise, n_units, rng) for i in group]
                optimizer.param_groups[0]["lr"] = learning_rate(step, config.steps, config.lr, warm_up)
                truth = torch.tensor([train[i][1] for i in group], device=lm.device)
                loss = F.cross_entropy(tuner(frozen, batch), truth, label_smoothing=config.label_smoothing)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(tuner.parameters(), 1.0)
                optimizer.step()
                losses.append(loss.item())
                state["step"] += 1
                bar.update()
                if state["step"] % config.check_every == 0 or state["step"] == config.steps:
                    found = accuracy(frozen, tuner, valid)
                    state["since"] += 1
                    if found >= state["best"]:
                        state |= {"best": found, "tensors": tuner.tensors(), "since": 0}
                    progress = Progress(state["step"], sum(losses) / len(losses), found)
                    bar.set_postfix(loss=round(progress.loss, 3), valid=f"{found:.1%}")
                    losses = []
                    if checkpoint:
                        trained = {"model": tuner.state_dict(), "optimizer": optimizer.state_dict()}
                        save_checkpoint(checkpoint, settings, {**state, **trained})
                    if report:
                        report(progress)
    except KeyboardInterrupt:
        if not state["tensors"]:
            raise
    return state["tensors"], state["best"]


def epochs(train: Sequence[Labelled], config: TuneConfig, done: int):
    """Endless batches of indices, from batch number `done` on."""
    lengths = [len(ids) + 2 for ids, _ in train]
    epoch = number = 0
    while True:
        for group in batches_by_length(
            lengths, config.tokens_per_batch, random.Random(config.seed * 7919 + epoch)
        ):
            if number >= done:
                yield group
            number += 1
        epoch += 1
