"""A folder -> the model in it, of whichever kind its configuration names."""

from __future__ import annotations

from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, cast
from weakref import WeakValueDictionary

import torch

from speechprompt.models.causal_config import CausalConfig
from speechprompt.models.lm_config import ProsodyLMConfig, read_config
from speechprompt.storage.folders import read_json

if TYPE_CHECKING:  # the models' libraries take seconds to import
    from speechprompt.models.quantizer import Quantizer
    from speechprompt.models.unit_lm import UnitLM

# Encoders in use, by folder, device and dtype: backbones that share one load it once.
_encoders: WeakValueDictionary[tuple[Path, str, torch.dtype], Quantizer] = WeakValueDictionary()
_encoders_lock = RLock()


def load_encoder(
    folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Quantizer:
    """The encoder in a folder; SpeechPromptError when the folder does not hold one."""
    from speechprompt.models.encoder import UnitEncoder
    from speechprompt.models.quantizer import ENCODER_JSON

    key = (folder.resolve(), str(device), dtype)
    with _encoders_lock:
        encoder = _encoders.get(key)
        if encoder is None:
            kind = read_json(folder, ENCODER_JSON, "Encoder").get("kind")
            if kind is None:
                encoder = UnitEncoder.load(folder, device, dtype)
            elif kind == "whisper":  # transformers' models take a second to import
                from speechprompt.models.whisper import WhisperUnits

                encoder = WhisperUnits.load(folder, device, dtype)
            else:
                from speechprompt.models.hubert import HubertEncoder

                encoder = HubertEncoder.load(folder, device, dtype)
            _encoders[key] = encoder
        return encoder


def load_lm(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> UnitLM:
    """The unit LM in a folder, plain or with prosody, frozen; SpeechPromptError names what does not fit."""
    from speechprompt.models import causal_lm, prosody_lm, unit_lm  # transformers takes seconds to import

    config = read_config(folder)
    if isinstance(config, CausalConfig):
        return cast("UnitLM", causal_lm.load(folder, device, dtype))  # by the same interface
    kind = prosody_lm if isinstance(config, ProsodyLMConfig) else unit_lm
    return kind.load(folder, device, dtype)
