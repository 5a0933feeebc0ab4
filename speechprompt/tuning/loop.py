"""Prompt tuning: labelled units -> a prompt, the language model frozen (SpeechPrompt, section 2.2).

Only the prompts, the separator and a learned verbalizer receive gradients, unless the caller asks for full
fine-tuning, to compare. Knows no audio; recordings are turned into units beforehand, once.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from speechprompt.data.dataset import batches_by_length
from speechprompt.errors import SpeechPromptError
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.optimizer import PromptOptimizer
from speechprompt.tuning.runs import learning_rate, load_checkpoint, run_folder, save_checkpoint
from speechprompt.tuning.trainable import Goal, Labelled, TrainablePrompt, fixed_units
from speechprompt.units import UNIT_OFFSET, Units, Utterance, unit_ids

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM


RECENT = 8  # of a mean over the steps: about the last ninth of them counts for most of it


@dataclass(frozen=True)
class Progress:
    """State of a tuning run at one check: mean loss since the last one, accuracy (0..1) on valid.

    The accuracy is that of whole answers, with TuneConfig.balance the mean over the answers that valid has;
    of a sequence, of its labels given the true ones before each.
    """

    step: int
    loss: float
    valid_accuracy: float


@dataclass(frozen=True)
class Start:
    """Where tuning begins when not at random numbers.

    tensors: fields of Prompt, of the shapes that the settings ask for. verbalizer_pace: how fast a
    learned verbalizer moves, relative to the prompts; one that is already good moves slowly.
    """

    tensors: Mapping[str, Tensor]
    verbalizer_pace: float = 1.0


def with_noise(utterance: Utterance, share: float, n_units: int, rng: random.Random) -> Utterance:
    """Drop or replace units at random, as a slightly different recording would."""
    kept, ids = [], []
    for i, unit in enumerate(unit_ids(utterance)):
        draw = rng.random()
        if draw >= share / 2:
            kept.append(i)
            ids.append(int(unit) if draw >= share else rng.randrange(n_units))
    if not kept:
        return utterance
    if not isinstance(utterance, Units):
        return ids
    return replace(utterance.part(kept), ids=np.array(ids))


def fast_copy(lm: UnitLM) -> UnitLM:
    """The frozen LM in bfloat16 where the hardware multiplies it fast, else the LM itself."""
    fast = lm.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return copy.deepcopy(lm).bfloat16() if fast else lm


def latest_most(mean: Tensor, latest: Tensor, steps: Tensor | int) -> Tensor:
    """The mean over `steps` steps -> that over one more, by polynomial decay (Shamir and Zhang 2013)."""
    return mean + (latest - mean) * (RECENT + 1) / (steps + 1 + RECENT)


@torch.inference_mode()
def accuracy(lm: UnitLM, prompt: TrainablePrompt, examples: Sequence[Labelled]) -> float:
    """Share of answers that are right throughout, see Progress; of a sequence, share of its labels and ends."""
    right = total = 0.0
    counts = Counter(tuple(labels) for _, labels in examples)
    prompt.eval()
    for group in batches_by_length([len(ids) + len(labels) for ids, labels in examples], 8192, None):
        answers = [examples[i][1] for i in group]
        found, due = prompt.right(prompt(lm, [examples[i][0] for i in group], answers), answers)
        if prompt.goal.sequence:
            right, total = right + int((found & due).sum()), total + int(due.sum())
        else:
            weights = [1 / counts[tuple(labels)] if prompt.config.balance else 1.0 for labels in answers]
            hits = (found | ~due).all(-1).tolist()
            right += sum(weight for weight, hit in zip(weights, hits, strict=True) if hit)
            total += sum(weights)
    prompt.train()
    return right / total


def tune(
    lm: UnitLM,
    train: Sequence[Labelled],
    valid: Sequence[Labelled],
    goal: Goal,
    config: TuneConfig,
    run: Path | None = None,
    report: Callable[[Progress], None] | None = None,
    start: Start | None = None,
    keep: Literal["best", "last"] = "best",
    should_stop: Callable[[], bool] | None = None,
    lm_lr: float | None = None,
) -> tuple[dict[str, Tensor], float]:
    """Tune one prompt; return its tensors (fields of Prompt) and their accuracy on valid.

    With `run`, a checkpoint is kept in that folder at every check and a stopped run goes on from it.
    keep: the tensors of the best check on valid, or the last ones, so that valid has no say in them.
    Ctrl-C ends the tuning early with the best tensors so far, and so does should_stop, which is asked
    before every step. lm_lr: fine-tune the LM's own weights too, in place, at this learning rate; only with
    keep="last", as no weights of an earlier check are kept. Deterministic by config.seed on one machine
    and thread count.
    """
    if lm_lr is not None and keep != "last":
        raise ValueError("a fine-tuned LM is the last one: keep must be 'last'")
    if lm_lr is not None and config.average:
        raise ValueError("a fine-tuned LM is no mean over the steps: average must be False")
    if not train or not valid:
        raise SpeechPromptError("Tuning needs at least one training and one validation utterance.")
    if len({tuple(labels) for _, labels in train}) < 2:
        raise SpeechPromptError("Tuning needs utterances of at least two labels.")
    with run_folder(run):
        return descend(lm, train, valid, goal, config, run, report, start, keep, should_stop, lm_lr)


def descend(
    lm: UnitLM,
    train: Sequence[Labelled],
    valid: Sequence[Labelled],
    goal: Goal,
    config: TuneConfig,
    run: Path | None,
    report: Callable[[Progress], None] | None,
    start: Start | None,
    keep: Literal["best", "last"],
    should_stop: Callable[[], bool] | None,
    lm_lr: float | None,
) -> tuple[dict[str, Tensor], float]:
    """The steps of `tune`, once its data is known to be sound and its run folder its own."""
    units = None
    if config.verbalizer != "learned":
        units = fixed_units(train, goal.n_labels, config.verbalizer, config.seed)
    n_units = lm.config.vocab_size - UNIT_OFFSET
    # Adam's small changes to weights would be lost in bfloat16.
    used = fast_copy(lm) if lm_lr is None else lm.float().requires_grad_(True)
    prompt = TrainablePrompt(used, config, units, goal)
    if start is not None:
        prompt.load_state_dict({**prompt.state_dict(), **start.tensors})
    trained: nn.Module = prompt
    averaged = AveragedModel(prompt, avg_fn=latest_most) if config.average else None
    kept = prompt if averaged is None else cast(TrainablePrompt, averaged.module)
    others: list[nn.Parameter] = []
    if lm_lr is not None:
        trained = nn.ModuleDict({"prompt": prompt, "lm": used})
        others = list(used.parameters())
    pace = start.verbalizer_pace if start is not None else 1.0
    optimizer = PromptOptimizer(prompt, pace, others, lm_lr or 0.0)
    state: dict[str, Any] = {"step": 0, "best": -1.0, "tensors": {}, "since": 0}
    settings = {**asdict(config), **asdict(goal), "n_train": len(train), "n_valid": len(valid)}
    if lm_lr is not None:
        settings["lm_lr"] = lm_lr
    checkpoint = run / "tune.pt" if run else None
    resumed = load_checkpoint(checkpoint, settings) if checkpoint else None
    if resumed:
        trained.load_state_dict(resumed.pop("model"))
        optimizer.load_state_dict(resumed.pop("optimizer"))
        if averaged is not None:
            averaged.load_state_dict(resumed.pop("averaged"))
        state = resumed
    warm_up = min(100, config.steps // 5 + 1)
    losses: list[float] = []
    try:
        shown = report is None  # who is told shows it in a way of their own
        with tqdm(
            initial=state["step"], total=config.steps, desc="tune", mininterval=2, disable=not shown
        ) as bar:
            for group in epochs(train, config, state["step"]):
                if state["step"] >= config.steps or state["since"] >= config.patience:
                    break
                if should_stop is not None and should_stop():
                    break
                step = state["step"]
                rng = random.Random(config.seed * 1_000_003 + step)
                batch = [with_noise(train[i][0], config.unit_noise, n_units, rng) for i in group]
                answers = [train[i][1] for i in group]
                torch.manual_seed(config.seed * 1_000_003 + step)  # for the dropout
                loss = prompt.loss(prompt(used, batch, answers), answers)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
                optimizer.step(learning_rate(step, config.steps, 1.0, warm_up))
                if averaged is not None:
                    averaged.update_parameters(prompt)
                losses.append(loss.item())
                state["step"] += 1
                bar.update()
                if state["step"] % config.check_every == 0 or state["step"] == config.steps:
                    found = accuracy(used, kept, valid)
                    state["since"] += 1
                    if found >= state["best"]:
                        state |= {"best": found, "tensors": kept.tensors(), "since": 0}
                    progress = Progress(state["step"], sum(losses) / len(losses), found)
                    bar.set_postfix(loss=round(progress.loss, 3), valid=f"{found:.1%}")
                    losses = []
                    if checkpoint:
                        weights = {"model": trained.state_dict(), "optimizer": optimizer.state_dict()}
                        if averaged is not None:
                            weights["averaged"] = averaged.state_dict()
                        save_checkpoint(checkpoint, settings, {**state, **weights})
                    if report:
                        report(progress)
    except KeyboardInterrupt:
        if not state["tensors"]:
            raise
    if keep == "last" or not state["tensors"]:
        return kept.tensors(), accuracy(used, kept, valid)
    return state["tensors"], state["best"]


def epochs(train: Sequence[Labelled], config: TuneConfig, done: int):
    """Endless batches of indices, from batch number `done` on."""
    lengths = [len(ids) + len(labels) + 1 for ids, labels in train]
    answers: dict[tuple[int, ...], list[int]] = {}
    for i, (_, labels) in enumerate(train):
        answers.setdefault(tuple(labels), []).append(i)
    epoch = number = 0
    while True:
        rng = random.Random(config.seed * 7919 + epoch)
        drawn = balanced(list(answers.values()), rng) if config.balance else list(range(len(train)))
        for group in batches_by_length([lengths[i] for i in drawn], config.tokens_per_batch, rng):
            if number >= done:
                yield [drawn[i] for i in group]
            number += 1
        epoch += 1


def balanced(groups: Sequence[Sequence[int]], rng: random.Random) -> list[int]:
    """As many indices as the groups hold, equally many of each group: some left out, some drawn again and again."""
    share = -(-sum(map(len, groups)) // len(groups))
    drawn: list[int] = []
    for group in groups:
        rounds, rest = divmod(share, len(group))
        drawn += [*group] * rounds + rng.sample(group, rest)
    return drawn
