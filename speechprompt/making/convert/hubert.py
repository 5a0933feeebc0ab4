"""Make a HuBERT of the Hub or of fairseq, with k-means centroids, the unit encoder of a backbone.

  python -m speechprompt convert hubert hubert-base-ls960 km.bin backbones/mine/encoder
  python -m speechprompt convert hubert mhubert-base-25hz mhubert_L11_km500.bin backbones/mine/encoder --layer 11

HUBERT is a folder as on the Hub (config.json and model.safetensors or pytorch_model.bin) or a checkpoint of fairseq.
Its layers up to --layer are kept, of which the centroids must be. Convolutions with one stride more than HuBERT-base's
give 25 frames a second instead of 50: then say "frame_rate": 25 in backbones/mine/backbone.json. Nothing of a pickle
is run, and a model that is otherwise unlike HuBERT-base is refused with the setting's name.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint as checkpoints
from speechprompt.making.convert import fairseq_hubert, kmeans
from speechprompt.making.convert.checkpoint import check_tensors
from speechprompt.making.convert.unit_lm import check_out
from speechprompt.models.hubert import (
    FIXED,
    KERNELS,
    LAYER,
    STRIDES,
    HubertEncoder,
    HubertSizes,
    blank,
    shapes_of,
)
from speechprompt.models.quantizer import WEIGHTS_NAME
from speechprompt.storage.folders import file_inside, read_json
from speechprompt.storage.tensors import TensorFile
from speechprompt.units import FRAME_RATE

CONFIG_NAME = "config.json"
PICKLE_NAME = "pytorch_model.bin"
MAX_BYTES = 1 << 30  # HuBERT-base's twelve layers take 0.4 GB in fp32
PREFIX = "hubert."  # transformers' classes with a head have it; a head itself is refused, as what was tuned with it
POSITIONS = "encoder.pos_conv_embed.conv"


def from_hub_folder(folder: Path, centroids: Tensor, layer: int = LAYER) -> HubertEncoder:
    """A folder as facebook/hubert-base-ls960 on the Hub, and centroids float [K, dim] -> an encoder.

    The folder holds config.json and model.safetensors or pytorch_model.bin (a pickle, of which only
    tensors are read). Every tensor is accounted for: used, of a layer above the one asked for, or the vector
    that only training masks with; any other is an error, as is a missing one or another kind of model.
    """
    folder = Path(folder)
    sizes = read_sizes(folder, layer)
    n_layers = read_json(folder, CONFIG_NAME, "HuBERT")["num_hidden_layers"]
    return assemble(read_weights(folder), sizes, n_layers, centroids)


def from_fairseq(path: Path, centroids: Tensor, layer: int = LAYER) -> HubertEncoder:
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


def read_sizes(folder: Path, layer: int = LAYER) -> HubertSizes:
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "hubert", type=Path, metavar="HUBERT", help="folder as on the Hub, or fairseq's checkpoint"
    )
    parser.add_argument("km", type=Path, metavar="km.bin", help="centroids, pickled by joblib, or .npy")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write: backbones/NAME/encoder")
    parser.add_argument(
        "--layer", type=int, default=LAYER, help=f"whose output the centroids are of (default {LAYER})"
    )


def run(args: argparse.Namespace) -> None:
    check_out(args.out)
    centroids = kmeans.read(args.km)
    encoder = (from_hub_folder if args.hubert.is_dir() else from_fairseq)(args.hubert, centroids, args.layer)
    encoder.save(args.out)
    rate = FRAME_RATE // encoder.frames_of_20_ms
    print(f"{args.out}: {encoder.n_units} units of layer {args.layer}, {rate} frames a second")
