"""Train the `mini` encoder on with its units in the loop, so that units keep what k-means would lose.

The command `pretrain quantised` says how and why.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.batches import Batches
from speechprompt.making.pretrain.config import QuantisedTraining
from speechprompt.making.pretrain.encoder import SECOND_CLUSTERS, Pretrainer, cluster, ctc
from speechprompt.making.pretrain.encoder_run import DRAWS, EncoderRun
from speechprompt.making.pretrain.kmeans import nearest
from speechprompt.models.encoder_config import EncoderConfig
from speechprompt.tuning.checkpoint import read_checkpoint

FOLLOW = 0.97  # how much of a centroid stays as it was in a step
FEWEST = 0.05  # of the mean use: a centroid that is chosen less often is drawn anew
WEIGHTS = {"phone_ctc": 1.0, "hubert_ctc": 0.25, "heard": 0.3, "mel": 1.0, "commitment": 1.0}


class QuantisedPretrainer(Pretrainer):
    """A Pretrainer whose upper blocks hear the centroids chosen after `layer` blocks.

    mean and std [dim] normalise the features, centroids [K, dim] are those of the normalised ones.
    """

    mean: Tensor
    std: Tensor
    centroids: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(self, config: EncoderConfig, n_phones: int, layer: int, n_units: int) -> None:
        super().__init__(config, n_phones)
        self.layer = layer
        self.mel = nn.Linear(config.dim, 2 * config.n_mels)  # an encoder frame spans two log-mel frames
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("std", torch.ones(config.dim))
        self.register_buffer("centroids", torch.zeros(n_units, config.dim))
        self.register_buffer("uses", torch.ones(n_units))
        self.register_buffer("sums", torch.zeros(n_units, config.dim))

    def quantise(self, mel: Tensor, mask: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Logits by head, the normalised features [B, F, dim] and the units int64 [B, F] they chose."""
        x = self.encoder(mel, n_layers=self.layer)
        features = (x.float() - self.mean) / self.std
        units = nearest(features.detach(), self.centroids)
        chosen = self.centroids[units] * self.std + self.mean
        x = x + (chosen - x).detach()  # forward: the centroid; backward: as if nothing was chosen
        x = torch.where(mask[..., None], self.mask_embedding, x)
        logits = {}
        for i, block in enumerate(self.encoder.blocks[self.layer :]):
            if i == len(self.encoder.blocks) - self.layer - 1:
                logits["phones"], logits["hubert"] = self.phones(x).float(), self.hubert(x).float()
            x = block(x, None)
            if i == 0:
                logits["mel"] = self.mel(x).float()
        logits["clusters"] = self.second(self.final_norm(x)).float()
        return logits, features, units

    @torch.no_grad()
    def follow(self, features: Tensor, units: Tensor) -> None:
        """Move the centroids towards the features [B, F, dim] that chose them; draw unused ones anew."""
        points, chosen = features.flatten(0, 1), units.flatten()
        counts = torch.bincount(chosen, minlength=len(self.centroids)).float()
        self.uses.lerp_(counts, 1 - FOLLOW)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, chosen, points), 1 - FOLLOW)
        self.centroids.copy_(self.sums / self.uses.clamp(min=1e-6)[:, None])
        rare = (self.uses < FEWEST * self.uses.mean()).nonzero()[:, 0]
        if len(rare):
            drawn = points[torch.randint(len(points), (len(rare),), device=points.device)]
            self.centroids[rare], self.uses[rare] = drawn, self.uses.mean()
            self.sums[rare] = drawn * self.uses[rare, None]


class Run(EncoderRun[QuantisedPretrainer]):
    """Begins with the encoder of --checkpoint, which is also the teacher."""

    stage = "quantised"
    options = ("steps", "layer", "units", "lr", "seed")

    config: QuantisedTraining

    def __init__(self, config: QuantisedTraining, batches: Batches) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(config.seed)
        if not config.checkpoint.is_file():
            raise SpeechPromptError(
                "There is no encoder to begin with: run `speechprompt pretrain encoder` first."
            )
        start = read_checkpoint(config.checkpoint)
        sizes = EncoderConfig(**start["config"])
        if not 1 <= config.layer < sizes.n_layers:
            raise SpeechPromptError(
                f"--layer must be 1 to {sizes.n_layers - 1}: blocks above hear the units."
            )
        model = QuantisedPretrainer(sizes, len(batches.phones), config.layer, config.units).to(device)
        model.load_state_dict(start["average"], strict=False)  # all but what the units need
        super().__init__(config, batches, model)
        self.state["config"] = vars(sizes)
        self.teacher = copy.deepcopy(model.encoder).eval().requires_grad_(False)

    def resume(self) -> bool:
        resumed = super().resume()
        if not resumed:
            self.fit_centroids()
        return resumed

    @torch.inference_mode()
    def fit_centroids(self) -> None:
        """The centroids to begin with, and the targets: k-means on noisy recordings, and on clean ones."""
        drawn = [self.batches[i] for i in DRAWS]
        noisy, clean = (
            torch.cat(
                [
                    self.teacher(b[name].to(self.device), n_layers=self.config.layer).flatten(0, 1)
                    for b in drawn
                ]
            )
            for name in ("mel", "clean_mel")
        )
        self.state["clusters"] = cluster(clean, SECOND_CLUSTERS, self.config.seed)
        model = self.model
        found = cluster(noisy, self.config.units, self.config.seed)
        for name, value in found.items():
            getattr(model, name).copy_(value)
        points = (noisy - model.mean) / model.std
        per_batch = len(points) / len(drawn)
        counts = torch.bincount(nearest(points, model.centroids), minlength=self.config.units)
        model.uses.copy_(counts / counts.sum() * per_batch)
        model.sums.copy_(model.centroids * model.uses[:, None])
        self.average.load_state_dict(model.state_dict())

    def train_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        mel, mask = batch["mel"].to(self.device), batch["mask"].to(self.device)
        mask[::2] = False  # half of the rows are heard whole
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16):
            clean = self.teacher(batch["clean_mel"].to(self.device), n_layers=self.config.layer).float()
        points = (clean - self.clusters["mean"]) / self.clusters["std"]
        targets = nearest(points, self.clusters["centroids"]).clone()
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, features, units = self.model.quantise(mel, mask)
        drawn = batch["target_mel"].to(self.device)
        chosen = self.model.centroids[units]
        losses = {
            "phone_ctc": ctc(logits["phones"], batch["phones"]),
            "hubert_ctc": ctc(logits["hubert"], batch["hubert"]),
            "heard": F.cross_entropy(logits["clusters"][~mask], targets[~mask]),
            "mel": F.l1_loss(logits["mel"][~mask], drawn.unflatten(1, (-1, 2)).flatten(2)[~mask]),
            "commitment": F.mse_loss(features, chosen),
        }
        loss = sum((WEIGHTS[name] * value for name, value in losses.items()), torch.zeros(()))
        self.model.follow(features.detach(), units)
        self.average.centroids.copy_(self.model.centroids)
        counts = torch.bincount(units.flatten(), minlength=self.config.units).float()
        shares = counts[counts > 0] / counts.sum()
        return {"loss": loss, **losses, "units_used": (-(shares * shares.log()).sum()).exp()}
