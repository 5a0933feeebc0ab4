"""Train the `mini` encoder: masked prediction in two rounds with auxiliary CTC losses.

The command `pretrain encoder` says how and why.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.making.pretrain.batches import Batches
from speechprompt.making.pretrain.config import MaskedTraining
from speechprompt.making.pretrain.encoder_run import DRAWS, EncoderRun
from speechprompt.making.pretrain.kmeans import kmeans, nearest
from speechprompt.models.encoder import SpeechEncoder
from speechprompt.models.encoder_config import EncoderConfig

FIRST_CLUSTERS, SECOND_CLUSTERS, TEACHER_LAYERS = 100, 500, 3
HUBERT_UNITS = 100


class Pretrainer(nn.Module):
    """The encoder with its four heads; all but the encoder is thrown away."""

    def __init__(self, config: EncoderConfig, n_phones: int) -> None:
        super().__init__()
        d = config.dim
        self.encoder = SpeechEncoder(config)
        self.mask_embedding = nn.Parameter(torch.randn(d) * 0.1)
        self.final_norm = nn.LayerNorm(d)
        self.first = nn.Linear(d, FIRST_CLUSTERS)
        self.second = nn.Linear(d, SECOND_CLUSTERS)
        self.phones = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, n_phones + 1))
        self.hubert = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, HUBERT_UNITS + 1))

    def forward(self, mel: Tensor, mask: Tensor, second: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Cluster logits of every frame, phone logits, HuBERT-unit logits."""
        x = self.encoder.front(mel)
        x = torch.where(mask[..., None], self.mask_embedding.to(x.dtype), x)
        for block in self.encoder.blocks[:-1]:
            x = block(x, None)
        top = self.final_norm(self.encoder.blocks[-1](x, None))
        clusters = self.second(top) if second else self.first(top)
        return clusters.float(), self.phones(x).float(), self.hubert(x).float()


def mfcc(mel: Tensor) -> Tensor:
    """Log-mel [B, 2F, n_mels] -> 13 cepstra with two orders of differences, [B, F, 39]."""
    basis = torchaudio.functional.create_dct(13, mel.shape[-1], "ortho").to(mel.device)
    cepstra = (mel @ basis).transpose(1, 2)
    delta = torchaudio.functional.compute_deltas(cepstra)
    twice = torchaudio.functional.compute_deltas(delta)
    return torch.cat([cepstra, 3 * delta, 5 * twice], 1).transpose(1, 2)[:, ::2]


def cluster(features: Tensor, n_clusters: int, seed: int) -> dict[str, Tensor]:
    """k-means on [N, d] features: mean, std and centroids [K, d] of the normalised features."""
    mean, std = features.mean(0), features.std(0) + 1e-5
    return {"mean": mean, "std": std, "centroids": kmeans((features - mean) / std, n_clusters, seed)}


def ctc(logits: Tensor, targets: Sequence[list[int] | None]) -> Tensor:
    """Mean CTC loss over the rows that have a target; the last class is the blank."""
    rows = [i for i, target in enumerate(targets) if target is not None]
    if not rows:
        return logits.sum() * 0
    known = [torch.tensor(targets[i], dtype=torch.long) for i in rows]
    log_probs = logits[rows].log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(
        log_probs,
        torch.cat(known).to(logits.device),
        torch.full((len(rows),), len(log_probs)),
        torch.tensor([len(k) for k in known]),
        blank=logits.shape[-1] - 1,
        zero_infinity=True,
    )


class Run(EncoderRun[Pretrainer]):
    """Both rounds; the second begins with a teacher, the encoder's average so far."""

    stage = "encoder"
    options = ("steps", "dim", "layers", "lr", "second_round", "seed")

    config: MaskedTraining

    def __init__(self, config: MaskedTraining, batches: Batches) -> None:
        torch.manual_seed(config.seed)
        sizes = EncoderConfig(dim=config.dim, n_layers=config.layers, ffn_dim=4 * config.dim)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        super().__init__(config, batches, Pretrainer(sizes, len(batches.phones)).to(device))
        self.state |= {"teacher": None, "config": vars(sizes)}
        self.teacher: SpeechEncoder | None = None

    def resume(self) -> bool:
        resumed = super().resume()
        if self.state["teacher"]:
            self.teacher = copy.deepcopy(self.average.encoder)
            self.teacher.load_state_dict(self.state["teacher"])
        return resumed

    @torch.inference_mode()
    def target_features(self, clean_mel: Tensor) -> Tensor:
        if self.teacher is None:
            return mfcc(clean_mel)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.teacher(clean_mel, n_layers=TEACHER_LAYERS).float()

    def fit_clusters(self, n_clusters: int) -> None:
        features = torch.cat(
            [
                self.target_features(self.batches[i]["clean_mel"].to(self.device))[:, ::2].flatten(0, 1)
                for i in DRAWS
            ]
        )
        self.state["clusters"] = cluster(features, n_clusters, self.config.seed)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        if not self.clusters:
            self.fit_clusters(FIRST_CLUSTERS)
        if self.teacher is None and self.step >= self.config.steps * self.config.second_round:
            self.teacher = copy.deepcopy(self.average.encoder)
            self.state["teacher"] = self.teacher.state_dict()
            self.fit_clusters(SECOND_CLUSTERS)
        mel, mask = batch["mel"].to(self.device), batch["mask"].to(self.device)
        features = self.target_features(batch["clean_mel"].to(self.device))
        points = (features - self.clusters["mean"]) / self.clusters["std"]
        targets = nearest(points, self.clusters["centroids"]).clone()
        with torch.autocast(self.device.type, torch.bfloat16):
            clusters, phones, hubert = self.model(mel, mask, self.teacher is not None)
        masked = F.cross_entropy(clusters[mask], targets[mask])
        unmasked = F.cross_entropy(clusters[~mask], targets[~mask])
        phone_loss, hubert_loss = ctc(phones, batch["phones"]), ctc(hubert, batch["hubert"])
        return {
            "loss": masked + 0.15 * unmasked + 0.5 * phone_loss + 0.25 * hubert_loss,
            "masked": masked,
            "heard": unmasked,
            "phone_ctc": phone_loss,
            "hubert_ctc": hubert_loss,
            "masked_accuracy": (clusters[mask].argmax(-1) == targets[mask]).float().mean(),
        }
