"""What config.json of a unit LM's folder must say, and the sha256 of its weights, without loading either model.

Knows neither torch nor transformers, so that a list of tasks can be checked before any model is read.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from speechprompt.models.causal_config import CausalConfig, read_causal
from speechprompt.storage.folders import file_inside, read_json, sha256_file
from speechprompt.storage.schema import read, schema
from speechprompt.units import UNIT_OFFSET

LM_JSON = "config.json"
WEIGHTS_NAME = "model.safetensors"
MAX_BYTES = 2 << 30  # GSLM's 151 M parameters take 0.6 GB in fp32

PROSODY = "xglm-prosody"  # model_type of a prosody LM
# The first input symbol `<s>` of a prosody LM, which has its own row: row 0 is the separator's.
PROSODY_START: Literal[3] = 3


@schema(kw_only=True, known=False)
class Sizes:
    """Sizes of a unit LM, bounded so that a hostile config cannot ask for all memory."""

    vocab_size: Annotated[int, Field(ge=UNIT_OFFSET + 2, le=65_536)]
    d_model: Annotated[int, Field(ge=4, le=4096)]
    num_layers: Annotated[int, Field(ge=1, le=64)]
    attention_heads: Annotated[int, Field(ge=1, le=64)]
    ffn_dim: Annotated[int, Field(ge=1, le=16_384)]
    max_position_embeddings: Annotated[int, Field(ge=16, le=8192)]

    projects = True  # see UnitLM

    @property
    def past_width(self) -> int:
        """Numbers in one key of all heads."""
        return self.d_model

    def __post_init__(self) -> None:
        if self.d_model % self.attention_heads or self.d_model % 2:
            raise ValueError("d_model must be even and divide by attention_heads")


@schema(kw_only=True, known=False)
class LMConfig(Sizes):
    """What config.json of a plain unit LM says: what makes an XGLM compute what fairseq's GSLM does.

    XGLM's own defaults are these values too, but for the two names that must be there.
    """

    model_type: Literal["xglm"]
    activation_function: Literal["relu"]
    scale_embedding: Literal[True] = True
    tie_word_embeddings: Literal[True] = True
    add_cross_attention: Literal[False] = False
    bos_token_id: Literal[0] = 0
    pad_token_id: Literal[1] = 1
    eos_token_id: Literal[2] = 2


@schema(kw_only=True, known=False)
class ProsodyLMConfig(Sizes):
    """The same of a prosody LM, whose output layer is one for three streams and not the embedding.

    first_position: of the table of positions. prosody: what streams.ProsodyConfig holds.
    """

    model_type: Literal["xglm-prosody"]
    activation_function: Literal["relu"]
    scale_embedding: Literal[True] = True
    tie_word_embeddings: Literal[False] = False
    add_cross_attention: Literal[False] = False
    bos_token_id: Literal[3] = PROSODY_START
    pad_token_id: Literal[1] = 1
    eos_token_id: Literal[2] = 2
    first_position: Annotated[int, Field(ge=0)]
    prosody: dict[str, Any]


def sizes_of(config: Any) -> dict[str, int]:
    """The sizes of anything that has them as attributes, such as transformers' config."""
    return {one.name: int(getattr(config, one.name)) for one in fields(Sizes)}


def read_config(folder: Path) -> LMConfig | ProsodyLMConfig | CausalConfig:
    """What config.json says, checked: a plain or a prosody LM, or another of transformers', of bearable sizes."""
    settings = read_json(folder, LM_JSON, "Unit LM")
    if settings.get("model_type") == PROSODY:
        return read(ProsodyLMConfig, settings, f"Prosody LM: {LM_JSON}")
    if settings.get("model_type") in (None, "xglm"):
        return read(LMConfig, settings, f"Unit LM: {LM_JSON}")
    return read_causal(folder, settings)


def sha256(folder: Path) -> str:
    """Hex sha256 of model.safetensors: the identity that prompts are tied to."""
    return sha256_file(file_inside(folder, WEIGHTS_NAME, "Unit LM", MAX_BYTES))
