"""Whisper's encoder as the unit encoder: what 680,000 hours of speech taught it, as K units (Radford et al. 2022).

`WhisperUnits` is transformers' Whisper encoder cut at one layer, a linear map of that layer's output and K centroids:
waveform at 16 kHz -> log-mel frames -> frames of 20 ms -> nearest centroid -> Units. Knows nothing of language
models or tasks.

Whisper itself pads every clip to 30 s. Here no clip is padded: the positions are cut to its length, which costs a
thirtieth for one second of speech. The log-mel frames are exactly those that Whisper makes of the padded clip, cut
to its length; their floor depends on the loudest frame of the whole clip, and attention spans all frames. So
only clips of one length run together. Beyond 30 s attention runs in windows that overlap by 4 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import WhisperConfig
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from speechprompt.machine.request_time import check_time
from speechprompt.models.encoder import window_spans
from speechprompt.models.log_mel import MEL_HOP
from speechprompt.models.quantizer import ENCODER_JSON, FORMAT_VERSION, WEIGHTS_NAME, Quantizer, read_settings
from speechprompt.storage.folders import replaced_folder, write_json
from speechprompt.storage.schema import schema
from speechprompt.storage.tensors import TensorFile, write_tensors
from speechprompt.units import FRAME_SAMPLES, SAMPLE_RATE

KIND = "whisper"
N_FFT = 400
DYNAMIC_RANGE = 8.0  # powers of ten below the loudest value of a clip; what is fainter counts as so faint
MEL_PIECE = 3000  # log-mel frames that the Fourier transform makes at once: 30 s
BATCH = 16  # windows of one length that run at once
MARGIN_FRAMES = 100  # 2 s of context on each inner side of a window, encoded and thrown away
MAX_BYTES = 1 << 30  # Whisper large's encoder takes 1.3 GB in fp16 and is refused; base's takes 41 MB
# What makes a Whisper compute what the published ones do, and transformers' value where a config is silent.
FIXED = {"model_type": "whisper", "activation_function": "gelu", "scale_embedding": False}


@schema()
class WhisperSizes:
    """Sizes of a Whisper encoder cut after `n_layers` layers; the defaults are those of Whisper base.

    n_positions: frames that attention spans at most. n_features: width of the mapped features. smoothing: frames on
    each side, of the same clip, whose mean is taken with a feature's own; many hold who speaks, few what is said.
    Without layers there is no attention and so no positions: the output of the convolutions is kept.
    """

    n_mels: Annotated[int, Field(ge=1, le=256)] = 80
    dim: Annotated[int, Field(ge=1, le=2048)] = 512
    n_layers: Annotated[int, Field(ge=0, le=48)] = 4
    n_heads: Annotated[int, Field(ge=1, le=64)] = 8
    ffn_dim: Annotated[int, Field(ge=1, le=8192)] = 2048
    n_positions: Annotated[int, Field(gt=2 * MARGIN_FRAMES, le=3000)] = 1500
    n_features: Annotated[int, Field(ge=1, le=2048)] = 512
    smoothing: Annotated[int, Field(ge=0, le=MARGIN_FRAMES // 2)] = 0

    def __post_init__(self) -> None:
        if self.dim % self.n_heads:
            raise ValueError("dim must divide by n_heads")

    def config(self) -> WhisperConfig:
        """As transformers says it, for the encoder alone."""
        config = WhisperConfig(
            activation_function="gelu",
            scale_embedding=False,
            num_mel_bins=self.n_mels,
            d_model=self.dim,
            encoder_layers=self.n_layers,
            encoder_attention_heads=self.n_heads,
            encoder_ffn_dim=self.ffn_dim,
            max_source_positions=self.n_positions,
        )
        config._attn_implementation = "sdpa"
        return config


class WhisperUnits(Quantizer):
    """A WhisperEncoder cut at one layer, and the centroids of a linear map of that layer's output.

    A frame's feature [n_features] is (hidden [dim] - mean [dim]) @ projection [dim, n_features];
    centroids [K, n_features].
    """

    mean: Tensor
    projection: Tensor
    filters: Tensor
    window: Tensor

    def __init__(self, sizes: WhisperSizes, n_units: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.network = WhisperEncoder(sizes.config())
        self.network.layer_norm = nn.Identity()  # type: ignore[assignment]  # follows the last layer of the uncut encoder
        self.register_buffer("mean", torch.zeros(sizes.dim))
        self.register_buffer("projection", torch.eye(sizes.dim, sizes.n_features))
        self.register_buffer("centroids", torch.zeros(n_units, sizes.n_features))
        self.add_front_end()
        self.requires_grad_(False).eval()

    def add_front_end(self, device: str | torch.device | None = None) -> None:
        """What follows from the sizes and is not stored: mel filters [n_mels, 201] and the window [400]."""
        filters = mel_filter_bank(
            N_FFT // 2 + 1,
            self.sizes.n_mels,
            0.0,
            SAMPLE_RATE / 2,
            SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer(
            "filters", torch.tensor(filters.T, dtype=torch.float32, device=device), persistent=False
        )
        self.register_buffer("window", torch.hann_window(N_FFT, device=device), persistent=False)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """float32 [T] at 16 kHz -> [n_mels, 2·F], F = max(1, T // 320): as WhisperFeatureExtractor, cut to the clip."""
        n_mel_frames = 2 * max(1, len(waveform) // FRAME_SAMPLES)
        waveform = F.pad(waveform, (0, max(0, FRAME_SAMPLES - len(waveform))))
        half = N_FFT // 2
        waveform = torch.cat([waveform[1 : half + 1].flip(0), waveform, waveform.new_zeros(half + MEL_HOP)])
        pieces = []
        for start in range(0, n_mel_frames, MEL_PIECE):
            n = min(MEL_PIECE, n_mel_frames - start)
            samples = waveform[start * MEL_HOP : (start + n - 1) * MEL_HOP + N_FFT]
            spectrum = torch.stft(
                samples, N_FFT, MEL_HOP, window=self.window, center=False, return_complex=True
            )
            pieces.append((self.filters @ spectrum.abs() ** 2).clamp(min=1e-10).log10())
        mel = torch.cat(pieces, 1)
        return (torch.maximum(mel, mel.max() - DYNAMIC_RANGE) + 4.0) / 4.0

    def hidden(self, mel: Tensor) -> Tensor:
        """Log-mels [B, n_mels, 2·F], F at most n_positions -> output of the last layer kept, float32 [B, F, dim]."""
        network = self.network
        states = F.gelu(network.conv2(F.gelu(network.conv1(mel.to(network.conv1.weight.dtype)))))
        states = states.transpose(1, 2)
        if network.layers:
            states = states + network.embed_positions.weight[: states.shape[1]]
        for layer in network.layers:
            states = layer(states, None)
        return states.float()

    @torch.inference_mode()
    def features(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """float32 [T] each, at 16 kHz -> float32 [F, n_features] each, F = max(1, T // 320)."""
        windows: list[Tensor] = []
        cuts: list[list[tuple[int, int, int]]] = []  # per clip: (window, first frame kept, end)
        width = self.sizes.n_positions
        for waveform in waveforms:
            mel = self.log_mel(torch.from_numpy(waveform).to(self.device, torch.float32))
            cuts.append([])
            for start, first, end in window_spans(mel.shape[1] // 2, width, MARGIN_FRAMES):
                cuts[-1].append((len(windows), first - start, end - start))
                windows.append(mel[:, 2 * start : 2 * (start + width)])
        found: dict[int, Tensor] = {}
        by_length = sorted(range(len(windows)), key=lambda i: windows[i].shape[1])
        for _, alike in groupby(by_length, lambda i: windows[i].shape[1]):
            ordered = list(alike)
            for at in range(0, len(ordered), BATCH):
                group = ordered[at : at + BATCH]
                check_time()
                states = self.hidden(torch.stack([windows[i] for i in group]))
                found.update(zip(group, (states - self.mean) @ self.projection, strict=True))
        clips = [torch.cat([found[w][a:b] for w, a, b in clip_cuts]) for clip_cuts in cuts]
        return [smoothed(features, self.sizes.smoothing) for features in clips]

    def save(self, folder: Path) -> None:
        """Write encoder.json and model.safetensors: the network in fp16, as it is published, the rest in fp32."""
        settings = {"format_version": FORMAT_VERSION, "kind": KIND, "n_units": self.n_units}
        tensors = {
            name: value.half() if name.startswith("network.") else value.float()
            for name, value in self.state_dict().items()
        }
        with replaced_folder(folder) as aside:
            write_json(aside / ENCODER_JSON, settings | asdict(self.sizes))
            write_tensors(aside / WEIGHTS_NAME, tensors, "Encoder")

    @classmethod
    def load(
        cls, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> WhisperUnits:
        """Read what `save` wrote; SpeechPromptError when a file is missing or holds something else.

        dtype: of the network; log-mel frames, the linear map and the centroids are float32.
        """
        n_units, sizes = read_settings(folder, KIND, WhisperSizes)
        file = TensorFile(folder, WEIGHTS_NAME, "Encoder", MAX_BYTES)
        encoder = blank(sizes, n_units)
        file.expect({name: tuple(value.shape) for name, value in encoder.state_dict().items()}, {})
        encoder.load_state_dict(file.read(torch.float32, device), assign=True)
        encoder.add_front_end(device)
        encoder.network.to(dtype)  # type: ignore[arg-type]  # transformers' stub hides Module.to
        return encoder.requires_grad_(False)


def smoothed(features: Tensor, frames: int) -> Tensor:
    """Each frame's mean over itself and up to `frames` neighbours on each side that there are: [F, n] -> [F, n]."""
    if not frames:
        return features
    rows = F.avg_pool1d(features.T[None], 2 * frames + 1, stride=1, padding=frames, count_include_pad=False)
    return rows[0].T


def blank(sizes: WhisperSizes, n_units: int) -> WhisperUnits:
    """An encoder without values, whose shapes cost no memory."""
    with torch.device("meta"):
        return WhisperUnits(sizes, n_units)
