"""A training of the encoder that may be stopped: model and its average over steps, optimizer, checkpoint, log.

Step n draws the same batch whatever happened before, so a stopped run resumes where it was.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from speechprompt.making.pretrain.batches import Batches
from speechprompt.making.pretrain.corpus import read_corpus
from speechprompt.tuning.runs import learning_rate, load_checkpoint, run_folder, save_checkpoint

AVERAGE = 0.998  # how much of the average stays as it was in a step, once there are many
DRAWS = range(10**6, 10**6 + 40)  # steps that training never reaches: batches to fit clusters on

Model = TypeVar("Model", bound=nn.Module)


class EncoderRun(Generic[Model]):
    """Everything that a stopped run needs to go on; what a step computes is the subclass's."""

    name: str  # of the checkpoint and the log
    options: tuple[str, ...]  # what makes this run another one

    def __init__(self, args: argparse.Namespace, batches: Batches, model: Model) -> None:
        self.args, self.batches, self.step = args, batches, 0
        self.device = next(model.parameters()).device
        self.model = model
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=args.lr, weight_decay=0.05, betas=(0.9, 0.98), fused=True
        )
        self.settings = {option: getattr(args, option) for option in self.options}
        self.clusters: dict[str, Tensor] = {}

    @property
    def checkpoint(self) -> Path:
        return Path(self.args.run) / f"{self.name}.pt"

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "clusters": self.clusters,
            "rng": torch.get_rng_state(),
        }

    def save(self) -> None:
        save_checkpoint(self.checkpoint, self.settings, self.state())

    def resume(self) -> dict[str, Any] | None:
        """Go on from the checkpoint; its state, or None when there is none."""
        state = load_checkpoint(self.checkpoint, self.settings, self.device)
        if state is not None:
            self.step, self.clusters = state["step"], state["clusters"]
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["rng"].cpu())
        return state

    def train_step(self, batch: dict[str, Any]) -> dict[str, float]:
        """One step on a batch, and what the log says of it."""
        raise NotImplementedError

    def descend(self, loss: Tensor) -> None:
        """One step of the optimizer, and of the average."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.args.steps, self.args.lr, 200, 0.03)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(AVERAGE, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)

    def train(self) -> None:
        """All steps, with a line of the log every 100 and a checkpoint every 500."""
        args = self.args
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(self.step, args.steps),
            num_workers=args.workers,
            prefetch_factor=8 if args.workers else None,
            generator=torch.Generator(),  # the loader's own draw would set a resumed run off from a whole one
        )
        log, recent, began = args.run / f"{self.name}.jsonl", [], time.perf_counter()
        with tqdm(loader, initial=self.step, total=args.steps, desc=self.name, mininterval=5) as progress:
            for batch in progress:
                recent.append(self.train_step(batch))
                if self.step % 100 == 0 or self.step == args.steps:
                    means = {name: round(float(np.mean([r[name] for r in recent])), 4) for name in recent[0]}
                    seconds = round(time.perf_counter() - began)
                    with log.open("a") as file:
                        file.write(json.dumps({"step": self.step, "seconds": seconds, **means}) + "\n")
                    progress.set_postfix(means)
                    recent = []
                if self.step % 500 == 0 or self.step == args.steps:
                    self.save()


def run_stage(
    stage: Callable[[argparse.Namespace, Batches], EncoderRun[Any]], args: argparse.Namespace
) -> None:
    """A stage from the packed data to its last step, from the checkpoint on where there is one."""
    torch.set_num_threads(args.threads)
    with run_folder(args.run):
        training = stage(args, Batches(read_corpus(args.data, workers=args.threads), args.seed))
        training.resume()
        training.train()


def add_run_arguments(parser: argparse.ArgumentParser, folder: str, steps: int, lr: float) -> None:
    """Data, run folder and pace, as every training of the encoder takes them."""
    parser.add_argument("--data", type=Path, required=True, help="folder of packed parquet files")
    parser.add_argument("--run", type=Path, default=Path(folder), help="checkpoint and log; resumed if there")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")
