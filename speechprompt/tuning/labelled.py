"""Recordings of a task -> labelled units, with the simulated recordings that a tuning learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speechprompt.audio.augment import PLAIN, Simulation
from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example, at_most
from speechprompt.evaluation.evaluate import nothing_recorded, to_units
from speechprompt.tasks.task import Task
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.trainable import Labelled
from speechprompt.units import Units

NOTHING_SHARE = 40  # one recording of nothing for so many others


def simulation_for(task: Task, seed: int, pauses: float) -> Simulation:
    """The recordings that a task's clips are heard in while it is tuned; pauses: see TuneConfig."""
    return Simulation(seed, pauses, controlled=task.channel == "controlled", close=task.close)


def labelled(
    backbone: Backbone,
    examples: Sequence[Example],
    answers: Sequence[Sequence[int]],
    copies: int = 0,
    simulation: Simulation = PLAIN,
    silence: int | None = None,
) -> list[Labelled]:
    """Units and label indices of every example, then of its simulated copies (see to_units).

    silence: the label of recordings of nothing, some of which are added when the examples are audio. No
    example of it gets pauses: steady noise between other noise is an event.
    """
    steady = replace(simulation, pauses=0.0)

    def recording(waveform: np.ndarray, clip: int, copy: int) -> np.ndarray:
        made_by = steady if tuple(answers[clip]) == (silence,) else simulation
        return made_by.recording(waveform, clip, copy)

    utterances = to_units(backbone, examples, copies, recording)
    found: list[Labelled] = [(units, answers[i % len(answers)]) for i, units in enumerate(utterances)]
    if silence is not None and examples[0].audio is not None:
        nothing = nothing_recorded(backbone, len(found) // NOTHING_SHARE, simulation.seed)
        found += [(units, (silence,)) for units in nothing]
    return found


def negative_units(
    backbone: Backbone, examples: Sequence[Example], n: int, config: TuneConfig, simulation: Simulation
) -> list[Units]:
    """Units of about n recordings that belong to no label, and some of nothing where they are audio.

    They are drawn by the seed, evenly from the files. Where train is learnt from simulated recordings, half of these
    are too, lest the channel tells them apart.
    """
    copies = 0 if examples[0].audio is None else min(1, config.augment)
    chosen = at_most(
        [replace(example, labels=()) for example in examples], n // (1 + copies) + 1, config.seed
    )
    found = to_units(backbone, chosen, copies, simulation.recording)
    if chosen[0].audio is not None:
        found = found + nothing_recorded(backbone, len(found) // NOTHING_SHARE, simulation.seed + 1)
    return found
