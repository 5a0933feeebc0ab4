"""The settings of a teaching, and what it reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TeachConfig:
    """The defaults suit 2 to 10 labels with none to 50 clips each.

    copies: simulated recordings of each clip, fewer when that made more than max_utterances. pauses: see
    TuneConfig. seed: of the simulation and of the choice of a start. takes: how often each label is spoken where one
    has no recordings, in this language (speaking.LANGUAGES).
    """

    copies: int = 8
    pauses: float = 0.5
    max_utterances: int = 600
    seed: int = 0
    takes: int = 24
    language: str = "English"


@dataclass(frozen=True)
class Moment:
    """Where the teaching stands: what is being done, and the share of all work that is done (0..1)."""

    doing: str
    done: float


class Stopped(Exception):
    """The user cancelled the teaching."""


Report = Callable[[Moment], None]
ShouldStop = Callable[[], bool]
