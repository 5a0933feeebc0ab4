"""What may be chosen of a teaching, and what it tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HEARING, STARTING = 0.83, 0.17  # their shares, about, of the time that a prompt in closed form takes
REFINING = 0.7  # share of all time that gradient steps take, where they are wanted
REFINING_ROUNDS = 3  # as many as the Teach tab makes when asked to


@dataclass(frozen=True)
class TeachConfig:
    """What may be chosen; the defaults suit 2 to 10 labels with 1 to 50 clips each.

    copies: simulated recordings of each clip, fewer when that made more than max_utterances. pauses: see
    TuneConfig. rounds: of gradient steps that are rehearsed, each without another part of the clips, before
    a last one with all; REFINING_ROUNDS are enough, and with 0 the prompt stays in closed form. What follows
    is for those rounds; verbalizer_pace: see tuning.Start, the rest is as in TuneConfig.
    """

    copies: int = 8
    pauses: float = 0.5
    max_utterances: int = 600
    rounds: int = 0
    steps: int = 60
    lr: float = 0.06
    verbalizer_pace: float = 0.02
    unit_noise: float = 0.05
    tokens_per_batch: int = 1024
    check_every: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Moment:
    """Where the teaching stands: what is being done, and the share of all work that is done (0..1).

    In rounds 1 to `rounds`, the last of which holds out nothing: the steps tuned, the mean loss since the
    moment before, and accuracy (0..1) on the clips held out.
    """

    doing: str
    done: float
    round: int = 0
    rounds: int = 0
    step: int = 0
    loss: float | None = None
    accuracy: float | None = None


class Stopped(Exception):
    """The user wants no more."""


Report = Callable[[Moment], None]
ShouldStop = Callable[[], bool]
