"""Plain classifiers of units and of log-mel frames, trained whole: what a prompt is held against in bounds.py.

An embedding or two strided convolutions, a two-way GRU, mean and maximum over time. One label each, or a set
of labels of which each is decided on its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

EMBEDDING, HIDDEN = 96, 128
N_MELS = 80
PASSES, BATCH, PEAK = 12, 64, 3e-3
DROPPED, SMOOTHING = 0.1, 0.05


class Pooled(nn.Module):
    """Vectors [B, T, D] of the given lengths -> logits [B, C]: two-way GRU, mean and maximum over time.

    Each way is a GRU of its own over padded vectors, which takes two thirds of the time of packed ones; what
    comes after the end is left out of the pools, which do not care for the order.
    """

    def __init__(self, width: int, n_labels: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList(nn.GRU(width, HIDDEN, batch_first=True) for _ in range(2))
        self.out = nn.Linear(4 * HIDDEN, n_labels)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        at = torch.arange(vectors.shape[1])
        backwards = (lengths[:, None] - 1 - at).clamp(min=0)
        turned = vectors.gather(1, backwards[..., None].expand_as(vectors))
        pairs = zip(self.ways, (vectors, turned), strict=True)
        states = torch.cat([way(ordered)[0] for way, ordered in pairs], -1)
        beyond = (at >= lengths[:, None])[..., None]
        mean = states.masked_fill(beyond, 0).sum(1) / lengths[:, None]
        most = states.masked_fill(beyond, -torch.inf).amax(1)
        return self.out(torch.cat((mean, most), -1))


class UnitClassifier(nn.Module):
    """Unit ids int64 [T] each -> logits [B, C]."""

    def __init__(self, n_units: int, n_labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_units, EMBEDDING)
        self.pooled = Pooled(EMBEDDING, n_labels)

    def forward(self, utterances: Sequence[Tensor]) -> Tensor:
        lengths = torch.tensor([len(ids) for ids in utterances])
        return self.pooled(self.embedding(pad_sequence(list(utterances), batch_first=True)), lengths)

    @staticmethod
    def disturbed(ids: Tensor) -> Tensor:
        """Without a tenth of its units."""
        kept = ids[torch.rand(len(ids)) >= DROPPED]
        return kept if len(kept) else ids


class MelClassifier(nn.Module):
    """Log-mel frames float16 [T, N_MELS] each, 10 ms apart -> logits [B, C]."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        widths = (N_MELS, EMBEDDING)
        self.convolutions = nn.ModuleList(nn.Conv1d(w, EMBEDDING, 5, stride=2, padding=2) for w in widths)
        self.pooled = Pooled(EMBEDDING, n_labels)

    def forward(self, utterances: Sequence[Tensor]) -> Tensor:
        lengths = torch.tensor([len(mel) for mel in utterances])
        vectors = pad_sequence([mel.float() for mel in utterances], batch_first=True).transpose(1, 2)
        for convolution in self.convolutions:
            vectors, lengths = F.gelu(convolution(vectors)), (lengths + 1) // 2
            beyond = torch.arange(vectors.shape[2]) >= lengths[:, None]  # would leak into the last frames
            vectors = vectors.masked_fill(beyond[:, None], 0)
        return self.pooled(vectors.transpose(1, 2), lengths)

    @staticmethod
    def disturbed(mel: Tensor) -> Tensor:
        """A tenth of the time and a tenth of the bands, each in one stretch, become zero."""
        mel = mel.clone()
        for axis in (0, 1):
            size = round(DROPPED * mel.shape[axis])
            mel.narrow(axis, int(torch.randint(mel.shape[axis] - size + 1, ())), size).zero_()
        return mel


Classifier = UnitClassifier | MelClassifier
Labels = tuple[int, ...]


def trained(
    make: Callable[[], Classifier],
    inputs: Sequence[Tensor],
    truth: Sequence[Labels],
    seed: int,
    name: str,
    many: bool = False,
) -> Classifier:
    """A classifier after PASSES over the inputs; deterministic by the seed on one machine and thread count.

    many: an answer is a set of labels, each decided on its own, and not one of them.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, rng = make(), random.Random(seed)
        steps = PASSES * -(-len(inputs) // BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), PEAK)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
        with tqdm(total=steps, desc=name, mininterval=2) as progress:
            for _ in range(PASSES):
                for group in groups(inputs, rng):
                    logits = model([model.disturbed(inputs[i]) for i in group])
                    loss = loss_of(logits, [truth[i] for i in group], many)
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    schedule.step()
                    progress.update()
    return model.eval()


def loss_of(logits: Tensor, due: Sequence[Labels], many: bool) -> Tensor:
    if not many:
        return F.cross_entropy(logits, torch.tensor([label for (label,) in due]), label_smoothing=SMOOTHING)
    wanted = torch.zeros_like(logits)
    for row, labels in zip(wanted, due, strict=True):
        row[list(labels)] = 1
    return F.binary_cross_entropy_with_logits(logits, wanted)


def groups(inputs: Sequence[Tensor], rng: random.Random | None = None) -> list[list[int]]:
    """Batches of like length, which saves padding; with rng the pass is another one each time."""
    order = list(range(len(inputs)))
    if rng:
        rng.shuffle(order)
        pools = [order[at : at + 16 * BATCH] for at in range(0, len(order), 16 * BATCH)]
    else:
        pools = [order]
    found = []
    for pool in pools:
        pool.sort(key=lambda i: len(inputs[i]))
        found += [pool[at : at + BATCH] for at in range(0, len(pool), BATCH)]
    if rng:
        rng.shuffle(found)
    return found


@torch.inference_mode()
def answered(model: Classifier, inputs: Sequence[Tensor], many: bool = False) -> list[set[int]]:
    """The label that each input gets, or all its labels."""
    found: list[set[int]] = [set() for _ in inputs]
    for group in groups(inputs):
        for i, row in zip(group, model([inputs[i] for i in group]), strict=True):
            found[i] = set(((row > 0).nonzero()[:, 0] if many else row.argmax()[None]).tolist())
    return found
