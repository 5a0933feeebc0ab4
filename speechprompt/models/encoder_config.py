"""Sizes of the unit encoders, without loading one: a command's options show them.

Knows no torch.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from speechprompt.storage.schema import schema

HUBERT_LAYER = 6  # the papers' units are those of the sixth layer's output


@schema()
class EncoderConfig:
    """Sizes of a SpeechEncoder; `n_layers` blocks of width `dim`."""

    n_mels: Annotated[int, Field(ge=8, le=256)] = 80
    dim: Annotated[int, Field(ge=8, le=2048)] = 192
    n_layers: Annotated[int, Field(ge=1, le=48)] = 5
    n_heads: Annotated[int, Field(ge=1, le=64)] = 4
    ffn_dim: Annotated[int, Field(ge=8, le=8192)] = 768
    kernel: Annotated[int, Field(ge=3, le=63)] = 15  # frames that a block's depthwise convolution spans
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def __post_init__(self) -> None:
        if self.dim % self.n_heads or self.kernel % 2 == 0:
            raise ValueError("dim must divide by n_heads and kernel must be odd")
