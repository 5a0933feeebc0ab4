"""A HuBERT as fairseq saves it, made from one of transformers: its names, settings and what training adds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# transformers' name of a part -> fairseq's, written down apart from what reads them.
WHOLE = {
    "feature_projection.layer_norm": "layer_norm",
    "feature_projection.projection": "post_extract_proj",
    "encoder.layer_norm": "encoder.layer_norm",
    "feature_extractor.conv_layers.0.layer_norm": "feature_extractor.conv_layers.0.2",
}
IN_LAYERS = {
    "attention.k_proj": "self_attn.k_proj",
    "attention.v_proj": "self_attn.v_proj",
    "attention.q_proj": "self_attn.q_proj",
    "attention.out_proj": "self_attn.out_proj",
    "layer_norm": "self_attn_layer_norm",
    "feed_forward.intermediate_dense": "fc1",
    "feed_forward.output_dense": "fc2",
    "final_layer_norm": "final_layer_norm",
}


def fairseq_name(name: str) -> str:
    part, _, last = name.rpartition(".")
    if name == "masked_spec_embed":
        return "mask_emb"
    if name.startswith("encoder.pos_conv_embed"):
        length = name.endswith(("original0", "weight_g"))
        return "encoder.pos_conv.0." + ("bias" if last == "bias" else "weight_g" if length else "weight_v")
    if name.startswith("encoder.layers."):
        _, _, number, inside = part.split(".", 3)
        return f"encoder.layers.{number}.{IN_LAYERS[inside]}.{last}"
    if part.endswith(".conv"):
        return f"{part.removesuffix('.conv')}.0.{last}"
    return f"{WHOLE[part]}.{last}"


def fairseq_state(weights: dict[str, Tensor], settings: dict[str, Any]) -> dict[str, Any]:
    """What fairseq's trainer saves: weights, settings, and the state of the training."""
    width, wide = settings["conv_dim"][0], settings["hidden_size"]
    model = {fairseq_name(name): tensor for name, tensor in weights.items()}
    model |= {"label_embs_concat": torch.zeros(504, 16), "final_proj.weight": torch.zeros(16, wide)}
    model |= {"final_proj.bias": torch.zeros(16)}
    cfg = {
        "_name": "hubert",
        "extractor_mode": "default",
        "layer_norm_first": False,
        "activation_fn": "gelu",
        "conv_bias": False,
        "conv_feature_layers": f"[({width},10,5)] + [({width},3,2)] * 4 + [({width},2,2)] * 2",
        "encoder_layers": settings["num_hidden_layers"],
        "encoder_embed_dim": wide,
        "encoder_ffn_embed_dim": settings["intermediate_size"],
        "encoder_attention_heads": settings["num_attention_heads"],
        "conv_pos": settings["num_conv_pos_embeddings"],
        "conv_pos_groups": settings["num_conv_pos_embedding_groups"],
        "label_rate": "${task.label_rate}",
    }
    return {
        "args": None,
        "cfg": {"_name": None, "model": cfg, "task": {"normalize": False, "label_rate": 50}},
        "model": model,
        "optimizer_history": [{"num_updates": 400_000, "criterion_name": "HubertCriterion"}],
        "extra_state": {"train_iterator": {"epoch": 1}, "metrics": argparse.Namespace(loss=1.0)},
        "last_optimizer_state": {"state": {0: {"step": 1, "exp_avg": torch.zeros(8)}}, "param_groups": []},
    }


def save_fairseq(path: Path, weights: dict[str, Tensor], settings: dict[str, Any]) -> Path:
    torch.save(fairseq_state(weights, settings), path)
    return path
