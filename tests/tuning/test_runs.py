"""The loop that every training shares: learning rates, rounds, log, checkpoint, and batches of like length."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from speechprompt.errors import SpeechPromptError
from speechprompt.tuning.checkpoint import run_folder
from speechprompt.tuning.runs import Run, Schedule, batches_by_length


def line(folder: Path | None, steps: int = 10, **settings: Any) -> tuple[Run, nn.Linear]:
    """A run that fits y = 2 x by one weight."""
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = Schedule(steps, warm_up=2, peak=0.1)
    return Run(
        "line", folder, settings, schedule, model.parameters(), optimizer, {"model": model}, {"seen": []}
    ), model


def train(run: Run, model: nn.Linear, every: int = 4, stop_at: int | None = None) -> list[int]:
    """Train it, noting after which steps it was checked."""
    checked = []

    def work(x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (model(x) - 2 * x).square().mean()}

    def check(means: dict[str, float]) -> dict[str, Any]:
        checked.append(run.step)
        run.state["seen"].append(run.step)
        return means | {"weight": model.weight.item()}

    with run:
        batches = (torch.rand(8, 1, generator=torch.Generator().manual_seed(i)) for i in range(run.step, 100))
        run.train(run.rounds(batches, every), work, check, should_stop=lambda: run.step == stop_at, bar=False)
    return checked


def test_the_schedule_rises_then_falls_to_its_floor() -> None:
    schedule = Schedule(100, warm_up=10, peak=0.5, floor=0.1)
    rates = [schedule.rate(step) for step in range(101)]
    assert rates[0] < 0.06 and max(rates) == max(rates[:11]) and 0.48 < max(rates) <= 0.5
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[100] == pytest.approx(0.05)


def test_a_group_has_the_rate_of_the_schedule_times_its_peak() -> None:
    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [{"params": [weights[0]], "peak": 3.0}, {"params": [weights[1]]}]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    run = Run("two", None, {}, Schedule(1, 1, peak=0.25), weights, optimizer, {}, {})
    with run:
        run.train([[None]], lambda _: {"loss": (weights[0] + weights[1]).sum() * 0.5}, bar=False)
    assert [group["lr"] for group in optimizer.param_groups] == [0.75, 0.25]
    assert [w.item() for w in weights] == [1 - 0.75 * 0.5, 1 - 0.25 * 0.5]


def test_it_is_checked_at_multiples_and_at_the_end(tmp_path: Path) -> None:
    run, model = line(tmp_path)
    assert train(run, model) == [4, 8, 10]
    log = [json.loads(text) for text in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [4, 8, 10] and log[0]["weight"] < log[-1]["weight"] < 2
    assert set(log[0]) == {"step", "loss", "weight", "seconds"}


def test_a_stopped_run_goes_on_where_its_checkpoint_is(tmp_path: Path) -> None:
    whole, model = line(None)
    train(whole, model)
    first, _ = line(tmp_path)
    assert train(first, _, stop_at=6) == [4]  # steps 5 and 6 are lost
    second, resumed = line(tmp_path)
    assert train(second, resumed) == [8, 10] and second.state["seen"] == [4, 8, 10]
    assert torch.equal(resumed.weight, model.weight)
    done, _ = line(tmp_path)
    assert train(done, _) == []
    other, _ = line(tmp_path, lr=1)
    with pytest.raises(SpeechPromptError, match="other settings or data"), other:
        pass
    with run_folder(tmp_path):  # what could not be resumed keeps no lock
        taken, _ = line(tmp_path)
        with pytest.raises(SpeechPromptError, match="at work in the run folder"), taken:
            pass


def test_a_checkpoint_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    run, model = line(tmp_path)
    train(run, model)
    state = torch.load(tmp_path / "line.pt", weights_only=True)
    state["best"] = state.pop("seen")
    torch.save(state, tmp_path / "line.pt")
    again, _ = line(tmp_path)
    with pytest.raises(SpeechPromptError, match="lacks 'seen'.*choose an empty --run"), again:
        pass


@pytest.mark.parametrize("rng", [None, random.Random(1)])
def test_batches_hold_every_index_once_within_the_budget(rng: random.Random | None) -> None:
    lengths = [random.Random(i).randint(1, 90) for i in range(200)]
    batches = batches_by_length(lengths, 256, rng)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(len(b) == 1 or max(lengths[i] for i in b) * len(b) <= 256 for b in batches)
    # Like lengths lie together, so that little is padding.
    padded = sum(max(lengths[i] for i in b) * len(b) for b in batches)
    assert padded < 1.15 * sum(lengths)
