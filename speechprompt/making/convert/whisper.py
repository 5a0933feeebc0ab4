"""Turn Whisper's encoder, as CTranslate2 or the Hub holds it, into a folder that units are fitted on.

The command `convert whisper` says how and why.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert.checkpoint import check_tensors
from speechprompt.models.quantizer import WEIGHTS_NAME
from speechprompt.models.whisper import FIXED, WhisperSizes, WhisperUnits, blank
from speechprompt.storage.folders import read_json, replaced_folder, write_json
from speechprompt.storage.tensors import TensorFile, write_tensors

CONFIG_NAME = "config.json"
SPEC = "WhisperSpec"
MAX_BYTES = 2 << 30
MAX_TENSORS, MAX_NAME, MAX_RANK = 10_000, 200, 4
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
PREFIX = re.compile(r"(model\.)?encoder\.")
LAYER = re.compile(r"layers\.(\d+)\.")
NORMS = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}
LINEARS = {"self_attn.out_proj": "self_attention/linear_1", "fc1": "ffn/linear_0", "fc2": "ffn/linear_1"}


class Cursor:
    """Reads numbers and names of a byte string in order; SpeechPromptError where it ends too soon."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data, self.at, self.label = memoryview(data), 0, label

    def bytes(self, size: int) -> memoryview:
        if size > len(self.data) - self.at:
            raise SpeechPromptError(f"{self.label} ends too soon: give all parts of it, in their order.")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.bytes(struct.calcsize(form)))[0])

    def name(self) -> str:
        size = self.number("H")
        text = bytes(self.bytes(size))[:-1]
        if not 1 < size <= MAX_NAME or not text.isascii():
            raise SpeechPromptError(f"{self.label} is no model of CTranslate2: a name in it is damaged.")
        return text.decode("ascii")


def read_ctranslate2(parts: Sequence[Path]) -> dict[str, np.ndarray]:
    """The parts of a model.bin of CTranslate2 that holds a Whisper -> its arrays by name."""
    label = f"Whisper: {parts[0].name}"
    for path in parts:
        if not path.is_file():
            raise SpeechPromptError(f"Whisper: {path.name} is not there, or is no file.")
    if sum(path.stat().st_size for path in parts) > MAX_BYTES:
        raise SpeechPromptError(f"{label} and its other parts are longer than {MAX_BYTES} bytes.")
    cursor = Cursor(b"".join(path.read_bytes() for path in parts), label)
    version = cursor.number("I")
    if not 2 <= version <= 6 or cursor.name() != SPEC:
        raise SpeechPromptError(f"{label} is no Whisper of CTranslate2 (versions 2 to 6 are read).")
    cursor.number("I")  # revision of the spec
    count = cursor.number("I")
    if count > MAX_TENSORS:
        raise SpeechPromptError(f"{label} is no model of CTranslate2: it promises {count} tensors.")
    found: dict[str, np.ndarray] = {}
    for _ in range(count):
        name, rank = cursor.name(), cursor.number("B")
        if rank > MAX_RANK:
            raise SpeechPromptError(f"{label}: {name[:80]} has {rank} dimensions.")
        shape = tuple(cursor.number("I") for _ in range(rank))
        kind, size = DTYPES.get(cursor.number("B")), cursor.number("I")
        if kind is None or size != math.prod(shape) * np.dtype(kind).itemsize:
            raise SpeechPromptError(f"{label}: the size of {name[:80]} does not fit its shape and dtype.")
        found[name] = np.frombuffer(cursor.bytes(size), kind).reshape(shape)
    return found


