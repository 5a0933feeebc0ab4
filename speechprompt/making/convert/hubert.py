"""Make a HuBERT of the Hub or of fairseq, with k-means centroids, the unit encoder of a backbone.

The command `convert hubert` says how and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint as checkpoints
from speechprompt.making.convert import fairseq_hubert
from speechprompt.making.convert.checkpoint import check_tensors
from speechprompt.models.encoder_config import HUBERT_LAYER
from speechprompt.models.hubert import (
    FIXED,
    KERNELS,
    STRIDES,
    HubertEncoder,
    HubertSizes,
    blank,
    shapes_of,
)
from speechprompt.models.quantizer import WEIGHTS_NAME
from speechprompt.storage.folders import file_inside, read_json
from speechprompt.storage.tensors import TensorFile

CONFIG_NAME = "config.json"
PICKLE_NAME = "pytorch_model.bin"
MAX_BYTES = 1 << 30  # HuBERT-base's twelve layers take 0.4 GB in fp32
PREFIX = "hubert."  # transformers' classes with a head have it; a head itself is refused, as what was tuned with it
POSITIONS = "encoder.pos_conv_embed.conv"


def from_hub_folder(folder: Path, centroids: Tensor, layer: int = HUBERT_LAYER) -> HubertEncoder:
    """A folder as facebook/hubert-base-ls960 on the Hub, and centroids float [K, dim] -> an encoder.

    The folder holds config.json and model.safetensors or pytorch_model.bin (a pickle, of which only
    tensors are read). Every tensor is accounted for: used, of a layer above the one asked for, or the vector
    that only training masks with; any other is an error, as is a missing one or another kind of model.
    """
    folder = Path(folder)
    sizes = read_sizes(folder, layer)
    n_layers = read_json(folder, CONFIG_NAME, "HuBERT")["num_hidden_layers"]
    return assemble(read_weights(folder), sizes, n_layers, centroids)


def from_fairseq(path: Path, centroids: Tensor, layer: int = HUBERT_LAYER) -> HubertEncoder:
    """fairseq's checkpoint of a HuBERT as hubert_base_ls960.pt, and centroids float [K, dim] -> an encoder.

    Every tensor is accounted for, as of a Hub folder; those of the training alone are left out.
    """
    loaded = checkpoints.load(Path(path), "HuBERT")
    sizes, n_layers = fairseq_hubert.sizes_of(loaded, f"HuBERT: {Path(path).name}", layer)
    weights = fairseq_hubert.renamed(loaded["model"], f"HuBERT: {Path(path).name}")
    return assemble(weights, sizes, n_layers, centroids)


def assemble(
    given: Mapping[str, Tensor], sizes: HubertSizes, n_layers: int, centroids: Tensor
) -> HubertEncoder:
    """Weights under transformers' names, of n_layers layers, cut as the sizes say -> an encoder."""
    what = "HuBERT"
    if centroids.ndim != 2 or centroids.shape[1] != sizes.dim or not 2 <= len(centroids) <= 5000:
        raise SpeechPromptError(
            f"The centroids have the shape {list(centroids.shape)}, expected 2 to 5000 rows of {sizes.dim}."
        )
    weights = {}
    for name, tensor in given.items():
        layer = name.removeprefix("encoder.layers.").partition(".")[0]
        above = (
            name.startswith("encoder.layers.") and layer.isdigit() and sizes.n_layers <= int(layer) < n_layers
        )
        if not above and name != "masked_spec_embed":
            weights[name] = tensor
    merge_weight_norm(weights)
    encoder = blank(sizes, len(centroids))
    check_tensors(weights, shapes_of(encoder.network), f"{what}: the checkpoint")
    check_tensors({"centroids": centroids.detach().float()}, {"centroids": (len(centroids), sizes.dim)}, what)
    state = {f"network.{name}": tensor.float() for name, tensor in weights.items()}
    state["centroids"] = centroids.detach().float()
    encoder.load_state_dict(state, assign=True)
    return encoder.requires_grad_(False)


