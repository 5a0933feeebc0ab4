"""Causal LMs of transformers as unit LMs: prompted as their own forward is, tuned, asked and taught like ours."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    OPTConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from speechprompt import SpeechPrompt, SpeechPromptError
from speechprompt.backbone import Backbone
from speechprompt.decoding.forward import forward_prompted, to_batch
from speechprompt.decoding.generation import PromptedLM
from speechprompt.decoding.prefix import Prefix
from speechprompt.making.convert.causal_lm import convert
from speechprompt.models import causal_lm
from speechprompt.models.causal_config import CausalConfig, UnitTokens
from speechprompt.models.lm_config import read_config, sha256
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import write_json
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.fine_tuning import check_place
from speechprompt.tuning.loop import tune
from speechprompt.ui.comparison import compare
from speechprompt.units import UNIT_OFFSET
from tests import tiny

N = tiny.N_UNITS
OFFSET, START, END, TOKENS = 7, 1, 2, 40
UTTERANCES = [[1, 5, 3, 7, 2], [9, 4, 8]]
usual = {"vocab_size": TOKENS, "bos_token_id": START, "eos_token_id": END, "pad_token_id": 0}
sized = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
} | usual
KINDS: dict[str, PretrainedConfig] = {
    "opt": OPTConfig(ffn_dim=32, word_embed_proj_dim=16, **sized),
    "opt-350m": OPTConfig(
        ffn_dim=32, word_embed_proj_dim=8, **sized
    ),  # whose embeddings are narrower than its layers
    "qwen2": Qwen2Config(intermediate_size=32, num_key_value_heads=2, **sized),
    "qwen3": Qwen3Config(intermediate_size=32, num_key_value_heads=2, head_dim=8, **sized),
    "llama": LlamaConfig(intermediate_size=32, num_key_value_heads=2, **sized),
    "gpt2": GPT2Config(n_embd=16, n_layer=2, n_head=4, n_positions=128, **usual),
}


def write(folder: Path, config: PretrainedConfig) -> Path:
    """A random LM, as far from its initial values as tiny.make_lm is."""
    tiny.randomise(AutoModelForCausalLM.from_config(config), seed=0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A backbone of which the unit LM is one of transformers', written by it and converted."""
    root = tmp_path_factory.mktemp(request.param)
    folder = tiny.make_backbone(root)
    source = write(root / "theirs", KINDS[request.param])
    for path in (folder / "unit_lm").iterdir():
        path.unlink()
    (folder / "unit_lm").rmdir()
    convert(source, folder / "unit_lm", N, OFFSET, None, None, None)
    for path in (root / "prompts").rglob("*"):
        if path.is_file():
            path.unlink()
    return Backbone(folder)


def make(backbone: Backbone, deep: bool = True, length: int = 3, **facts: object) -> Prompt:
    config = backbone.lm_config
    generator = torch.Generator().manual_seed(length)
    prompt = tiny.make_prompt("colours", lm=backbone.lm, sha256=backbone.unit_lm_sha256, length=length,
                              deep=False, positions="after_prompt", **facts)  # fmt: skip
    if not deep:
        return prompt
    keys, values = (
        torch.randn(config.num_layers, length, config.past_width, generator=generator) for _ in range(2)
    )
    return replace(prompt, input_prompts=None, key_prompts=keys, value_prompts=values, projected=True)


@torch.inference_mode()
def theirs(backbone: Backbone, prompt: Prompt, utterance: list[int]) -> Tensor:
    """The model's own forward behind a DynamicCache, or behind input embeddings: logits [T, tokens]."""
    lm = AutoModelForCausalLM.from_pretrained(backbone.folder / "unit_lm").eval()
    config = backbone.lm_config
    tokens = torch.tensor([[START, *(OFFSET + unit for unit in utterance)]])
    embedded = torch.cat([lm.get_input_embeddings()(tokens), prompt.separator[None, None]], 1)
    cache, before = None, 0
    if prompt.key_prompts is not None and prompt.value_prompts is not None:

        def shaped(prompts: Tensor) -> Tensor:
            return prompts.view(prompt.length, config.past_heads, config.head_width).transpose(0, 1)[None]

        cache = DynamicCache(
            [(shaped(k), shaped(v)) for k, v in zip(prompt.key_prompts, prompt.value_prompts, strict=True)]
        )
    else:
        assert prompt.input_prompts is not None
        embedded, before = torch.cat([prompt.input_prompts[None], embedded], 1), prompt.length
    return lm(inputs_embeds=embedded, past_key_values=cache).logits[0, before:]


