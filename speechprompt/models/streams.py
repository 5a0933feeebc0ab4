"""What the prosody-aware unit LM hears beside the units: durations and F0, one step late (pGSLM).

`ProsodyConfig` says how the two streams become symbols or numbers (Kharitonov et al. 2022, section 3.2);
`streams` makes them from Units. Knows no models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from speechprompt.errors import SpeechPromptError
from speechprompt.models.pitch import quantise
from speechprompt.storage.schema import LAX, schema
from speechprompt.units import Units

WHAT = "Prosody LM"
N_SPECIALS = 4  # bos, pad, eos and unk end the symbols of a discrete stream
CONTINUOUS_PAD = -5.0  # what stands for "no F0 yet" where F0 is a number
SHIFTS = (1, 1)


def to_edges(given: object) -> np.ndarray | None:
    if given is None or isinstance(given, np.ndarray):
        return given
    if not isinstance(given, list) or not all(type(edge) in (int, float) for edge in given):
        raise ValueError("must be a list of numbers")
    return np.array(given, np.float64)


@schema(eq=False)
class ProsodyConfig:
    """How durations and F0 enter and leave; symbols when discrete, numbers when continuous.

    n_durations: 0 to n_durations - 5 frames (longer runs count as the longest), then bos, pad, eos, unk.
    n_f0: bins of normalised log F0 cut at f0_edges (float32 [n_f0 - 5]), then bos, pad, eos, unk.
    Both are 1 when continuous. shifts: steps that each stream is delayed by. An ignored input is read as 0.
    """

    mode: Literal["discrete", "continuous"] = "discrete"
    n_durations: Annotated[int, Field(ge=1, le=4096)] = 25
    n_f0: Annotated[int, Field(ge=1, le=4096)] = 36
    shifts: Annotated[tuple[int, int], LAX] = SHIFTS
    f0_edges: Annotated[np.ndarray | None, BeforeValidator(to_edges)] = None
    ignore_duration_input: bool = False
    ignore_f0_input: bool = False

    def __post_init__(self) -> None:
        low, high = (N_SPECIALS + 2, 4096) if self.discrete else (1, 1)
        for name in ("n_durations", "n_f0"):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} must be {'from 6 to 4096' if self.discrete else '1'} in {self.mode} mode"
                )
        if self.shifts != SHIFTS:
            raise ValueError(f"the streams are shifted by {list(self.shifts)}; only [1, 1] is supported")
        if self.f0_edges is not None:
            with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused
                edges = self.f0_edges.astype(np.float32)
            if not self.discrete or edges.shape != (self.n_f0 - N_SPECIALS - 1,):
                raise ValueError("f0_edges must be as many as the F0 bins less one")
            if not np.isfinite(edges).all() or (np.diff(edges) < 0).any():
                raise ValueError("f0_edges must be numbers that rise")
            object.__setattr__(self, "f0_edges", edges)

    @property
    def discrete(self) -> bool:
        return self.mode == "discrete"

    @property
    def ignore_prosody_input(self) -> bool:
        """Whether the LM hears units only, while it still predicts all streams."""
        return self.ignore_duration_input and self.ignore_f0_input

    @property
    def longest(self) -> int:
        """Frames of 20 ms at which discrete durations are cut."""
        return self.n_durations - N_SPECIALS - 1

    @property
    def start_f0(self) -> int | float:
        """F0 of the start symbol."""
        return self.n_f0 - N_SPECIALS if self.discrete else 0.0

    @property
    def pad_f0(self) -> int | float:
        """F0 of a step that has none: the first, and padding. Its duration is 0."""
        return self.n_f0 - N_SPECIALS + 1 if self.discrete else CONTINUOUS_PAD

    def settings(self) -> dict[str, Any]:
        """As config.json holds it."""
        edges = None if self.f0_edges is None else self.f0_edges.tolist()
        names = ("mode", "n_durations", "n_f0", "ignore_duration_input", "ignore_f0_input")
        return {name: getattr(self, name) for name in names} | {
            "shifts": list(self.shifts),
            "f0_edges": edges,
        }


def targets(units: Units, prosody: ProsodyConfig) -> tuple[np.ndarray, np.ndarray]:
    """Duration and F0 of `<s> u1 … uN </s>` without delay: int64 [N + 2] each, float32 when continuous.

    Raises SpeechPromptError when the units carry no F0, or the LM has no edges to quantise it with.
    """
    if units.log_f0 is None and not prosody.ignore_f0_input:
        raise SpeechPromptError(
            "This backbone hears the melody of a voice: give it a recording, not units alone."
        )
    log_f0 = np.zeros(len(units), np.float32) if units.log_f0 is None else units.log_f0
    durations = np.r_[0, units.lengths, 0]
    f0 = np.r_[log_f0, 0].astype(np.float32)
    if not prosody.discrete:
        return durations.astype(np.float32), np.r_[prosody.start_f0, f0].astype(np.float32)
    if prosody.f0_edges is None and not prosody.ignore_f0_input:
        raise SpeechPromptError(
            f"{WHAT}: it has no f0_edges, so F0 cannot become bins; convert it with them."
        )
    bins = np.zeros(len(f0), np.int64) if prosody.f0_edges is None else quantise(f0, prosody.f0_edges)
    return np.minimum(durations, prosody.longest).astype(np.int64), np.r_[prosody.start_f0, bins].astype(
        np.int64
    )


def streams(units: Units, prosody: ProsodyConfig) -> tuple[np.ndarray, np.ndarray]:
    """Inputs beside the tokens `<s> u1 … uN <separator>`: durations and F0 [N + 2], one step late.

    int64 symbols when discrete, float32 frames and log F0 when continuous. The separator's step carries
    the last unit's prosody. Errors as `targets`.
    """
    durations, f0 = targets(units, prosody)
    late_durations, late_f0 = np.roll(durations, 1), np.roll(f0, 1)
    late_durations[0], late_f0[0] = 0, prosody.pad_f0
    return late_durations, late_f0
