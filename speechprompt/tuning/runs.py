"""What every training here shares, of a prompt or of a backbone: the loop, with schedule, checkpoint and log."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from speechprompt.errors import SpeechPromptError
from speechprompt.tuning.checkpoint import load_checkpoint, run_folder, save_checkpoint

RECENT = 50  # steps whose mean loss the progress bar shows

Batch = TypeVar("Batch")
Self = TypeVar("Self", bound="Run")


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each step: linear warm-up times a cosine from `peak` down to `floor` · peak at `steps`.

    With floor 1 and a warm-up of one step it is `peak` throughout. inverse_sqrt: fairseq's of that name, from 0 up to
    `peak` after the warm-up and down by the square root of the steps.
    """

    steps: int
    warm_up: int
    peak: float = 1.0
    floor: float = 0.0
    inverse_sqrt: bool = False

    def rate(self, step: int) -> float:
        if self.inverse_sqrt:
            return self.peak * min(step / self.warm_up, math.sqrt(self.warm_up / max(step, 1)))
        cosine = (1 + math.cos(math.pi * min(1, step / self.steps))) / 2
        return self.peak * min(1, (step + 1) / self.warm_up) * (self.floor + (1 - self.floor) * cosine)


class Stateful(Protocol):
    """What a checkpoint can hold: a module, an optimizer."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


class Optimizer(Stateful, Protocol):
    """PyTorch's optimizers and tuning.optimizer.PromptOptimizer."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    def zero_grad(self) -> None: ...

    def step(self) -> Any: ...


class Run:
    """One training: its steps with their learning rates, a checkpoint and a log, resumed where it was stopped.

    `with Run(...) as run` keeps the folder to this process and goes on from the checkpoint where there is one;
    SpeechPromptError when another process has the folder, or the checkpoint is damaged or of other settings.

    folder: holds NAME.pt and NAME.jsonl; None: nothing is kept. settings: what makes a run another one.
    parameters: whose gradients are clipped. optimizer: moves them; a group's learning rate is that of the
    schedule times group["peak"], where it has one. parts: what else the checkpoint holds, by name.
    state: plain values and tensors (CPU once loaded) that it holds too; may be changed in place.
    """

    def __init__(
        self,
        name: str,
        folder: Path | None,
        settings: Mapping[str, Any],
        schedule: Schedule,
        parameters: Iterable[nn.Parameter],
        optimizer: Optimizer,
        parts: Mapping[str, Stateful],
        state: dict[str, Any],
    ) -> None:
        self.name, self.folder, self.settings = name, folder, dict(settings)
        self.schedule, self.parameters, self.optimizer = schedule, list(parameters), optimizer
        self.parts: dict[str, Stateful] = {**parts, "optimizer": optimizer}
        self.state = state
        self.step = 0  # steps made so far
        self._held = ExitStack()

    def __enter__(self: Self) -> Self:
        self._held.enter_context(run_folder(self.folder))
        try:
            self.resume()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def resume(self) -> bool:
        """Load the checkpoint; False when there is none."""
        found = load_checkpoint(self.folder / f"{self.name}.pt", self.settings) if self.folder else None
        if found is None:
            return False
        if missing := {"rng", "step", *self.parts, *self.state} - found.keys():
            raise SpeechPromptError(
                f"The checkpoint in the run folder lacks {min(missing)!r}, as one of an earlier version does: "
                "choose an empty --run."
            )
        for name, part in self.parts.items():
            part.load_state_dict(found.pop(name))
        torch.set_rng_state(found.pop("rng"))
        self.step = found.pop("step")
        self.state.update(found)
        return True

    def save(self) -> None:
        """Write the checkpoint, if the run has a folder."""
        if self.folder:
            parts = {name: part.state_dict() for name, part in self.parts.items()}
            kept = {"step": self.step, "rng": torch.get_rng_state(), **self.state, **parts}
            save_checkpoint(self.folder / f"{self.name}.pt", self.settings, kept)

    def rounds(self, batches: Iterator[Batch], every: int) -> Iterator[Iterable[Batch]]:
        """Batches from here to the last step, in rounds that end at the multiples of `every` and at the end."""
        while (left := self.schedule.steps - self.step) > 0:
            yield islice(batches, min(every - self.step % every, left))

    def train(
        self,
        rounds: Iterable[Iterable[Batch]],
        work: Callable[[Batch], Mapping[str, Tensor]],
        check: Callable[[dict[str, float]], dict[str, Any]] = lambda means: means,
        after_step: Callable[[], object] = lambda: None,
        should_stop: Callable[[], bool] = lambda: False,
        report: Callable[[dict[str, Any]], object] = lambda record: None,
        bar: bool = True,
    ) -> None:
        """A step on each batch; after each round of them a check, a line of the log and a checkpoint.

        work: a batch -> figures (scalars); "loss" is what the step makes smaller. check: means of the figures
        over the round -> what the log says. should_stop: asked before every step; True ends all, without
        another check. report: given each line of the log, once the checkpoint is written.
        """
        began = time.perf_counter()
        with tqdm(
            initial=self.step, total=self.schedule.steps, desc=self.name, mininterval=2, disable=not bar
        ) as progress:
            record: dict[str, Any] = {}
            for batches in rounds:
                made: list[dict[str, float]] = []
                for batch in batches:
                    if should_stop():
                        return
                    figures = work(batch)
                    self._descend(figures["loss"])
                    after_step()
                    made.append({name: value.item() for name, value in figures.items()})
                    recent = [one["loss"] for one in made[-RECENT:]]
                    progress.set_postfix({**record, "loss": sum(recent) / len(recent)}, refresh=False)
                    progress.update(self.step - progress.n)
                means = {name: sum(one[name] for one in made) / len(made) for name in made[0]}
                record = {"step": self.step, **check(means)}
                record["seconds"] = round(time.perf_counter() - began)
                self._log(record)
                self.save()
                report(record)

    def _descend(self, loss: Tensor) -> None:
        rate = self.schedule.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("peak", 1.0)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1

    def _log(self, record: dict[str, Any]) -> None:
        if self.folder:
            line = {name: round(v, 4) if isinstance(v, float) else v for name, v in record.items()}
            with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def batches_by_length(
    lengths: Sequence[int], tokens: int, rng: random.Random | None, most: int = 0
) -> list[list[int]]:
    """Index batches of about `tokens` padded tokens, of like length; shuffled when rng is given.

    most: so many indices in a batch at most; 0: as many as the tokens allow.
    """
    order = list(range(len(lengths)))
    if rng:
        rng.shuffle(order)
    order.sort(key=lambda i: lengths[i] // 2)
    groups: list[list[int]] = []
    group: list[int] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        if group and (longest * (len(group) + 1) > tokens or len(group) == most):
            groups.append(group)
            group, longest = [], lengths[i]
        group.append(i)
    if group:
        groups.append(group)
    if rng:
        rng.shuffle(groups)
    return groups


def decayed_adamw(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.AdamW:
    """AdamW that lets matrices decay, and leaves biases and the gains of norms alone."""
    both = list(parameters)
    return torch.optim.AdamW(
        [
            {"params": [p for p in both if p.dim() > 1], "weight_decay": 0.01},
            {"params": [p for p in both if p.dim() == 1], "weight_decay": 0.0},
        ],
        lr=lr,
        betas=(0.9, 0.98),
        fused=True,
    )
