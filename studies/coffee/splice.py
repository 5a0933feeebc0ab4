"""Coffee orders cut from recorded ones and put together anew."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.phones import spell_out
from speechprompt.models.encoder import UnitEncoder
from speechprompt.storage.parquet import read_parquet
from studies.coffee.speak import VALUES

LEARNT_FROM = 1500  # synthetic orders
STEPS, BATCH, LEARNING_RATE = 1500, 16, 3e-3
ELSE_COST = 1.0  # nats a frame that counts as none of the values' phones loses to the likeliest phone
WORST_SCORE = -1.0  # nats a frame: recordings aligned worse are left out
FADE = 160  # samples over which a cut is blended: 10 ms
REPLACED = 0.6  # of an order's values


@dataclass(frozen=True)
class Aligned:
    """A recorded order: samples float32 [T] and, for each slot as said, its value and (first, end) sample."""

    waveform: np.ndarray
    slots: dict[str, tuple[str, int, int]]


class PhoneReader(nn.Module):
    """Features [F, dim] -> log-probabilities of the phones, the blank (0) first: [F, 1 + phones]."""

    def __init__(self, dim: int, phones: list[str]) -> None:
        super().__init__()
        self.index = {phone: i + 1 for i, phone in enumerate(phones)}
        self.layer = nn.Linear(dim, 1 + len(phones))

    def forward(self, features: Tensor) -> Tensor:
        return self.layer(features).log_softmax(-1)

    def numbers(self, text: str) -> list[int]:
        try:
            return [self.index[phone] for phone in find_phones(text)]
        except KeyError as error:
            raise SpeechPromptError(
                f"The synthetic orders never say the phone {error} of {text!r}."
            ) from None


def find_phones(text: str) -> list[str]:
    spelled = spell_out(text)
    if spelled is None:
        raise SpeechPromptError(f"Some word of {text!r} is in no dictionary.")
    return spelled.split()


def read_orders(path: Path, columns: list[str]) -> list[dict]:
    return [row for row in read_parquet(path, ["split", "audio", *columns]) if row["split"] == "train"]


def slots_of(label: str) -> dict[str, str]:
    """The slots of a recorded order, slot -> value; SpeechPromptError when its label names others."""
    try:
        slots = json.loads(label)
    except ValueError:
        slots = None
    if not isinstance(slots, dict) or not slots or not slots.keys() <= VALUES.keys():
        raise SpeechPromptError(f"The label {label[:80]!r} is no JSON object with slots of an order.")
    return {name: str(value) for name, value in slots.items()}


def features_of(encoder: UnitEncoder, waveforms: list[np.ndarray], what: str) -> list[Tensor]:
    found: list[Tensor] = []
    for at in tqdm(range(0, len(waveforms), BATCH), desc=what, unit="batch"):
        found += encoder.features(waveforms[at : at + BATCH])
    return [features.clone() for features in found]  # inference tensors cannot be learnt from


def learn_phones(features: list[Tensor], texts: list[str], seed: int) -> PhoneReader:
    """A PhoneReader that CTC taught what is said in which of the features [F, dim] each."""
    torch.manual_seed(seed)
    phones = sorted({phone for text in texts for phone in find_phones(text)})
    reader = PhoneReader(features[0].shape[1], phones)
    targets = [torch.tensor(reader.numbers(text)) for text in texts]
    optimizer = torch.optim.AdamW(reader.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    rng = random.Random(seed)
    progress = tqdm(range(STEPS), desc="learn phones", mininterval=1)
    for _ in progress:
        drawn = rng.sample(range(len(features)), min(BATCH, len(features)))
        rows = [features[i] for i in drawn]
        log_probs = reader(nn.utils.rnn.pad_sequence(rows))
        loss = F.ctc_loss(
            log_probs,
            torch.cat([targets[i] for i in drawn]),
            torch.tensor([len(row) for row in rows]),
            torch.tensor([len(targets[i]) for i in drawn]),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return reader


def align(log_probs: Tensor, values: list[list[int]]) -> tuple[float, list[tuple[int, int]]]:
    """Where the values (phone numbers) are said, in this order, with anything between them.

    log_probs [F, 1 + phones] -> score in nats a frame, and (first, end) frame of each value. Score is -inf
    where they do not fit.
    """
    anything = log_probs.shape[1]
    other = log_probs[:, 1:].amax(1, keepdim=True) - ELSE_COST
    emitted = torch.cat([log_probs, other], 1)[None]
    target = [anything]
    for value in values:
        target += [*value, anything]
    repeats = sum(a == b for a, b in itertools.pairwise(target))
    if len(target) + repeats > len(log_probs):
        return float("-inf"), []
    path, scores = torchaudio.functional.forced_align(emitted, torch.tensor([target], dtype=torch.int32))
    runs = torchaudio.functional.merge_tokens(path[0], scores[0])
    spans, at = [], 1
    for value in values:
        # CTC names a phone for a moment only: a value lasts from half-way since what was before it.
        first = (runs[at - 1].end + runs[at].start) // 2
        end = (runs[at + len(value) - 1].end + runs[at + len(value)].start + 1) // 2
        spans.append((first, end))
        at += len(value) + 1
    return float(scores.mean()), spans


def align_order(reader: PhoneReader, features: Tensor, slots: dict[str, str]) -> tuple[float, dict]:
    """Best over the orders in which the slots may be said: score, slot -> (value, first frame, end), as said."""
    with torch.inference_mode():
        log_probs = reader(features)
    phones = {name: reader.numbers(value) for name, value in slots.items()}
    best: tuple[float, dict] = (float("-inf"), {})
    for names in itertools.permutations(slots):
        score, spans = align(log_probs, [phones[name] for name in names])
        if score > best[0]:
            best = score, {n: (slots[n], *span) for n, span in zip(names, spans, strict=True)}
    return best


def blend(pieces: list[np.ndarray]) -> np.ndarray:
    """Join pieces [T] each with 10 ms faded into one another."""
    joined = pieces[0]
    for piece in pieces[1:]:
        n = min(FADE, len(joined), len(piece))
        rise = np.linspace(0, 1, n, dtype=np.float32)
        both = joined[len(joined) - n :] * (1 - rise) + piece[:n] * rise
        joined = np.concatenate([joined[: len(joined) - n], both, piece[n:]])
    return joined


def level(waveform: np.ndarray) -> float:
    return float(np.sqrt((waveform**2).mean())) + 1e-5


def splice(orders: list[Aligned], rng: random.Random) -> tuple[np.ndarray, dict[str, str]]:
    """One order made of several: samples float32 [T] at 16 kHz, and slot -> value."""
    base = rng.choice(orders)
    pieces, values, at = [], {}, 0
    for slot, (value, first, end) in base.slots.items():
        part = base.waveform[first:end]
        if rng.random() < REPLACED:
            donor = rng.choice([order for order in orders if slot in order.slots])
            value, donor_first, donor_end = donor.slots[slot]
            other = donor.waveform[donor_first:donor_end]
            part = other * np.float32(level(part) / level(other))
        pieces += [base.waveform[at:first], part]
        values[slot] = value
        at = end
    joined = blend([piece for piece in [*pieces, base.waveform[at:]] if len(piece)])
    return np.clip(joined, -1, 1), values
