"""The reference of the prosody LM: its checkpoint, its recorded numbers, and its forward pass spelled out."""

from __future__ import annotations

from pathlib import Path

import torch

from speechprompt.making.convert import prosody_lm as conversion
from speechprompt.models import prosody_lm

FOLDER = Path(__file__).parent / "fixtures" / "pgslm"
TOLERANCE = {"atol": 2e-5, "rtol": 0.0}
OURS = conversion.token_order(104).argsort()  # fairseq's index -> our token id


def convert(state, tmp_path, edges=None):
    torch.save(state, tmp_path / "checkpoint.pt")
    conversion.convert(tmp_path / "checkpoint.pt", tmp_path / "made" / "unit_lm", edges)
    return prosody_lm.load(tmp_path / "made" / "unit_lm")


def assert_same(found, expected, lengths):
    """Equal at real steps; the units' logits are brought back to fairseq's order."""
    for ours, theirs in zip((found[0][..., OURS], *found[1:]), expected, strict=True):
        for row, length in enumerate(lengths.tolist()):
            torch.testing.assert_close(ours[row, :length], theirs[row, :length], **TOLERANCE)


def recorded(io, prefix):
    return [io[f"{prefix}.{name}"] for name in ("token", "duration", "f0")]
