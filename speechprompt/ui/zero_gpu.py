"""ZeroGPU, the GPU that a Space is lent for one call at a time: who runs on it, and for how long.

The GPU is there only inside the functions that `on_gpu` wraps, which run in forked processes: they get
and give what can be pickled, and they find the models as they were when the app started. So the
desk of such a Space works on the CPU (teaching, listening live, units, a visitor's own tasks), and hands
only recordings with everybody's tasks to a `LentGpu`. Where none is to be had, as when a visitor's share
of the day is used up, the CPU answers those as well.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.decoding.answer import Answer
from speechprompt.machine import request_time
from speechprompt.machine.request_time import time_limit
from speechprompt.ui.desk import Desk

log = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable[..., Any])

VARIABLE = "SPACES_ZERO_GPU"  # set on such Spaces; app.py asks for it before it imports torch
FEWEST_SECONDS = 5  # the models move to the GPU first

Found = tuple[Answer | None, str]  # an answer, or the sentence that says why there is none


def on_gpu(function: Function, seconds: Callable[..., int]) -> Function:
    """A function that runs with the lent GPU, for the seconds that `seconds` says of its arguments at most.

    Elsewhere it is the function itself.
    """
    if not os.environ.get(VARIABLE):
        return function
    import spaces

    return spaces.GPU(duration=seconds)(function)


def desk_of(default: str | Path, examples: Path | None) -> Desk:
    """The app's desk: on the device that is here, or with a lent GPU where there is one to lend."""
    if not os.environ.get(VARIABLE):
        return Desk(default, examples)
    desk = Desk(default, examples, "cpu")
    desk.lender = LentGpu(Desk(default, None, "cuda"))
    return desk


def seconds_for(waveform: np.ndarray, n_prompts: int) -> int:
    """How long to ask for: the shorter, the sooner it is one's turn, but work that takes longer is killed."""
    return min(
        int(request_time.REQUEST_SECONDS),
        FEWEST_SECONDS + math.ceil(len(waveform) / audio.SAMPLE_RATE * (3 + n_prompts) / 30),
    )


class LentGpu:
    """Answers recordings (float32 [T], 16 kHz) on a lent GPU.

    desk: of the models, on the GPU; they are loaded here, as a forked process keeps nothing for the next one.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        for backbone in desk.backbones.values():
            if backbone.complete:
                log.info(
                    "%s: %d parameters, %d prompts",
                    backbone.name,
                    backbone.n_parameters,
                    len(backbone.prompts),
                )
        self._compare = on_gpu(
            self._compare_on_device, lambda waveform, asked: seconds_for(waveform, len(asked))
        )

    def compare(self, waveform: np.ndarray, asked: Sequence[tuple[str, str]]) -> list[Found] | None:
        """Answer or error of each (backbone, task) about a recording; None when no GPU can be had."""
        try:
            return self._compare(waveform, list(asked))
        except Exception as problem:  # of the lending: no share left, too many waiting, taken back
            log.warning("No GPU was lent: %s", problem)
            return None

    def _compare_on_device(self, waveform: np.ndarray, asked: list[tuple[str, str]]) -> list[Found]:
        """In the forked process. A sentence is given and not raised: what is raised there arrives changed."""
        with time_limit():
            rows = self.desk.compare(waveform, asked)
        return [(row.answer, row.error) for row in rows]
