"""Train a unit LM: next-unit loss on unit transcripts, no labels (GSLM; SpeechPrompt, section 2.1).

The command `pretrain unit-lm` says how and why.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.config import LMTraining
from speechprompt.models import lm_config, unit_lm
from speechprompt.models.unit_lm import UnitLM
from speechprompt.storage.parquet import read_parquet
from speechprompt.tuning.runs import Run, Schedule, batches_by_length, decayed_adamw
from speechprompt.units import EOS, PAD, UNIT_OFFSET, to_tokens

MAX_TOKENS = 256  # longer transcripts are cut into pieces of this many units


def read_transcripts(paths: Sequence[Path], split: str) -> list[list[int]]:
    """Distinct token sequences `</s> u1 … uN </s>` of one split, long ones cut into pieces."""
    distinct: dict[tuple[int, ...], None] = {}
    for path in paths:
        for row in read_parquet(path, ["split", "units"]):
            if row["split"] != split:
                continue
            for at in range(0, len(row["units"]), MAX_TOKENS):
                distinct[tuple(row["units"][at : at + MAX_TOKENS])] = None
    return [[EOS, *to_tokens(units), EOS] for units in distinct]


def pad(sequences: Sequence[Sequence[int]]) -> Tensor:
    """int64 [B, T], padded on the right."""
    width = max(map(len, sequences))
    return torch.tensor([[*s, *[PAD] * (width - len(s))] for s in sequences])


def next_unit_loss(lm: UnitLM, tokens: Tensor, reduction: str = "mean") -> Tensor:
    # Causal attention and padding on the right: real positions never see a pad.
    with torch.autocast(tokens.device.type, torch.bfloat16):
        logits = lm(input_ids=tokens[:, :-1], use_cache=False).logits
    return F.cross_entropy(
        logits.float().flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD, reduction=reduction
    )


@torch.inference_mode()
def perplexity(lm: UnitLM, sequences: list[list[int]]) -> float:
    lm.eval()
    device = lm.device
    total = tokens = 0.0
    for group in batches_by_length(list(map(len, sequences)), 8000, None):
        batch = pad([sequences[i] for i in group]).to(device)
        total += next_unit_loss(lm, batch, "sum").item()
        tokens += int((batch[:, 1:] != PAD).sum())
    lm.train()
    return math.exp(total / tokens)


def new_lm(n_units: int, dim: int, layers: int, heads: int, dropout: float, seed: int) -> UnitLM:
    """A unit LM as its training begins with it."""
    torch.manual_seed(seed)
    config = unit_lm.make_config(n_units, dim, layers, heads, 4 * dim, max_positions=2048, dropout=dropout)
    config.attention_dropout = 0.0  # costs much on a CPU and brings little
    lm = UnitLM(config)
    # Embeddings are scaled by sqrt(d): this start gives them unit variance.
    nn.init.normal_(lm.model.embed_tokens.weight, std=dim**-0.5)
    for layer in lm.model.layers:
        for linear in (layer.self_attn.out_proj, layer.fc2):
            linear.weight.data.mul_(1.4 / math.sqrt(2 * layers))
    return lm.train()


def asked_for(config: LMTraining, n_units: int) -> UnitLM:
    """A new unit LM of the sizes that were asked for."""
    return new_lm(n_units, config.dim, config.layers, config.heads, config.dropout, config.seed)


def grown(init_from: Path, config: LMTraining, n_units: int) -> tuple[UnitLM, LMTraining]:
    """The unit LM of --init-from, ready to be trained on, and the training with its sizes for those asked for."""
    source = unit_lm.load(init_from)
    found = source.config
    if found.vocab_size != n_units + UNIT_OFFSET:
        raise SpeechPromptError(
            f"{init_from.name} has {found.vocab_size - UNIT_OFFSET} units, --n-units says {n_units}."
        )
    if found.ffn_dim != 4 * found.d_model:
        raise SpeechPromptError(f"{init_from.name} is not four times as wide in its feed-forward layers.")
    config = replace(config, dim=found.d_model, layers=found.num_layers, heads=found.attention_heads)
    lm = asked_for(config, n_units)
    lm.load_state_dict(source.state_dict())
    return lm, config


def pretrain(
    units: Sequence[Path], out: Path, n_units: int, config: LMTraining, init_from: Path | None = None
) -> None:
    """All epochs that are left, the best one into `out`; SpeechPromptError for transcripts of no use.

    units: parquet files of transcripts. init_from: unit_lm folder to go on from, whose sizes it takes.
    """
    torch.set_num_threads(config.threads)
    train, valid = read_transcripts(units, "train"), read_transcripts(units, "valid")
    if not train or not valid:
        raise SpeechPromptError("The transcripts need a train and a valid split.")
    if max(map(max, train)) >= n_units + UNIT_OFFSET:
        raise SpeechPromptError(f"The transcripts hold units beyond --n-units {n_units}.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if init_from:
        lm, config = grown(init_from, config, n_units)
    else:
        lm = asked_for(config, n_units)
    lm.to(torch.device(device))  # type: ignore[arg-type]  # transformers' stub hides Module.to

    def loss_of(group: Sequence[int]) -> Tensor:
        return next_unit_loss(lm, pad([train[i] for i in group]).to(device))

    def judge() -> tuple[float, dict[str, float]]:
        found = perplexity(lm, valid)
        return found, {"valid_perplexity": round(found, 4)}

    def save() -> None:
        unit_lm.save(lm, out)

    started: dict[str, Any] = {"n_units": n_units}
    if init_from:
        started["init_from"] = lm_config.sha256(init_from)

    train_epochs(lm, "unit_lm", list(map(len, train)), loss_of, judge, save, config, started)


def train_epochs(
    lm: UnitLM,
    name: str,
    lengths: Sequence[int],
    loss_of: Callable[[Sequence[int]], Tensor],
    judge: Callable[[], tuple[float, dict[str, float]]],
    save: Callable[[], None],
    config: LMTraining,
    settings: dict[str, Any],
) -> None:
    """AdamW, one checkpoint and one line of the log per epoch, NAME.pt and NAME.jsonl in config.run.

    lengths: tokens of each sequence. loss_of: indices of a batch's sequences -> mean loss. judge: what is
    to become small on the valid split, and what the log says of it. save: called after each epoch that is
    the best so far. settings: what else than the config makes this run another one.
    """
    names = ("epochs", "tokens_per_batch", "lr", "dropout", "dim", "layers", "heads", "seed")
    settings = {option: getattr(config, option) for option in names} | {"n_train": len(lengths)} | settings
    per_epoch = len(batches_by_length(lengths, config.tokens_per_batch, random.Random(0)))
    total = per_epoch * config.epochs
    run = Run(
        name,
        config.run,
        settings,
        Schedule(total, min(150, total // 10 + 1), config.lr, floor=0.03),
        lm.parameters(),
        decayed_adamw(lm.parameters(), config.lr),
        {"model": lm},
        state={"epoch": 0, "best": math.inf},
    )

    def epochs() -> Iterator[list[list[int]]]:
        for epoch in range(run.state["epoch"], config.epochs):
            run.step = epoch * per_epoch  # epochs differ by a batch or so, which the schedule leaves out
            seed = config.seed * 1000 + epoch
            groups = batches_by_length(lengths, config.tokens_per_batch, random.Random(seed))
            torch.manual_seed(seed)
            yield groups

    def check(means: dict[str, float]) -> dict[str, Any]:
        found, figures = judge()
        run.state["epoch"] += 1
        if found < run.state["best"]:  # the folder always holds the best epoch so far
            run.state["best"] = found
            save()
        return {"epoch": run.state["epoch"], "train_loss": round(means["loss"], 4), **figures}

    with run:
        run.train(
            epochs(),
            lambda group: {"loss": loss_of(group)},
            check,
            report=lambda record: print(json.dumps(record), flush=True),
        )
