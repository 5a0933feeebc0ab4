"""What backbone.json says of a backbone: its name, its encoder and the sizes that its models must have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from speechprompt.storage.bundled import BACKBONE_JSON, NAME_PATTERN
from speechprompt.storage.folders import read_json
from speechprompt.storage.schema import matching, plain, read, schema
from speechprompt.units import FRAME_RATE

FORMAT_VERSION = 1
FETCHED = ("gslm", "hubert-mini", "pgslm")  # what `speechprompt fetch` completes
FRAME_RATES = (50, 25)  # of encoders
ENCODERS = ("bundled", "hubert-base")  # or the name of the backbone whose encoder is shared

Line = Annotated[str, plain(2000)]
BackboneName = Annotated[str, matching(NAME_PATTERN, "1 to 64 of a-z, 0-9, - and _")]


@schema(kw_only=True)
class Info:
    """What backbone.json says. encoder: "bundled", "hubert-base", or the backbone whose encoder it shares.

    frame_rate: units a second, before repeats are collapsed.
    """

    name: BackboneName
    title: Line
    encoder: BackboneName
    n_units: Annotated[int, Field(ge=2, le=65_000)]
    frame_rate: int
    description: Line
    licence: Line

    def __post_init__(self) -> None:
        if self.encoder == self.name:
            raise ValueError(f"the encoder must be one of {', '.join(ENCODERS)}, or another backbone's name")
        if self.frame_rate not in FRAME_RATES:
            raise ValueError(f"frame_rate must be {' or '.join(map(str, FRAME_RATES))} frames per second")

    @property
    def frames_of_20_ms(self) -> int:
        """That one frame of the encoder lasts."""
        return FRAME_RATE // self.frame_rate


def read_info(folder: Path) -> Info:
    """Read and check the backbone.json of a folder; SpeechPromptError names the file and the fact."""
    what = f"Backbone {folder.name}"
    return read(
        Info, read_json(folder, BACKBONE_JSON, what, version=FORMAT_VERSION), f"{what}: {BACKBONE_JSON}"
    )


def missing(info: Info, has_encoder: bool, has_lm: bool) -> str | None:
    """One sentence that says which models are not on this machine and how to get them; None when both are here."""
    if has_encoder and has_lm:
        return None
    encoder, it, instead = f"encoder of backbone {info.name} ({info.encoder})", "it", ""
    if has_encoder:
        lacking = f"The unit LM of backbone {info.name} is"
    elif has_lm:
        lacking, instead = f"The {encoder} is", " for audio"
    else:
        lacking, it = f"The unit LM and the {encoder} are", "them"
    how = f"copy {it} into its folder"
    if info.name in FETCHED:
        how = f"fetch {it} with `python -m speechprompt fetch {info.name}`"
    return f"{lacking} not on this machine: {how}, or choose another backbone{instead}."
