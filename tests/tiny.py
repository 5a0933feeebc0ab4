"""Tiny real models for tests: a unit LM, prompts and whole backbones made in milliseconds, seeded."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from speechprompt.models import lm_config, prosody_lm, unit_lm
from speechprompt.models.encoder import UnitEncoder
from speechprompt.models.encoder_config import EncoderConfig
from speechprompt.models.prosody_lm import ProsodyLM
from speechprompt.models.streams import ProsodyConfig
from speechprompt.models.unit_lm import UnitLM
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import write_json
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.units import UNIT_OFFSET

N_UNITS, WIDTH, LAYERS, HEADS, FFN = 20, 16, 2, 2, 32
NO_SHA256 = "0" * 64
LM = TypeVar("LM", bound=torch.nn.Module)


def make_lm(n_units: int = N_UNITS, d_model: int = WIDTH, n_layers: int = LAYERS, seed: int = 0) -> UnitLM:
    """A random unit LM, frozen."""
    config = unit_lm.make_config(n_units, d_model, n_layers, HEADS, FFN, max_positions=64)
    return randomise(UnitLM(config), seed)


def make_prosody_lm(seed: int = 0) -> ProsodyLM:
    """A random prosody LM, frozen; F0 in bins from an octave below the mean to one above."""
    prosody = ProsodyConfig(f0_edges=np.linspace(-0.7, 0.7, 31, dtype=np.float32))
    return randomise(prosody_lm.make(N_UNITS, WIDTH, LAYERS, HEADS, FFN, prosody), seed)


def randomise(lm: LM, seed: int) -> LM:
    """Biases and norms too are off their initial values, as a trained model's are."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in lm.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator) * 0.3
        norm = "norm" in name or ".ln_" in name  # the latter are GPT-2's
        parameter.data = 1 + noise if norm and name.endswith("weight") else noise
    return lm.requires_grad_(False).eval()


def make_prompt(
    task: str = "colours",
    labels: tuple[str, ...] = ("red", "green", "blue"),
    length: int = 3,
    deep: bool = True,
    verbalizer: str = "learned",
    sha256: str = NO_SHA256,
    lm: UnitLM | None = None,
    seed: int = 0,
    with_label_embeddings: bool = False,
    **facts: Any,
) -> Prompt:
    """A random prompt that fits make_lm() (or the given lm); `facts` are further fields of Prompt or of its form."""
    of_form = {f.name: facts.pop(f.name) for f in fields(AnswerForm) if f.name in facts}
    generator = torch.Generator().manual_seed(seed)
    d, n_layers = (lm.config.d_model, lm.config.num_layers) if lm else (WIDTH, LAYERS)
    vocab_size = lm.config.vocab_size if lm else N_UNITS + UNIT_OFFSET

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    tensors: dict[str, torch.Tensor] = {"separator": random(d)}
    if deep:
        tensors |= {"key_prompts": random(n_layers, length, d), "value_prompts": random(n_layers, length, d)}
    else:
        tensors["input_prompts"] = random(length, d)
    if with_label_embeddings:
        tensors["label_embeddings"] = random(len(labels), d) * 0.3
    if verbalizer == "learned":
        tensors["verbalizer_weight"] = random(len(labels) + UNIT_OFFSET, vocab_size) * 0.1
    else:
        units = torch.randperm(vocab_size - UNIT_OFFSET, generator=generator)
        tensors["verbalizer_units"] = units[: len(labels)]
    facts = {"title": task.title(), "backbone": "tiny", "licence": "CC0-1.0", "data": "random"} | facts
    form = AnswerForm(labels, **of_form)
    return Prompt(task=task, form=form, unit_lm_sha256=sha256, **facts, **tensors)


def make_word(seconds: float = 0.6, before: float = 0.5, after: float = 0.4, room: float = 0.0) -> np.ndarray:
    """A tone that beats like speech, with silence around it and a hum of the room throughout."""
    t = np.arange(int(16_000 * seconds)) / 16_000
    voice = 0.3 * np.sin(2 * np.pi * 300 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    clip = np.pad(voice, (int(16_000 * before), int(16_000 * after)))
    return (clip + room * np.sin(2 * np.pi * 6000 * np.arange(len(clip)) / 16_000)).astype(np.float32)


def make_waveform(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """float32 [T] at 16 kHz: a gliding tone in noise, in which tiny encoders hear many units."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.3 * np.sin(2 * np.pi * (200 + 900 * t) * t) + 0.05 * noise).astype(np.float32)


def make_encoder(n_units: int = N_UNITS, seed: int = 0) -> UnitEncoder:
    """A random encoder whose centroids are frames of make_waveform()."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = UnitEncoder(EncoderConfig(n_mels=20, dim=16, n_layers=1, n_heads=2, ffn_dim=32), n_units)
    encoder.requires_grad_(False).eval()
    (frames,) = encoder.features([make_waveform()])
    encoder.centroids.copy_(frames[:: len(frames) // n_units][:n_units])
    return encoder


def make_backbone(
    root: Path, name: str = "tiny", prompts: tuple[Prompt, ...] = (), encoder: bool = True
) -> Path:
    """Write root/backbones/<name> and root/prompts/<name>/<task>; returns the backbone's folder.

    The prompts are re-tied to the LM that is written. Without `prompts`, two tasks are made: colours
    (learned verbalizer) and fruit (fixed; its label "nothing" is for silence).
    """
    folder = root / "backbones" / name
    unit_lm.save(make_lm(), folder / "unit_lm")
    if encoder:
        make_encoder().save(folder / "encoder")
    info = {"format_version": 1, "name": name, "title": name.title(), "n_units": N_UNITS, "frame_rate": 50}
    info |= {"description": "Random numbers for tests.", "licence": "CC0-1.0"}
    write_json(folder / "backbone.json", info | {"encoder": "bundled" if encoder else "hubert-base"})
    if not prompts:
        fruit = ("apple", "pear", "plum", "nothing")
        prompts = (
            make_prompt(),
            make_prompt("fruit", fruit, 2, verbalizer="fixed", seed=1, silence_label="nothing"),
        )
    for prompt in prompts:
        prompt = replace(prompt, unit_lm_sha256=lm_config.sha256(folder / "unit_lm"))
        prompt.save(root / "prompts" / name / prompt.task)
    return folder
