"""From features to units: the nearest of K centroids for each frame, repeats collapsed.

What all unit encoders share, whichever network makes their features (SpeechPrompt, section 2.1), and
how their folders begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import read_json
from speechprompt.storage.schema import read, schema
from speechprompt.units import Units

FORMAT_VERSION = 1
ENCODER_JSON = "encoder.json"
WEIGHTS_NAME = "model.safetensors"
MAX_UNITS = 5000  # K

Sizes = TypeVar("Sizes")


class Quantizer(nn.Module):
    """An encoder's last step. centroids [K, dim]; subclasses give `features`."""

    centroids: Tensor
    frames_of_20_ms = 1  # that one frame of the encoder lasts

    @property
    def n_units(self) -> int:
        return len(self.centroids)

    @property
    def device(self) -> Any:
        return self.centroids.device

    def features(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """float32 [T] each, at 16 kHz -> float32 [F, dim] each, a row for each frame; no clip changes another."""
        raise NotImplementedError

    def assign(self, features: Tensor) -> Tensor:
        """Nearest centroid of each frame, by Euclidean distance: [F, dim] -> int64 [F]."""
        return (self.centroids.square().sum(1) - 2 * features @ self.centroids.T).argmin(1)

    def batch(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        """Units of several clips; each equals what the clip gives alone."""
        found = (self.assign(features).cpu().numpy() for features in self.features(waveforms))
        return [Units.from_frames(ids, self.frames_of_20_ms) for ids in found]

    def units(self, waveform: np.ndarray) -> Units:
        """float32 [T] at 16 kHz -> Units."""
        return self.batch([waveform])[0]


@schema(kw_only=True)
class Head:
    """What encoder.json of every kind says beside its sizes."""

    n_units: Annotated[int, Field(ge=2, le=MAX_UNITS)]
    kind: str | None = None


def read_settings(folder: Path, kind: str | None, sizes: type[Sizes]) -> tuple[int, Sizes]:
    """K and the sizes in encoder.json; SpeechPromptError unless it is of this kind and version."""
    what = f"Encoder: {ENCODER_JSON}"
    settings = read_json(folder, ENCODER_JSON, "Encoder", version=FORMAT_VERSION)
    given: dict[str, Any] = {name: settings.pop(name) for name in ("n_units", "kind") if name in settings}
    head = read(Head, given, what)
    if head.kind != kind:
        raise SpeechPromptError(f"{what} has kind {str(head.kind)[:20]!r}, expected {kind!r}.")
    return head.n_units, read(sizes, settings, what)