@pytest.mark.parametrize("deep", [True, False])
def test_prompted_as_their_own_forward(backbone: Backbone, deep: bool) -> None:
    prompts = [make(backbone, deep, length) for length in (3, 5)]
    lm = backbone.lm
    with torch.inference_mode():
        found = forward_prompted(lm, to_batch(lm, UTTERANCES), Prefix.of(lm, prompts))[:, 0]
    for row, prompt, utterance in zip(found, prompts, UTTERANCES, strict=True):
        expected = theirs(backbone, prompt, utterance)[-1]
        assert (row[UNIT_OFFSET:] - expected[OFFSET : OFFSET + N]).abs().max() < 1e-5
        assert (row[2] - expected[END]).abs() < 1e-5  # what ends an answer


def test_answers_of_several_labels_go_on_from_the_cache(backbone: Backbone) -> None:
    """Step by step from the cache as all at once, rows of several prompts and lengths together."""
    prompt = make(backbone, verbalizer="fixed", kind="sequence", max_steps=4, beams=1)
    other = replace(make(backbone, length=5, verbalizer="fixed", kind="sequence", max_steps=4), task="other")
    lm = backbone.lm
    rows = PromptedLM(lm, [prompt, other]).answer(UTTERANCES)
    for utterance, row in zip(UTTERANCES, rows, strict=True):
        for one, raw in zip((prompt, other), row, strict=True):
            fed = [UNIT_OFFSET + one.label_units[label][0] for label in raw.labels]
            steps = len(raw.probabilities)
            batch = to_batch(lm, [utterance], None, [fed])
            at = torch.arange(len(utterance) + 1, len(utterance) + 1 + steps)[None]
            with torch.inference_mode():
                expected = forward_prompted(lm, batch, Prefix.of(lm, [one]), at)[0]
            assert (torch.from_numpy(raw.vocabulary_logits) - expected).abs().max() < 1e-4


def toy(n: int, seed: int) -> list[tuple[list[int], tuple[int, ...]]]:
    """Which of units 3 and 11 is in the utterance."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(n):
        ids = torch.randint(12, N, (6,), generator=generator).tolist()
        ids[int(torch.randint(6, (1,), generator=generator))] = (3, 11)[i % 2]
        found.append((ids, (i % 2,)))
    return found


@cache
def accuracy_of_xglm(config: TuneConfig) -> float:
    return tune(tiny.make_lm(), toy(1000, 0), toy(40, 1), AnswerForm(("low", "high")), config)[1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("backbone", "verbalizer"),
    [*((kind, "learned") for kind in KINDS), ("qwen2", "expected")],
    indirect=["backbone"],
)
def test_a_toy_task_is_learnt_as_well_as_by_xglm(backbone: Backbone, verbalizer: Any) -> None:
    """Within one of the 40 utterances."""
    config = TuneConfig(
        prompt_length=4, steps=500, check_every=125, lr=0.1, tokens_per_batch=1024, verbalizer=verbalizer
    )
    _, found = tune(backbone.lm, toy(1000, 0), toy(40, 1), AnswerForm(("low", "high")), config)
    assert found >= 0.9 and found >= accuracy_of_xglm(config) - 1.01 / 40


def test_it_is_asked_compared_and_taught_like_ours(backbone: Backbone) -> None:
    sp = SpeechPrompt(backbone, [make(backbone)])
    a, b = tiny.make_waveform(seed=0), tiny.make_word()
    sp.backbone.check_fits(sp.prompt("colours"))
    (answer,) = sp.classify(tiny.make_waveform(), ["colours"])
    (row,) = compare(tiny.make_waveform(), [(sp, "colours")])
    assert (
        row.answer is not None
        and row.answer.label == answer.label
        and answer.steps[0].contributions is not None
    )
    taught = sp.teach("Sounds", {"noise": [a] * 3, "word": [b] * 3})  # type: ignore[attr-defined]
    assert sp.classify_units([sp.units(b)], [taught.prompt.task])[0][0].label == "word"


def test_xglm_gives_the_same_by_its_own_layers_and_by_these() -> None:
    """Our layers are the faster path for XGLM, and the numbers are those of transformers' forward."""
    ours = tiny.make_lm()
    units = UnitTokens(start=2, end=2, offset=UNIT_OFFSET, n_units=N)
    config = CausalConfig(
        model_type="xglm",
        units=units,
        n_tokens=N + UNIT_OFFSET,
        d_model=tiny.WIDTH,
        num_layers=tiny.LAYERS,
        past_heads=tiny.HEADS,
        head_width=tiny.WIDTH // tiny.HEADS,
    )
    generic = causal_lm.CausalUnitLM(ours, config)
    prompts = [tiny.make_prompt(length=n, positions="after_prompt", projected=True) for n in (2, 4)]
    with torch.inference_mode():
        one = forward_prompted(ours, to_batch(ours, UTTERANCES), Prefix.of(ours, prompts))
        scaled = [replace(p, separator=p.separator * ours.embed_scale) for p in prompts]
        lm: Any = generic
        other = forward_prompted(lm, to_batch(lm, UTTERANCES), Prefix.of(lm, scaled))
    assert (one - other)[..., UNIT_OFFSET:].abs().max() < 1e-4 * one.abs().max()