def read_sizes(folder: Path, layer: int = HUBERT_LAYER) -> HubertSizes:
    """config.json of a Hub folder -> sizes, up to a layer.

    SpeechPromptError, naming the fact, unless it is like HuBERT-base.
    """
    settings = read_json(folder, CONFIG_NAME, "HuBERT")
    for name, (value, default) in FIXED.items():
        if settings.get(name, default) != value:
            raise SpeechPromptError(
                f"HuBERT: config.json has {name} = {str(settings.get(name))[:60]}, but HuBERT-base has {value}."
            )
    kernels, strides = settings.get("conv_kernel", [*KERNELS]), settings.get("conv_stride", [*STRIDES])
    for name, its, base in (("conv_kernel", kernels, KERNELS), ("conv_stride", strides, STRIDES)):
        if its not in ([*base], [*base, 2]):
            raise SpeechPromptError(
                f"HuBERT: config.json has {name} = {str(its)[:60]}, but HuBERT-base has {[*base]}, and 2 more at 25 Hz."
            )
    conv_dims = settings.get("conv_dim", [512] * len(kernels))
    if (
        not isinstance(conv_dims, list)
        or len(conv_dims) != len(kernels)
        or len(set(map(str, conv_dims))) != 1
    ):
        raise SpeechPromptError(
            "HuBERT: config.json must have equal numbers as conv_dim, one for each convolution."
        )
    layers = settings.get("num_hidden_layers")
    if type(layers) is not int or not 1 <= layer <= layers <= 48:
        raise SpeechPromptError(f"HuBERT: config.json must have num_hidden_layers from {layer} to 48.")
    return HubertSizes(
        conv_dim=conv_dims[0],
        dim=settings.get("hidden_size", 768),
        n_heads=settings.get("num_attention_heads", 12),
        ffn_dim=settings.get("intermediate_size", 3072),
        position_kernel=settings.get("num_conv_pos_embeddings", 128),
        position_groups=settings.get("num_conv_pos_embedding_groups", 16),
        n_layers=layer,
        kernels=tuple(kernels),
        strides=tuple(strides),
    )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or else of pytorch_model.bin, without the `hubert.` before some exports'."""
    if (folder / WEIGHTS_NAME).is_file():
        return without_prefix(TensorFile(folder, WEIGHTS_NAME, "HuBERT", MAX_BYTES).read(torch.float32))
    path = file_inside(folder, PICKLE_NAME, "HuBERT", MAX_BYTES)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is something else
        raise SpeechPromptError(f"HuBERT: {path.name} is damaged, or more than a file of tensors.") from error
    if not isinstance(loaded, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and value.is_floating_point()
        for name, value in loaded.items()
    ):
        raise SpeechPromptError(f"HuBERT: {path.name} must hold names and float tensors, nothing else.")
    return without_prefix(loaded)


def without_prefix(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of a plain HubertModel, also where they come from a model that holds one."""
    return {name.removeprefix(PREFIX): tensor for name, tensor in weights.items()}


def merge_weight_norm(weights: dict[str, Tensor]) -> None:
    """Replace length and direction of the positional kernel, under torch's old or new names, by the kernel."""
    new = f"{POSITIONS}.parametrizations.weight.original"
    for length, direction in ((f"{POSITIONS}.weight_g", f"{POSITIONS}.weight_v"), (f"{new}0", f"{new}1")):
        if length in weights and direction in weights:
            g, v = weights.pop(length).float(), weights.pop(direction).float()
            if v.ndim != 3 or tuple(g.shape) != (1, 1, v.shape[2]):
                raise SpeechPromptError(
                    f"HuBERT: {length} has the shape {list(g.shape)}, which does not fit."
                )
            weights[f"{POSITIONS}.weight"] = torch._weight_norm(v, g, 2)
