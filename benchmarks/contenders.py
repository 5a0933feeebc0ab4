"""What the speed of SpeechPrompt is measured against, built offline: random weights of the true sizes.

Each is a function without arguments that does the work once. Only the time counts, except where answers
are compared.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache

from speechprompt.audio import load as audio
from speechprompt.backbone import Backbone
from speechprompt.decoding.forward import to_batch
from speechprompt.decoding.generation import PromptedLM
from speechprompt.decoding.prefix import past
from speechprompt.models import unit_lm
from speechprompt.models.hubert import HubertEncoder, HubertSizes
from speechprompt.models.quantizer import Quantizer
from speechprompt.models.unit_lm import UnitLM
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import fast_copy
from speechprompt.tuning.optimizer import PromptOptimizer
from speechprompt.tuning.trainable import TrainablePrompt
from speechprompt.units import UNIT_OFFSET, Units

ROOT = Path(__file__).parent.parent
RATE = audio.SAMPLE_RATE
UNITS_PER_SECOND = 28  # of speech in HuBERT-100 units, for encoders whose random weights hear none
GSLM = {"n_units": 100, "d_model": 1024, "n_layers": 12, "n_heads": 16, "ffn_dim": 4096}
Work = Callable[[], object]


@dataclass
class Ours:
    """A backbone and ten copies of a prompt; encoder None takes units as given."""

    name: str
    lm: UnitLM
    prompted: PromptedLM
    encoder: Quantizer
    true_weights: bool

    def units(self, clips: Sequence[np.ndarray]) -> list[Units]:
        """Through the encoder always; where its weights are random, as many units as speech has."""
        found = self.encoder.batch(clips)
        return found if self.true_weights else [made_units(len(clip) / RATE) for clip in clips]

    def answer(self, clips: Sequence[np.ndarray], n_tasks: int) -> Work:
        return lambda: self.prompted.answer(self.units(clips), self.prompted.prompts[:n_tasks])


def made_units(seconds: float, seed: int = 0) -> Units:
    ids = np.random.default_rng(seed).integers(0, 99, max(1, round(seconds * UNITS_PER_SECOND)))
    return Units.from_frames(ids)


def ours(name: str, n_tasks: int, dtype: torch.dtype, device: str) -> Ours:
    """mini as it is; hubert-mini with a random HuBERT of the true size; gslm random throughout."""
    if name == "mini":
        backbone = Backbone.load("mini", device, dtype)
        lm, prompt, encoder = backbone.lm, backbone.prompt("keyword_spotting"), backbone.encoder
    else:
        torch.manual_seed(0)
        if name == "gslm":
            lm = UnitLM(unit_lm.make_config(**GSLM)).requires_grad_(False).eval().to(device, dtype)
            prompt = random_prompt(lm, ("yes", "no"))
        else:
            backbone = Backbone.load(name, device, dtype)
            lm, prompt = backbone.lm, backbone.prompt("keyword_spotting")
        encoder = HubertEncoder(HubertSizes(), 100).to(device).run_in(dtype)
        encoder.centroids.normal_()
    copies = [replace(prompt, task=f"copy_{i}") for i in range(n_tasks)]
    return Ours(name, lm, PromptedLM(lm, copies), encoder, name == "mini")


def random_prompt(lm: UnitLM, labels: tuple[str, ...], length: int = 20) -> Prompt:
    shape = (lm.config.num_layers, length, lm.config.d_model)
    return Prompt(
        task="random",
        title="Random",
        form=AnswerForm(labels),
        backbone="gslm",
        unit_lm_sha256="0" * 64,
        separator=torch.randn(lm.config.d_model) / 32,
        key_prompts=torch.randn(shape),
        value_prompts=torch.randn(shape),
        verbalizer_weight=torch.randn(len(labels) + UNIT_OFFSET, lm.config.vocab_size) / 32,
    )


def clip(seconds: float) -> np.ndarray:
    """A bundled recording over and over, float32 [T] at 16 kHz."""
    word = audio.load(ROOT / "examples" / "yes.flac")
    return np.resize(word, int(seconds * RATE))


def hubert_pipelines(clips: Sequence[np.ndarray], n_tasks: int, device: str, dtype: torch.dtype) -> Work:
    """A fine-tuned HuBERT-base for each task. One model stands for all of them, which spares it their memory."""
    from transformers import (
        HubertConfig,
        HubertForSequenceClassification,
        Wav2Vec2FeatureExtractor,
        pipeline,
    )

    torch.manual_seed(0)
    model = HubertForSequenceClassification(HubertConfig(num_labels=12)).eval()
    classify = pipeline(
        "audio-classification",
        model=model.to(dtype),
        feature_extractor=Wav2Vec2FeatureExtractor(),
        device=device,
        dtype=dtype,
    )

    def work() -> None:
        for _ in range(n_tasks):
            for samples in clips:
                classify({"raw": samples, "sampling_rate": RATE})

    return work


@torch.inference_mode()
def reference_answer(lm: UnitLM, prompt: Prompt, fed: torch.Tensor, ids: Sequence[int]) -> list[int]:
    """As the papers' code answers: a batch of one, and for every label a whole pass, prompts and all.

    transformers' own forward pass, no cache kept, logits of every place; the labels answered.
    """
    answered: list[int] = []
    tokens = to_batch(lm, [ids]).tokens
    while len(answered) < prompt.form.n_steps:
        embedded = lm.model.embed_tokens(tokens)
        embedded[:, -1] = prompt.separator.to(lm.device) * lm.embed_scale
        embedded = torch.cat([embedded, *(fed[label][None, None].to(lm.dtype) for label in answered)], 1)
        length, n_keys = embedded.shape[1], prompt.length
        cache = DynamicCache()
        keys, values = past(lm, prompt.key_prompts.to(lm.device), prompt.value_prompts.to(lm.device), False)
        for i, (key, value) in enumerate(zip(keys, values, strict=True)):
            cache.update(key, value, i)
        allowed = torch.ones(length, n_keys + length, dtype=torch.bool, device=lm.device).tril(n_keys)
        bias = torch.zeros(allowed.shape, device=lm.device).masked_fill_(~allowed, torch.finfo(lm.dtype).min)
        hidden = lm.model(
            inputs_embeds=embedded,
            attention_mask=bias[None, None].to(lm.dtype),
            position_ids=torch.arange(length, device=lm.device)[None],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = (lm.lm_head(hidden).float() @ prompt.verbalizer_weight.to(lm.device).T)[0, -1, UNIT_OFFSET:]
        _, first, end = prompt.form.span(len(answered))
        answered.append(first + int(logits[first:end].argmax()))
    return answered


def train_batch(n: int, length: int) -> tuple[list[list[int]], list[tuple[int]]]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 99, (n, length)).tolist(), [(int(label),) for label in rng.integers(0, 12, n)]


def prompt_tuning(lm: UnitLM, n: int, length: int) -> Work:
    """One step of our tuning, with the copy of the LM that tuning uses."""
    utterances, answers = train_batch(n, length)
    frozen = fast_copy(lm)
    prompt = TrainablePrompt(frozen, TuneConfig(), None, AnswerForm(tuple(map(str, range(12)))))
    optimizer = PromptOptimizer(prompt)

    def work() -> None:
        loss = prompt.loss(prompt(frozen, utterances, answers), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def causal_step(model: torch.nn.Module, lm: UnitLM, n: int, length: int) -> Work:
    """One step of whatever is trainable in the model, which is the LM or wraps it, the answer after the units."""
    utterances, answers = train_batch(n, length)
    tokens, device = to_batch(lm, utterances).tokens, lm.device
    targets = torch.tensor([label[0] + UNIT_OFFSET for label in answers], device=device)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])

    def work() -> None:
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
        loss = torch.nn.functional.cross_entropy(logits[:, -1].float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def full_fine_tuning(lm: UnitLM, n: int, length: int, dtype: torch.dtype) -> Work:
    return causal_step(copy.deepcopy(lm).to(dtype).requires_grad_(True), lm, n, length)


def peft_model(lm: UnitLM, dtype: torch.dtype) -> torch.nn.Module:
    """The LM with peft's prefix tuning of as many vectors as ours; ImportError where peft is not installed."""
    from peft import PrefixTuningConfig, TaskType, get_peft_model

    config = PrefixTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=20,
        num_layers=lm.config.num_layers,
        token_dim=lm.config.d_model,
        num_attention_heads=lm.config.attention_heads,
    )
    return get_peft_model(copy.deepcopy(lm).to(dtype), config)


def gemm_rate(rows: int, width: int, ffn: int, device: str, dtype: torch.dtype) -> float:
    """FLOP/s of the machine's best product [rows, width] x [width, ffn], as the models ask for."""
    from speechprompt.models.packing import packed

    linear = torch.nn.Linear(width, ffn).to(device, dtype).requires_grad_(False)
    best, layers = 0.0, {id(layer): layer for layer in (linear, packed(linear))}
    given = torch.randn(rows, width, device=device, dtype=dtype)
    with torch.inference_mode():
        for layer in layers.values():
            for _ in range(30):
                began = time.perf_counter()
                layer(given)
                if device != "cpu":
                    torch.cuda.synchronize()
                best = max(best, 2 * rows * width * ffn / (time.perf_counter() - began))
    return best


def bandwidth(device: str, megabytes: int = 256) -> float:
    """Bytes that memory gives per second, summed over a tensor too big for any cache."""
    numbers = torch.ones(megabytes << 18, device=device)
    best = 0.0
    for _ in range(4):
        began = time.perf_counter()
        numbers.sum().item()
        best = max(best, numbers.numel() * 4 / (time.perf_counter() - began))
    return best
