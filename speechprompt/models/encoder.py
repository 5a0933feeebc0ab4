"""The unit encoder: waveform -> frames of 20 ms -> nearest of K centroids -> Units.

`SpeechEncoder` is the network, small enough for a laptop: log-mel frames, a convolution that halves
their rate, then blocks of convolution, attention and feed-forward layers. `UnitEncoder` cuts it at
the layer that the centroids were fitted on (SpeechPrompt, section 2.1, with HuBERT's place taken by
our own network). Knows nothing of language models, tasks or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.machine.request_time import check_time
from speechprompt.models.encoder_config import EncoderConfig
from speechprompt.models.log_mel import LogMel
from speechprompt.models.packing import packed
from speechprompt.models.quantizer import ENCODER_JSON, FORMAT_VERSION, WEIGHTS_NAME, Quantizer, read_settings
from speechprompt.storage.folders import replaced_folder, write_json
from speechprompt.storage.tensors import TensorFile, write_tensors

WINDOW_FRAMES = 400  # longest stretch that attention spans: 8 s, about what training showed it
MARGIN_FRAMES = 50  # 1 s of context on each inner side of a window, encoded and thrown away
MAX_BYTES = 256 << 20  # 8 M parameters take 32 MB in fp32


class Block(nn.Module):
    """Depthwise convolution, self-attention and feed-forward, each pre-normed with a residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.dim
        self.n_heads = config.n_heads
        self.conv_norm = nn.LayerNorm(d)
        self.conv_in = nn.Linear(d, 2 * d)
        self.conv = nn.Conv1d(d, d, config.kernel, padding=config.kernel // 2, groups=d)
        self.conv_mid_norm = nn.LayerNorm(d)
        self.conv_out = nn.Linear(d, d)
        self.attention_norm = nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.attention_out = nn.Linear(d, d)
        self.ffn_norm = nn.LayerNorm(d)
        self.ffn_in = nn.Linear(d, config.ffn_dim)
        self.ffn_out = nn.Linear(config.ffn_dim, d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """x [B, F, d]; padding bool [B, F], True where a frame is none, or None."""
        y = F.glu(self.conv_in(self.conv_norm(x)), -1)
        if padding is not None:
            y = y.masked_fill(padding[..., None], 0)
        y = self.conv(y.transpose(1, 2)).transpose(1, 2)
        x = x + self.conv_out(F.silu(self.conv_mid_norm(y)))
        x = x + self.attention_out(self.attend(self.attention_norm(x), padding))
        return x + self.dropout(self.ffn_out(F.gelu(self.ffn_in(self.ffn_norm(x)))))

    def attend(self, x: Tensor, padding: Tensor | None) -> Tensor:
        # Spelled out: the fused kernel's bfloat16 backward is slow on CPUs, and windows are short.
        batch, frames, d = x.shape
        q, k, v = self.qkv(x).view(batch, frames, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q * (d // self.n_heads) ** -0.5) @ k.transpose(-1, -2)
        if padding is not None:
            weights = weights.masked_fill(padding[:, None, None], -1e4)
        return (weights.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(batch, frames, d)


class SpeechEncoder(nn.Module):
    """Log-mel frames [B, 2F, n_mels] -> hidden states of the blocks, each [B, F, dim]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        d = config.dim
        self.conv1 = nn.Conv1d(config.n_mels, d, 3, padding=1)
        self.conv2 = nn.Conv1d(d, d, 3, stride=2, padding=1)
        self.front_norm = nn.LayerNorm(d)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))

    def front(self, mel: Tensor, padding: Tensor | None = None) -> Tensor:
        """[B, 2F, n_mels] -> [B, F, dim]."""
        x = F.gelu(self.conv1(mel.transpose(1, 2)))
        if padding is not None:  # beyond a clip's end the second convolution must see zeros, as alone
            x = x.masked_fill(padding.repeat_interleave(2, 1)[:, None], 0)
        return self.front_norm(F.gelu(self.conv2(x)).transpose(1, 2))

    def forward(self, mel: Tensor, padding: Tensor | None = None, n_layers: int | None = None) -> Tensor:
        """Hidden state after `n_layers` blocks (all when None)."""
        x = self.front(mel, padding)
        for block in self.blocks[:n_layers]:
            x = block(x, padding)
        return x


class UnitEncoder(Quantizer):
    """A SpeechEncoder cut at one layer, with the K centroids of that layer's features.

    mean and std [dim] normalise the features, centroids [K, dim] are those of the normalised ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, n_units: int) -> None:
        super().__init__()
        self.log_mel = LogMel(config.n_mels)
        self.network = SpeechEncoder(config)
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("std", torch.ones(config.dim))
        self.register_buffer("centroids", torch.zeros(n_units, config.dim))

    @torch.inference_mode()
    def features(self, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
        """float32 [T] each, at 16 kHz -> normalised features [T // 320, dim] each.

        Cost grows linearly with length: beyond 8 s a clip is cut into windows that overlap by 2 s.
        Windows are batched, padded and masked, so a clip's features do not depend on its company.
        """
        windows: list[Tensor] = []
        cuts: list[list[tuple[int, int, int]]] = []  # per clip: (window, first frame kept, end)
        for waveform in waveforms:
            mel = self.log_mel(torch.from_numpy(waveform).to(self.device)[None])[0]
            n_frames = len(mel) // 2
            clip_cuts = []
            for start, first, end in window_spans(n_frames):
                clip_cuts.append((len(windows), first - start, end - start))
                windows.append(mel[2 * start : 2 * min(start + WINDOW_FRAMES, n_frames)])
            cuts.append(clip_cuts)
        states: dict[int, Tensor] = {}
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        dtype = self.network.front_norm.weight.dtype
        for at in range(0, len(order), 16):
            check_time()
            group = order[at : at + 16]
            lengths = torch.tensor([len(windows[i]) // 2 for i in group], device=self.device)
            mel = nn.utils.rnn.pad_sequence([windows[i] for i in group], batch_first=True)
            padding = torch.arange(mel.shape[1] // 2, device=self.device) >= lengths[:, None]
            hidden = self.network(mel.to(dtype), padding if bool(padding.any()) else None).float()
            states.update(zip(group, (hidden - self.mean) / self.std, strict=True))
        return [torch.cat([states[w][a:b] for w, a, b in clip_cuts]) for clip_cuts in cuts]

    def save(self, folder: Path) -> None:
        """Write encoder.json and model.safetensors: the network in fp16, centroids and scales in fp32."""
        settings = {"format_version": FORMAT_VERSION, "n_units": self.n_units, **asdict(self.network.config)}
        tensors = {
            name: value.half() if name.startswith("network.") else value.float()
            for name, value in self.state_dict().items()
            if not name.startswith("log_mel.")  # mel filters follow from the config
        }
        with replaced_folder(folder) as aside:
            write_json(aside / ENCODER_JSON, settings)
            write_tensors(aside / WEIGHTS_NAME, tensors, "Encoder")

    @classmethod
    def load(
        cls, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> UnitEncoder:
        """Read what `save` wrote; SpeechPromptError when a file is missing or holds something else.

        dtype: of the network; log-mel frames and centroids are float32.
        """
        n_units, config = read_settings(folder, None, EncoderConfig)
        file = TensorFile(folder, WEIGHTS_NAME, "Encoder", MAX_BYTES)
        with torch.device("meta"):  # the shapes are compared before any memory is taken
            network = SpeechEncoder(config)
        shapes = {f"network.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
        shapes |= {"mean": (config.dim,), "std": (config.dim,), "centroids": (n_units, config.dim)}
        file.expect(shapes, {})
        encoder = cls(config, n_units)
        encoder.load_state_dict(file.read(torch.float32), strict=False)  # all but the mel filters
        encoder.requires_grad_(False).eval().to(device)
        encoder.network = packed(encoder.network.to(dtype))
        return encoder


def window_spans(
    n_frames: int, window: int = WINDOW_FRAMES, margin: int = MARGIN_FRAMES
) -> list[tuple[int, int, int]]:
    """(window start, first frame kept, end of the frames kept) for each window over a clip; all in frames.

    ValueError unless a window is longer than its two margins: it would keep no frame, and the clip would never end.
    """
    if not 0 <= 2 * margin < window:
        raise ValueError(f"a window of {window} frames is not longer than two margins of {margin}")
    if n_frames <= window:
        return [(0, 0, n_frames)]
    spans, kept = [], 0
    while kept < n_frames:
        start = max(0, min(kept - margin, n_frames - window))
        last = start + window >= n_frames
        end = n_frames if last else start + window - margin
        spans.append((start, kept, end))
        kept = end
    return spans
