"""A training of the encoder: the model, its average over steps and its optimizer, in a run that may be stopped.

Step n draws the same batch whatever happened before, so a stopped run resumes where it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from speechprompt.making.pretrain.batches import Batches
from speechprompt.making.pretrain.config import EncoderTraining
from speechprompt.making.pretrain.corpus import read_corpus
from speechprompt.tuning.runs import Run, Schedule

CHECK_EVERY = 100  # steps between lines of the log, each with a checkpoint
AVERAGE = 0.998  # how much of the average stays as it was in a step, once there are many
DRAWS = range(10**6, 10**6 + 40)  # steps that training never reaches: batches to fit clusters on

Model = TypeVar("Model", bound=nn.Module)
Config = TypeVar("Config", bound=EncoderTraining)


class EncoderRun(Run, Generic[Model]):
    """The model, its average over the steps and its optimizer; what a step computes is the subclass's."""

    stage: str  # names the checkpoint and the log
    options: tuple[str, ...]  # what makes this run another one

    def __init__(self, config: EncoderTraining, batches: Batches, model: Model) -> None:
        self.config, self.batches, self.model = config, batches, model
        self.device = next(model.parameters()).device
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        super().__init__(
            self.stage,
            config.run,
            {option: getattr(config, option) for option in self.options},
            Schedule(config.steps, 200, config.lr, floor=0.03),
            model.parameters(),
            torch.optim.AdamW(
                model.parameters(), lr=config.lr, weight_decay=0.05, betas=(0.9, 0.98), fused=True
            ),
            {"model": model, "average": self.average},
            state={"clusters": {}},
        )

    @property
    def clusters(self) -> dict[str, Tensor]:
        """mean, std and centroids that the targets are the nearest of; empty until they are fitted."""
        clusters: dict[str, Tensor] = self.state["clusters"]
        return clusters

    def resume(self) -> bool:
        resumed = super().resume()
        self.state["clusters"] = {name: t.to(self.device) for name, t in self.clusters.items()}
        return resumed

    def train_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The figures of a batch, the loss among them (see Run.train)."""
        raise NotImplementedError

    def follow(self) -> None:
        """One step of the average."""
        keep = min(AVERAGE, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)

    def loader(self) -> DataLoader[dict[str, Any]]:
        """The batches of all steps that are left."""
        return DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(self.step, self.config.steps),
            num_workers=self.config.workers,
            prefetch_factor=8 if self.config.workers else None,
            generator=torch.Generator(),  # the loader's own draw would set a resumed run off from a whole one
        )


def run_stage(stage: Callable[[Config, Batches], EncoderRun[Any]], data: Path, config: Config) -> None:
    """A stage from the folder of packed data to its last step, from the checkpoint on where there is one."""
    torch.set_num_threads(config.threads)
    with stage(config, Batches(read_corpus(data, workers=config.threads), config.seed)) as run:
        run.train(run.rounds(iter(run.loader()), CHECK_EVERY), run.train_step, after_step=run.follow)
