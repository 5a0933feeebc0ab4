"""fairseq's checkpoint of a HuBERT: its settings as sizes, its tensors under the names of transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert.checkpoint import model_settings
from speechprompt.models.encoder_config import HUBERT_LAYER
from speechprompt.models.hubert import KERNELS, STRIDES, HubertSizes

# What makes fairseq's HuBERT compute what HuBERT-base does; also fairseq's values where a setting is not there.
FIXED = {
    "extractor_mode": "default",
    "layer_norm_first": False,
    "activation_fn": "gelu",
    "conv_bias": False,
    "layer_type": "transformer",
    "pos_conv_depth": 1,
}
# Seven convolutions of one width, with HuBERT-base's kernels and strides, or an eighth like the last at 25 Hz.
CONVOLUTIONS = re.compile(r"\[\((\d+),10,5\)\]\+\[\((\d+),3,2\)\]\*4\+\[\((\d+),2,2\)\]\*([23])")
SIZES = {  # our name of a size -> fairseq's, and its value where it is not there
    "dim": ("encoder_embed_dim", 768),
    "n_heads": ("encoder_attention_heads", 12),
    "ffn_dim": ("encoder_ffn_embed_dim", 3072),
    "position_kernel": ("conv_pos", 128),
    "position_groups": ("conv_pos_groups", 16),
}
OF_TRAINING = ("mask_emb", "label_embs_concat", "final_proj.weight", "final_proj.bias")
LAYERS = r"(encoder\.layers\.\d+)\."
NAMES = [  # how a name begins -> how it begins in transformers; all others are the same there
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
        (r"feature_extractor\.conv_layers\.0\.2\.", "feature_extractor.conv_layers.0.layer_norm."),
        (r"layer_norm\.", "feature_projection.layer_norm."),
        (r"post_extract_proj\.", "feature_projection.projection."),
        (r"encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
        (LAYERS + r"self_attn\.", r"\1.attention."),
        (LAYERS + r"self_attn_layer_norm\.", r"\1.layer_norm."),
        (LAYERS + r"fc1\.", r"\1.feed_forward.intermediate_dense."),
        (LAYERS + r"fc2\.", r"\1.feed_forward.output_dense."),
    )
]


def sizes_of(checkpoint: Mapping[str, Any], label: str, layer: int = HUBERT_LAYER) -> tuple[HubertSizes, int]:
    """The settings of a loaded checkpoint -> sizes up to a layer, and the number of layers.

    SpeechPromptError, naming the setting, unless they are those of a HuBERT-base, whatever its sizes.
    """
    settings = model_settings(checkpoint, label)
    for name, value in FIXED.items():
        if settings.get(name, value) != value:
            raise SpeechPromptError(
                f"{label} has {name} = {str(settings[name])[:60]}, but HuBERT-base has {value}."
            )
    cfg = checkpoint["cfg"] if isinstance(checkpoint["cfg"], dict) else {}
    task = cfg.get("task") or checkpoint["args"] or {}
    if isinstance(task, dict) and task.get("normalize"):
        raise SpeechPromptError(f"{label} takes normalised waveforms, which HuBERT-base does not.")
    written = str(settings.get("conv_feature_layers", "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"))
    widths = CONVOLUTIONS.fullmatch(re.sub(r"\s", "", written[:200]))
    if widths is None or len(set(widths.groups()[:3])) > 1:
        raise SpeechPromptError(
            f"{label} has conv_feature_layers = {written[:80]}, unlike HuBERT-base's seven of one width."
        )
    n_layers = settings.get("encoder_layers", 12)
    if type(n_layers) is not int or not 1 <= layer <= n_layers <= 48:
        raise SpeechPromptError(f"{label} must have encoder_layers from {layer} to 48.")
    sizes = {ours: settings.get(theirs, default) for ours, (theirs, default) in SIZES.items()}
    more = (2,) * (int(widths[4]) - 2)
    convolutions: Any = {"kernels": (*KERNELS, *more), "strides": (*STRIDES, *more)}
    return HubertSizes(conv_dim=int(widths[1]), n_layers=layer, **convolutions, **sizes), n_layers


def renamed(weights: Mapping[str, Tensor], label: str) -> dict[str, Tensor]:
    """Tensors by fairseq's names -> by transformers', without those that only training uses."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name in OF_TRAINING:
            continue
        for pattern, ours in NAMES:
            if pattern.match(name):
                name = pattern.sub(ours, name, count=1)
                break
        if name in found:
            raise SpeechPromptError(f"{label} holds the tensor {name[:80]!r} twice, under two names.")
        found[name] = tensor
    return found
