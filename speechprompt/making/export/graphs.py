"""The encoder and the prompted unit LM as two modules whose every step has its counterpart in ONNX.

They hold the loaded models' own layers. What differs is what a graph cannot have: the spectrum is a convolution,
positions are computed and not looked up in a table, and attention sees all positions at once behind one mask.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.models.encoder import UnitEncoder
from speechprompt.models.log_mel import MEL_HOP, LogMel
from speechprompt.models.unit_lm import UnitLM
from speechprompt.units import FRAME_SAMPLES

FFT, WINDOW = 512, 400  # of LogMel's spectrum


class EncoderGraph(nn.Module):
    """waveform float32 [1, n], frames int64 [F] -> units int64 [F].

    The waveform is at 16 kHz. frames: numbers, one after the other, of those whose units are wanted, below n // 320; at
    most WINDOW_FRAMES (encoder.py), so that a longer recording is asked about window by window. What lies before and
    after them in the waveform counts for their level.
    """

    inputs = ("waveform", "frames")
    outputs = ("units",)

    def __init__(self, encoder: UnitEncoder) -> None:
        super().__init__()
        self.network = encoder.network
        self.bands = nn.Buffer(encoder.log_mel.bands)
        self.mean, self.std = nn.Buffer(encoder.mean), nn.Buffer(encoder.std)
        self.centroids = nn.Buffer(encoder.centroids.T.contiguous())
        self.squares = nn.Buffer(encoder.centroids.square().sum(1))
        turn = torch.arange(FFT, dtype=torch.float64) * (2 * math.pi / FFT)
        self.cosine = nn.Buffer(turn.cos().float())
        self.sine = nn.Buffer(turn.sin().float())
        self.window = nn.Buffer(encoder.log_mel.spectrum.window)
        self.level = nn.Buffer(torch.ones(1, 1, LogMel.LEVEL_FRAMES))

    def forward(self, waveform: Tensor, frames: Tensor) -> Tensor:
        halves = torch.stack([frames * 2, frames * 2 + 1], 1).flatten()
        mel = self.log_mel(waveform).index_select(1, halves)
        features = ((self.network(mel) - self.mean) / self.std)[0]
        return (self.squares - 2 * features @ self.centroids).argmin(1)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """float32 [1, n] -> [1, 2 · (n // 320), n_mels], see LogMel.forward."""
        edge = FFT // 2
        padded = F.pad(waveform, (edge, edge), mode="reflect")
        # The window lies in the middle of a frame, and around it the frame is nothing.
        n_bins, start = edge + 1, (FFT - WINDOW) // 2
        index = (torch.arange(n_bins)[:, None] * torch.arange(start, start + WINDOW)[None]) % FFT
        basis = torch.cat([self.cosine[index], self.sine[index]]) * self.window
        found = F.conv1d(padded[:, None, start:], basis[:, None], stride=MEL_HOP).square()
        power = (found[:, :n_bins] + found[:, n_bins:]).transpose(1, 2) / 400.0
        mel = power.narrow(1, 0, waveform.shape[1] // FRAME_SAMPLES * 2) @ self.bands
        energy, half = mel.mean(-1)[:, None], LogMel.LEVEL_FRAMES // 2
        sums = F.conv1d(energy, self.level, padding=half)
        counts = F.conv1d(torch.ones_like(energy), self.level, padding=half)
        level = (sums / counts)[:, 0, :, None]
        return (torch.log(mel / (level + LogMel.SILENCE_POWER) + LogMel.FLOOR) + 2.0) / 3.0


class LMGraph(nn.Module):
    """Rows behind prompts -> the vocabulary's logits at their last position, and all keys and values.

    B rows of T tokens, L layers, H heads. The positions of a row are, in this order: P prompt vectors, K that were
    passed before, I input prompts, T tokens; any of P, K and I may be 0.

    tokens int64 [B, T]. last float32 [B, d]: where is_given bool [B], it takes the place of the last token's embedding,
    before the LM's scale: a separator, or a label that is fed back. inputs float32 [B, I, d]. positions int64
    [B, I + T], -1 for none. key_prompts, value_prompts float32 [L, B, P, d], as a prompt's file has them. past_keys,
    past_values float32 [L, B, H, K, d / H]. present bool [B, P + K + I + T]: the positions that a row has, the others
    are padding.

    logits float32 [B, V]. keys, values float32 [L, B, H, P + K + I + T, d / H]: the past of a next pass.
    """

    inputs = (
        "tokens", "last", "is_given", "inputs", "positions", "key_prompts", "value_prompts", "past_keys", "past_values",
        "present",
    )  # fmt: skip
    outputs = ("logits", "keys", "values")

    def __init__(self, lm: UnitLM) -> None:
        super().__init__()
        self.lm = lm
        self.heads, self.scale = int(lm.config.attention_heads), float(lm.embed_scale)
        half = int(lm.config.d_model) // 2
        turn = torch.exp(torch.arange(half).float() * -(math.log(10000) / (half - 1)))
        self.turn = nn.Buffer(turn)
        self.first = lm.first_position + lm.model.embed_positions.offset

    def forward(
        self,
        tokens: Tensor,
        last: Tensor,
        is_given: Tensor,
        inputs: Tensor,
        positions: Tensor,
        key_prompts: Tensor,
        value_prompts: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        present: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        embedded = self.lm.model.embed_tokens(tokens)
        given = torch.where(is_given[:, None], last * self.scale, embedded[:, -1])
        embedded = torch.cat([inputs, embedded[:, :-1], given[:, None]], 1)
        hidden = embedded + self.position_table(positions)
        n = positions.shape[1]
        n_past = present.shape[1] - n
        places = torch.arange(present.shape[1])
        allowed = (places[None] <= (places[n_past:])[:, None])[None] & present[:, None]
        mask = torch.where(allowed, 0.0, torch.finfo(torch.float32).min / 2)[:, None]
        all_keys, all_values = [], []
        layers = self.lm.model.layers
        for i, layer in enumerate(layers):
            attention = layer.self_attn
            normed = layer.self_attn_layer_norm(hidden)
            made = self.by_head(attention.k_proj(normed)), self.by_head(attention.v_proj(normed))
            deep = attention.k_proj(key_prompts[i]), attention.v_proj(value_prompts[i])
            keys = torch.cat([self.by_head(deep[0]), past_keys[i], made[0]], 2)
            values = torch.cat([self.by_head(deep[1]), past_values[i], made[1]], 2)
            all_keys.append(keys)
            all_values.append(values)
            if i == len(layers) - 1:  # of it the last position alone becomes logits
                hidden, normed, mask = hidden[:, -1:], normed[:, -1:], mask[:, :, -1:]
            queries = self.by_head(attention.q_proj(normed) * attention.scaling)
            scores = queries @ keys.transpose(-1, -2) + mask
            mixed = (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)
            hidden = hidden + attention.out_proj(mixed)
            hidden = hidden + layer.fc2(torch.relu(layer.fc1(layer.final_layer_norm(hidden))))
        logits = self.lm.lm_head(self.lm.model.layer_norm(hidden[:, -1]))
        return logits, torch.stack(all_keys), torch.stack(all_values)

    def by_head(self, rows: Tensor) -> Tensor:
        """[B, T, d] -> [B, heads, T, d / heads]."""
        return rows.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def position_table(self, positions: Tensor) -> Tensor:
        """int64 [B, T] -> float32 [B, T, d]; zeros for -1."""
        angle = (positions + self.first).float()[..., None] * self.turn
        table = torch.cat([angle.sin(), angle.cos()], -1)
        return table * (positions >= 0)[..., None]
