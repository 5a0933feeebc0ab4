"""A rule that tells women and men by the median F0 alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

HIGHER_HZ = 165.0  # F0 above which the rule says woman
NAMES = {"f": "woman", "m": "man", "female": "woman", "male": "man"}


def by_pitch(track: np.ndarray) -> str:
    """woman or man by a track of F0 in Hz, float [F], 0 where nothing is voiced; "" where nothing ever is."""
    voiced = track[track > 0]
    return "" if not len(voiced) else "woman" if float(np.median(voiced)) > HIGHER_HZ else "man"


def adults(rows: Sequence[dict[str, Any]]) -> list[tuple[bytes, str]]:
    """(audio, woman or man) of the rows that say it."""
    named = [(row["audio"], NAMES.get(str(row.get("label")), "")) for row in rows]
    return [(sound, label) for sound, label in named if label]
