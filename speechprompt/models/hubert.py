"""HuBERT-base as the unit encoder: the papers' units (SpeechPrompt, section 2.1; Lakhotia et al. 2021, GSLM).

`HubertEncoder` is `transformers.HubertModel` cut to its first six layers, with the K centroids of the
sixth layer's output: waveform at 16 kHz -> frames of 20 ms -> nearest centroid -> Units. The waveform is
not normalised, as the papers' reader does not. Another layer may be taken, and convolutions with one stride
more, whose frames last 40 ms (TWIST's mHuBERT, 25 Hz). Knows nothing of language models or tasks.

What a frame hears. The group norm in the first convolution takes its mean and variance over the whole
clip, and attention spans all frames. So company, padding and appended silence are not neutral: each clip
is run by itself, never padded, and a clip with silence appended is another clip whose frames may all
change a little. Only this much is local: with the group norm's statistics held fixed, frame f of the
convolutions hears the samples 320 f to 320 f + 399 and nothing else.

Long clips. Convolutions run in pieces of 10 s, with exact statistics and exact overlap, so memory stays
bounded and results equal those in one piece to rounding. Up to 60 s attention spans the clip as in the
original; beyond, it runs in windows of 60 s that overlap by 4 s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import remove_parametrizations
from transformers import HubertConfig, HubertModel

from speechprompt.machine.request_time import check_time
from speechprompt.models.encoder import window_spans
from speechprompt.models.encoder_config import HUBERT_LAYER
from speechprompt.models.quantizer import ENCODER_JSON, FORMAT_VERSION, WEIGHTS_NAME, Quantizer, read_settings
from speechprompt.storage.folders import replaced_folder, write_json
from speechprompt.storage.schema import LAX, schema
from speechprompt.storage.tensors import TensorFile, write_tensors
from speechprompt.units import FRAME_SAMPLES

KIND = "hubert"
PIECE_FRAMES = 500  # of 20 ms, as below: longest stretch that the convolutions take at once, 10 s
WINDOW_FRAMES = 3000  # 60 s: longest stretch that attention spans
MARGIN_FRAMES = 100  # 2 s of context on each inner side of a window, encoded and thrown away
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # HuBERT-base's convolutions
MAX_BYTES = 1 << 30  # HuBERT-base's six layers take 0.2 GB in fp32
# What makes a HuBERT compute what HuBERT-base does, and transformers' value where a config is silent.
FIXED: dict[str, tuple[Any, Any]] = {
    "model_type": ("hubert", None),
    "feat_extract_norm": ("group", "group"),
    "do_stable_layer_norm": (False, False),
    "feat_extract_activation": ("gelu", "gelu"),
    "hidden_act": ("gelu", "gelu"),
    "conv_bias": (False, False),
    "conv_pos_batch_norm": (False, False),
    "feat_proj_layer_norm": (True, True),
    "layer_norm_eps": (1e-5, 1e-5),
}


Convolutions = Annotated[
    tuple[Annotated[int, Field(ge=1, le=16)], ...], LAX, Field(min_length=1, max_length=12)
]


@schema()
class HubertSizes:
    """Sizes of a HuBERT cut after `n_layers` layers; the defaults are HuBERT-base's.

    kernels, strides: of the convolutions, in samples for the first one. A frame lasts as many samples as the strides
    multiply to, which is one or two frames of 20 ms.
    """

    conv_dim: Annotated[int, Field(ge=1, le=1024)] = 512
    dim: Annotated[int, Field(ge=1, le=2048)] = 768
    n_layers: Annotated[int, Field(ge=1, le=48)] = HUBERT_LAYER
    n_heads: Annotated[int, Field(ge=1, le=64)] = 12
    ffn_dim: Annotated[int, Field(ge=1, le=8192)] = 3072
    position_kernel: Annotated[int, Field(ge=1, le=512)] = 128  # frames
    position_groups: Annotated[int, Field(ge=1, le=64)] = 16
    kernels: Convolutions = KERNELS
    strides: Convolutions = STRIDES

    def __post_init__(self) -> None:
        if self.dim % self.n_heads or self.dim % self.position_groups:
            raise ValueError("dim must divide by n_heads and by position_groups")
        if len(self.kernels) != len(self.strides):
            raise ValueError("kernels and strides must be as many")
        if self.frame_samples not in (FRAME_SAMPLES, 2 * FRAME_SAMPLES):
            raise ValueError(f"strides must multiply to {FRAME_SAMPLES} or {2 * FRAME_SAMPLES} samples")

    @property
    def frame_samples(self) -> int:
        """From one frame to the next."""
        return math.prod(self.strides)

    @property
    def field(self) -> int:
        """Samples that one frame hears through the convolutions."""
        samples = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def n_frames(self, n_samples: int) -> int:
        """Frames of a clip of so many samples (`field` at least); equals what the convolutions leave."""
        return (n_samples - self.field) // self.frame_samples + 1

    def config(self) -> HubertConfig:
        """As transformers says it, without anything that only training uses."""
        fixed = {name: value for name, (value, _) in FIXED.items() if name != "model_type"}
        return HubertConfig(
            **fixed,
            conv_kernel=list(self.kernels),
            conv_stride=list(self.strides),
            conv_dim=[self.conv_dim] * len(self.kernels),
            hidden_size=self.dim,
            num_hidden_layers=self.n_layers,
            num_attention_heads=self.n_heads,
            intermediate_size=self.ffn_dim,
            num_conv_pos_embeddings=self.position_kernel,
            num_conv_pos_embedding_groups=self.position_groups,
            mask_time_prob=0.0,
        )


class HubertEncoder(Quantizer):
    """A HubertModel cut at one layer, with the K centroids [K, dim] of that layer's output."""

    def __init__(self, sizes: HubertSizes, n_units: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.network = HubertModel(sizes.config())
        # Weight norm is settled once: the plain kernel is what is stored and run.
        remove_parametrizations(self.network.encoder.pos_conv_embed.conv, "weight")
        self.register_buffer("centroids", torch.zeros(n_units, sizes.dim))
        self.frames_of_20_ms = sizes.frame_samples // FRAME_SAMPLES
        self.requires_grad_(False).eval()

    @torch.inference_mode()
    def features(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """float32 [T] each, at 16 kHz -> float32 [F, dim] each, the output of the last layer kept.

        F = (T - 400) // 320 + 1 of HuBERT-base; a shorter clip than 400 samples is followed by zeros up to one frame.
        Clips run one after the other, so a clip's features are the same in any company, to the bit.
        """
        return [self._features(torch.from_numpy(w).to(self.device, torch.float32)) for w in waveforms]

    def _features(self, waveform: Tensor) -> Tensor:
        sizes = self.sizes
        waveform = F.pad(waveform, (0, max(0, sizes.field - len(waveform))))
        if sizes.n_frames(len(waveform)) <= PIECE_FRAMES // self.frames_of_20_ms:
            first, *others = self.network.feature_extractor.conv_layers
            frames = self.on(others, first(waveform[None, None]))[0]
        else:
            frames = self.convolve(waveform, *self.statistics(waveform))
        hidden = self.network.feature_projection(frames.T[None])
        kept = []
        window, margin = (n // self.frames_of_20_ms for n in (WINDOW_FRAMES, MARGIN_FRAMES))
        for start, first, end in window_spans(hidden.shape[1], window, margin):
            check_time()
            states = self.network.encoder(hidden[:, start : start + window]).last_hidden_state[0]
            kept.append(states[first - start : end - start].float())
        return torch.cat(kept)

    def statistics(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance float64 [conv_dim] of the first convolution's output over a clip [T]."""
        first = self.network.feature_extractor.conv_layers[0].conv
        kernel, stride = first.kernel_size[0], first.stride[0]
        n_outputs = (len(waveform) - kernel) // stride + 1
        piece = PIECE_FRAMES * FRAME_SAMPLES // stride
        total = torch.zeros(self.sizes.conv_dim, dtype=torch.float64, device=self.device)
        squares = torch.zeros_like(total)
        for start in range(0, n_outputs, piece):
            check_time()
            end = min(start + piece, n_outputs)
            output = first(waveform[None, None, start * stride : (end - 1) * stride + kernel])[0].double()
            total += output.sum(1)
            squares += output.square().sum(1)
        mean = total / n_outputs
        return mean, (squares / n_outputs - mean.square()).clamp(min=0)

    def convolve(self, waveform: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """[T] -> [conv_dim, F] through all convolutions in pieces, the group norm with these statistics."""
        first, *others = self.network.feature_extractor.conv_layers
        norm = first.layer_norm
        scale = norm.weight.double() / (variance + norm.eps).sqrt()
        shift = norm.bias.double() - mean * scale
        scale, shift = scale.float()[:, None], shift.float()[:, None]
        pieces, total = [], self.sizes.n_frames(len(waveform))
        hop, at_once = self.sizes.frame_samples, PIECE_FRAMES // self.frames_of_20_ms
        for start in range(0, total, at_once):
            check_time()
            end = min(start + at_once, total)
            samples = waveform[None, None, start * hop : (end - 1) * hop + self.sizes.field]
            piece = first.activation(first.conv(samples) * scale + shift)
            pieces.append(self.on(others, piece)[0])
        return torch.cat(pieces, 1)

    def run_in(self, dtype: torch.dtype) -> HubertEncoder:
        """Bring all into a dtype but the first convolution, which hears the raw waveform, and the centroids."""
        network = self.network.to(dtype)  # type: ignore[arg-type]  # transformers' stub hides Module.to
        network.feature_extractor.conv_layers[0].float()
        return self

    def on(self, convolutions: Sequence[nn.Module], signal: Tensor) -> Tensor:
        """What the first convolution gives through the others, in their dtype."""
        signal = signal.to(self.network.encoder.layer_norm.weight.dtype)
        for layer in convolutions:
            signal = layer(signal)
        return signal

    def save(self, folder: Path) -> None:
        """Write encoder.json and model.safetensors, all in fp32, so that no unit changes."""
        settings = {"format_version": FORMAT_VERSION, "kind": KIND, "n_units": self.n_units}
        with replaced_folder(folder) as aside:
            write_json(aside / ENCODER_JSON, settings | asdict(self.sizes))
            write_tensors(aside / WEIGHTS_NAME, self.state_dict(), "Encoder")

    @classmethod
    def load(
        cls, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> HubertEncoder:
        """Read what `save` wrote; SpeechPromptError when a file is missing or holds something else.

        dtype: see `run_in`.
        """
        n_units, sizes = read_settings(folder, KIND, HubertSizes)
        file = TensorFile(folder, WEIGHTS_NAME, "Encoder", MAX_BYTES)
        encoder = blank(sizes, n_units)
        file.expect(shapes_of(encoder), {})
        encoder.load_state_dict(file.read(torch.float32, device), assign=True)
        return encoder.requires_grad_(False).run_in(dtype)


def blank(sizes: HubertSizes, n_units: int) -> HubertEncoder:
    """An encoder without values, whose shapes cost no memory."""
    with torch.device("meta"):
        return HubertEncoder(sizes, n_units)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
