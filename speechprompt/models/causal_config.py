"""What a folder says of a causal LM of transformers that is used as a unit LM, read without transformers.

config.json is transformers' own, units.json says which of its tokens are units: those from `offset` on, in order, or a
list of `tokens`, one for each unit; and the tokens that begin (`start`) and end (`end`) a row.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import read_json
from speechprompt.storage.schema import LAX, read, schema
from speechprompt.units import UNIT_OFFSET

UNITS_JSON = "units.json"
FORMAT_VERSION = 1
# model_type -> what its config.json calls: width, layers, heads, positions (of a learned table; "" for rotary ones).
NAMES = {
    "opt": ("hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"),
    "gpt2": ("n_embd", "n_layer", "n_head", "n_positions"),
    "llama": ("hidden_size", "num_hidden_layers", "num_attention_heads", ""),
    "mistral": ("hidden_size", "num_hidden_layers", "num_attention_heads", ""),
    "qwen2": ("hidden_size", "num_hidden_layers", "num_attention_heads", ""),
    "qwen3": ("hidden_size", "num_hidden_layers", "num_attention_heads", ""),
}
MAX_TOKENS = 1 << 18  # of a vocabulary

Token = Annotated[int, Field(ge=0, lt=MAX_TOKENS)]


@schema(kw_only=True)
class UnitTokens:
    """What units.json says; n_units is for `offset`, a list of `tokens` has as many units as entries."""

    start: Token
    end: Token
    offset: Token | None = None
    n_units: Annotated[int, Field(ge=2, le=65_000)] | None = None
    tokens: Annotated[tuple[Token, ...], LAX, Field(max_length=65_000)] = ()

    def __post_init__(self) -> None:
        if bool(self.tokens) == (self.offset is not None) or (self.n_units is None) != bool(self.tokens):
            raise ValueError("it must give either offset and n_units, or tokens")
        if len(set(self.tokens)) != len(self.tokens) or len(self.tokens) == 1:
            raise ValueError("tokens must be two or more different ones")

    @property
    def ids(self) -> tuple[int, ...]:
        """The token of every unit, in order."""
        return self.tokens or tuple(range(self.offset or 0, (self.offset or 0) + (self.n_units or 0)))


@schema(kw_only=True)
class CausalConfig:
    """Sizes of such an LM under the names that all unit LMs have here, and its units.

    d_model: numbers in the embedding of a token. past_heads, head_width: of the keys and values that are kept.
    max_positions: of a learned table of positions, None where they are rotary.
    """

    model_type: str
    units: UnitTokens
    n_tokens: Annotated[int, Field(ge=8, le=MAX_TOKENS)]
    d_model: Annotated[int, Field(ge=4, le=4096)]
    num_layers: Annotated[int, Field(ge=1, le=64)]
    past_heads: Annotated[int, Field(ge=1, le=128)]
    head_width: Annotated[int, Field(ge=2, le=512)]
    max_positions: Annotated[int, Field(ge=16, le=1 << 20)] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    projects = False

    def __post_init__(self) -> None:
        if max(*self.units.ids, self.units.start, self.units.end) >= self.n_tokens:
            raise ValueError(f"{UNITS_JSON} names a token beyond the {self.n_tokens} of the vocabulary")
        if self.past_width > 4096:
            raise ValueError("its keys are wider than 4096 numbers")

    @property
    def vocab_size(self) -> int:
        """Symbols of a unit LM here: the four specials and the units."""
        return len(self.units.ids) + UNIT_OFFSET

    @property
    def past_width(self) -> int:
        """Numbers in one key of all heads."""
        return self.past_heads * self.head_width


def read_causal(folder: Path, settings: dict[str, Any]) -> CausalConfig:
    """What the folder of such an LM says, checked; settings: of its config.json."""
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in NAMES:
        raise SpeechPromptError(
            f"Unit LM: config.json has the model_type {str(kind)[:40]!r}; LMs whose keys and values a prompt can stand "
            f"before are read: xglm, {', '.join(NAMES)}."
        )
    if "quantization_config" in settings:
        raise SpeechPromptError("Unit LM: quantised weights are not read: give the LM's own.")
    units = read(
        UnitTokens, read_json(folder, UNITS_JSON, "Unit LM", FORMAT_VERSION), f"Unit LM: {UNITS_JSON}"
    )
    width, layers, heads = (whole(settings.get(name)) for name in NAMES[kind][:3])
    positions = settings.get(NAMES[kind][3])
    if not (width and layers and heads) or width % heads:
        raise SpeechPromptError(
            f"Unit LM: config.json must give {', '.join(NAMES[kind][:3])}, as whole numbers."
        )
    found = {
        "model_type": kind,
        "units": units,
        "n_tokens": settings.get("vocab_size"),
        "d_model": settings.get("word_embed_proj_dim") or width,
        "num_layers": layers,
        "past_heads": settings.get("num_key_value_heads") or heads,
        "head_width": settings.get("head_dim") or width // heads,
        "max_positions": positions,
        "settings": {
            k: v for k, v in settings.items() if k not in ("auto_map", "_name_or_path", "model_type")
        },
    }
    return read(CausalConfig, found, "Unit LM: config.json")


def whole(value: object) -> int:
    """A whole number above 0, or 0 where it is none."""
    return value if type(value) is int and value > 0 else 0