def encoder_of(arrays: Mapping[str, np.ndarray]) -> tuple[WhisperSizes, dict[str, Tensor]]:
    """Arrays of a CTranslate2 Whisper -> sizes, and the encoder's tensors fp16 by the names of transformers."""

    def array(name: str) -> np.ndarray:
        if f"encoder/{name}" not in arrays:
            raise SpeechPromptError(f"Whisper: the model lacks the tensor 'encoder/{name}'.")
        value = arrays[f"encoder/{name}"]
        if value.dtype not in (np.float16, np.float32):
            raise SpeechPromptError(f"Whisper: encoder/{name} is {value.dtype}; convert a model of float16.")
        return value

    n_layers = 0
    while f"encoder/layer_{n_layers}/ffn/linear_0/weight" in arrays:
        n_layers += 1
    heads = arrays.get("encoder/num_heads", np.zeros(()))
    if not n_layers or heads.size != 1:
        raise SpeechPromptError("Whisper: the model has no encoder whose layers and heads can be counted.")
    tensors: dict[str, np.ndarray] = {}
    for kind in ("weight", "bias"):
        for convolution in ("conv1", "conv2"):
            tensors[f"{convolution}.{kind}"] = array(f"{convolution}/{kind}")
        norm = "gamma" if kind == "weight" else "beta"
        tensors[f"layer_norm.{kind}"] = array(f"layer_norm/{norm}")
        for i in range(n_layers):
            for ours, theirs in NORMS.items():
                tensors[f"layers.{i}.{ours}.{kind}"] = array(f"layer_{i}/{theirs}/{norm}")
            for ours, theirs in LINEARS.items():
                tensors[f"layers.{i}.{ours}.{kind}"] = array(f"layer_{i}/{theirs}/{kind}")
            stacked = array(f"layer_{i}/self_attention/linear_0/{kind}")
            if len(stacked) % 3:
                raise SpeechPromptError(f"Whisper: layer {i} does not hold queries, keys and values alike.")
            for part, value in zip("qkv", np.split(stacked, 3), strict=True):
                tensors[f"layers.{i}.self_attn.{part}_proj.{kind}"] = value
    tensors["embed_positions.weight"] = array("position_encodings/encodings")
    for i in range(n_layers):
        if tensors.pop(f"layers.{i}.self_attn.k_proj.bias").any():
            raise SpeechPromptError(f"Whisper: the keys of layer {i} have a bias, which Whisper's have not.")
    if tensors["conv1.weight"].ndim != 3 or tensors["embed_positions.weight"].ndim != 2:
        raise SpeechPromptError("Whisper: a convolution or the positions have another number of dimensions.")
    dim, n_mels, _ = tensors["conv1.weight"].shape
    sizes = WhisperSizes(
        n_mels=n_mels,
        dim=dim,
        n_layers=n_layers,
        n_heads=int(heads.reshape(-1)[0]),
        ffn_dim=len(tensors["layers.0.fc1.weight"]),
        n_positions=len(tensors["embed_positions.weight"]),
        n_features=dim,
    )
    halves = {name: torch.from_numpy(value.astype(np.float16)) for name, value in tensors.items()}
    check_weights(
        sizes, {name: value for name, value in halves.items() if not name.startswith("layer_norm.")}
    )
    return sizes, halves


def check_weights(sizes: WhisperSizes, weights: Mapping[str, Tensor]) -> None:
    """SpeechPromptError unless the weights are those of an encoder of these sizes, no more and no less."""
    expected = {name: tuple(value.shape) for name, value in blank(sizes, 2).network.state_dict().items()}
    check_tensors(weights, expected, "Whisper: the model")


def save_hub_folder(sizes: WhisperSizes, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write config.json and model.safetensors, as openai/whisper-base on the Hub but without the decoder."""
    settings = FIXED | {
        "num_mel_bins": sizes.n_mels,
        "d_model": sizes.dim,
        "encoder_layers": sizes.n_layers,
        "encoder_attention_heads": sizes.n_heads,
        "encoder_ffn_dim": sizes.ffn_dim,
        "max_source_positions": sizes.n_positions,
    }
    with replaced_folder(folder) as aside:
        write_json(aside / CONFIG_NAME, settings)
        named = {f"model.encoder.{name}": value for name, value in tensors.items()}
        write_tensors(aside / WEIGHTS_NAME, named, "Whisper")


def from_hub_folder(
    folder: Path, n_layers: int, n_features: int | None = None, n_units: int = 2, smoothing: int = 0
) -> WhisperUnits:
    """A folder as openai/whisper-base on the Hub -> its first layers, with a linear map and centroids yet to be set.

    Tensors of the decoder and of the layers above are left out; any other surplus one is an error.
    """
    settings = read_json(folder, CONFIG_NAME, "Whisper")
    for name, value in FIXED.items():
        if settings.get(name, None if name == "model_type" else value) != value:
            raise SpeechPromptError(
                f"Whisper: config.json has {name} = {str(settings.get(name))[:60]}, but Whisper has {value}."
            )
    there = settings.get("encoder_layers")
    if type(there) is not int or not 0 <= n_layers <= there:
        raise SpeechPromptError(
            f"Whisper: this model has {str(there)[:20]} layers, so it cannot be cut at {n_layers}."
        )
    sizes = WhisperSizes(
        n_mels=settings.get("num_mel_bins", 80),
        dim=settings.get("d_model", 512),
        n_layers=n_layers,
        n_heads=settings.get("encoder_attention_heads", 8),
        ffn_dim=settings.get("encoder_ffn_dim", 2048),
        n_positions=settings.get("max_source_positions", 1500),
        n_features=n_features or settings.get("d_model", 512),
        smoothing=smoothing,
    )
    file = TensorFile(folder, WEIGHTS_NAME, "Whisper", MAX_BYTES)
    weights = {}
    for name, tensor in file.read(torch.float32).items():
        if not PREFIX.match(name):
            continue
        short = PREFIX.sub("", name, count=1)
        layer = LAYER.match(short)
        above = layer is not None and n_layers <= int(layer[1]) < there
        if not above and not short.startswith("layer_norm."):
            weights[short] = tensor
    check_weights(sizes, weights)
    encoder = WhisperUnits(sizes, n_units)
    encoder.network.load_state_dict(weights, assign=True)
    return encoder.requires_grad_(False)