def test_what_does_not_fit_is_one_sentence(backbone: Backbone, tmp_path: Path) -> None:
    config = backbone.lm_config
    deep = tiny.make_prompt(lm=backbone.lm, sha256=backbone.unit_lm_sha256)
    with pytest.raises(SpeechPromptError, match="needs layers that project it"):
        backbone.check_fits(deep)
    with pytest.raises(SpeechPromptError, match="tune it with --positions after_prompt"):
        backbone.check_fits(replace(make(backbone, False), positions="row"))
    with pytest.raises(SpeechPromptError, match="tune with --positions after_prompt"):
        tune(backbone.lm, toy(4, 0), toy(4, 1), AnswerForm(("low", "high")), TuneConfig(input_prompts=True))
    assert isinstance(config, CausalConfig)
    if config.max_positions is not None:
        with pytest.raises(SpeechPromptError, match="128 positions of this unit LM"):
            SpeechPrompt(backbone, [make(backbone)]).classify_units([[1, 2] * 100], ["colours"])


def test_lms_that_cannot_serve(tmp_path: Path) -> None:
    mamba = MambaConfig(hidden_size=16, num_hidden_layers=1, vocab_size=TOKENS)
    mamba.save_pretrained(tmp_path / "mamba")
    with pytest.raises(
        SpeechPromptError, match=r"model_type 'mamba'; LMs whose keys and values .* are read: xglm, opt"
    ):
        read_config(tmp_path / "mamba")
    source = write(tmp_path / "gpt2", KINDS["gpt2"])
    settings = json.loads((source / "config.json").read_text())
    for change, units, message in (
        ({}, {"offset": 30, "n_units": 20}, "a token beyond the 40"),
        ({}, {"offset": 1}, "either offset and n_units, or tokens"),
        ({}, {"tokens": [3, 3]}, "two or more different"),
        ({"n_head": 3}, {"offset": 7, "n_units": 20}, "as whole numbers"),
        ({"quantization_config": {}}, {"offset": 7, "n_units": 20}, "quantised"),
        ({"n_embd": 32}, {"offset": 7, "n_units": 20}, "does not hold the gpt2|mismatched keys"),
        ({"n_layer": 3}, {"offset": 7, "n_units": 20}, "missing keys"),
    ):
        write_json(source / "config.json", settings | change)
        write_json(source / "units.json", {"format_version": 1, "start": 1, "end": 2} | units)
        with pytest.raises(SpeechPromptError, match=message):
            causal_lm.load(source)
    write_json(source / "config.json", settings | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}})
    (source / "evil.py").write_text("raise SystemExit('ran')")
    write_json(source / "units.json", {"format_version": 1, "start": 1, "end": 2, "offset": 7, "n_units": 20})
    assert causal_lm.load(source).config.vocab_size == 24  # and nothing of it ran
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(SpeechPromptError, match="model.safetensors is missing"):
        causal_lm.load(source)


def test_units_by_the_tokenizers_spelling(tmp_path: Path) -> None:
    source = write(tmp_path / "theirs", KINDS["llama"])
    words = {f"<Un{unit}>": 39 - unit for unit in range(N)} | {"<s>": 1}
    write_json(source / "tokenizer.json", {"model": {"vocab": words}, "added_tokens": []})
    convert(source, tmp_path / "lm", N, None, "<Un{}>", None, None)
    assert causal_lm.load(tmp_path / "lm").config.units.ids == tuple(39 - unit for unit in range(N))
    assert sha256(tmp_path / "lm") == sha256(source)
    for pattern, message in (("<Un>", "must hold {} once"), ("<U{}>", "no token '<U0>'")):
        with pytest.raises(SpeechPromptError, match=message):
            convert(source, tmp_path / "other", N, None, pattern, None, None)
    assert not (tmp_path / "other").exists()


def test_its_weights_are_not_fine_tuned_here(tmp_path: Path) -> None:
    backbone = SimpleNamespace(name="mine", lm_config=CausalConfig)
    with pytest.raises(
        SpeechPromptError, match="--fine-tune: the unit LM of backbone mine is one of transformers'"
    ):
        check_place(tmp_path / "tuned", backbone)  # type: ignore[arg-type]
