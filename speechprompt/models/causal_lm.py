"""Any causal LM of transformers as a unit LM: through past keys and values, input embeddings and position ids.

It takes the place of UnitLM wherever one is prompted, tuned or asked: the symbols are the four specials and the units,
whatever their tokens are, and the output layer is the LM's for these alone. XGLM has faster layers of its own
(layers.run_layers); the numbers are the same. Knows no prompts and no audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel

from speechprompt.errors import SpeechPromptError
from speechprompt.models.causal_config import CausalConfig, read_causal
from speechprompt.models.layers import bias
from speechprompt.models.lm_config import LM_JSON, MAX_BYTES, WEIGHTS_NAME
from speechprompt.storage.folders import file_inside, read_json
from speechprompt.units import EOS, Utterance

if TYPE_CHECKING:
    from speechprompt.models.layers import Extend


class Past(DynamicCache):
    """A cache of transformers whose keys and values are kept by `extend` (layers.run_layers)."""

    def __init__(self, extend: Extend, n_past: int) -> None:
        super().__init__()
        self._extend, self._n_past = extend, n_past

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return self._extend(layer_idx, key_states, value_states)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._n_past


class Symbols(nn.Module):
    """Embeddings of the symbols, float [V, d], as the LM's layers take them."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding.from_pretrained(weight)


class CausalUnitLM(nn.Module):
    """A causal LM of transformers, frozen, by the interface of UnitLM (see there)."""

    start_token = EOS
    first_position = 0
    projects = False
    embed_scale = 1.0

    def __init__(self, lm: PreTrainedModel, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        self.past_heads, self.head_width, self.past_width = (
            config.past_heads,
            config.head_width,
            config.past_width,
        )
        units = config.units
        # `</s>` is what a row begins with and what ends an answer; the other specials are never read.
        first = torch.tensor([units.end, units.end, units.start, units.end, *units.ids], device=lm.device)
        tokens = torch.tensor([units.start, units.end, units.end, units.end, *units.ids], device=lm.device)
        with torch.no_grad():
            self.model = Symbols(lm.get_input_embeddings()(first).detach().clone())
            whole = lm.get_output_embeddings()
            self.lm_head = nn.Linear(
                whole.in_features, len(tokens), bias=whole.bias is not None, device=lm.device
            )
            self.lm_head.weight = nn.Parameter(whole.weight[tokens].detach().clone())
            if whole.bias is not None:
                self.lm_head.bias = nn.Parameter(whole.bias[tokens].detach().clone())
        self.inner = lm.base_model
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        return self.model.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.embed_tokens.weight.dtype

    def beside(self, utterances: Sequence[Utterance], width: int, absolute: Sequence[bool]) -> None:
        """Nothing is added to the embeddings of units."""

    def beside_label(self) -> None:
        """Nor to those of labels."""

    def run(
        self,
        embedded: Tensor,
        position_ids: Tensor,
        read: Tensor,
        extend: Extend,
        n_past: int,
        present: Tensor | None,
    ) -> Tensor:
        """Hidden states [B, S, d] at the positions `read`; see layers.run_layers."""
        batch, length, _ = embedded.shape
        most = self.config.max_positions
        if most is not None and int(position_ids.max()) >= most:
            raise SpeechPromptError(
                f"The recording has more units than the {most} positions of this unit LM: cut it into pieces."
            )
        positions = torch.arange(n_past, n_past + length, device=embedded.device)[None]
        found = self.inner(
            inputs_embeds=embedded,
            position_ids=position_ids.clamp(min=0).expand(batch, -1),  # padding on the left has -1
            attention_mask=bias(positions, n_past + length, present, embedded.dtype).expand(
                batch, -1, -1, -1
            ),
            past_key_values=Past(extend, n_past),
            use_cache=True,
        )
        hidden: Tensor = found.last_hidden_state
        return hidden.gather(1, read[..., None].expand(-1, -1, hidden.shape[-1]))


def load(
    folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> CausalUnitLM:
    """Read such an LM, frozen and in eval mode; SpeechPromptError names what does not fit. No code comes with it."""
    settings = read_json(folder, LM_JSON, "Unit LM")
    config = read_causal(folder, settings)
    file_inside(folder, WEIGHTS_NAME, "Unit LM", MAX_BYTES)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=AutoConfig.for_model(config.model_type, **config.settings),
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, AttributeError, KeyError) as error:
        raise SpeechPromptError(
            f"Unit LM: {WEIGHTS_NAME} does not hold the {config.model_type} that {LM_JSON} says, or is damaged."
        ) from error
    lm, found = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, found[kind])):
            raise SpeechPromptError(
                f"Unit LM: {WEIGHTS_NAME}: {kind.replace('_', ' ')}, such as {names[0][:80]}."
            )
    if not all(bool(torch.isfinite(p).all()) for p in lm.parameters()):
        raise SpeechPromptError(f"Unit LM: {WEIGHTS_NAME} holds values that are not finite numbers.")
    return CausalUnitLM(lm.to(device), config)
