"""The papers' prompts become our folders and answer alike; what is foreign is refused."""

from __future__ import annotations

import json
import random

import pytest
import torch
from safetensors.torch import load_file
from tiny import make_lm

from speechprompt.commands.convert import prompt as command
from speechprompt.decoding.forward import Batch, forward_prompted
from speechprompt.decoding.prefix import Prefix
from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import prompt as prompts
from speechprompt.making.convert import verbalizer
from speechprompt.models import lm_config, unit_lm
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET
from tests.making.convert.checkpoints import (
    CHECKPOINTS,
    REFERENCE,
    run,
    saved,
    write_dict,
)

VARIANTS = ["deep5_linear", "deep5_freq", "input5_linear", "input5_freq"]
UNITS = [4, 9, 1, 50, 7, 99]
DEEP, VERBALIZER = "decoder.deep_{}_embed_prompts.{}.weight", "decoder.prompt_linear_verbalizer.weight"


def recorded(variant):
    return load_file(REFERENCE / f"{variant}.safetensors")


def convert_prompt(variant, lm_folder, out, **options):
    if variant.endswith("freq"):
        options.setdefault("units", UNITS)
    return prompts.convert(CHECKPOINTS / f"{variant}_prompt.pt", lm_folder, out, **options)


def refuses_prompt(path, lm_folder, out, match, **options):
    with pytest.raises(SpeechPromptError, match=match) as caught:
        prompts.convert(path, lm_folder, out, **options)
    assert str(path.parent) not in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


def answer_logits(lm, prompt, io):
    """The logits that the reference records at the separator: of the vocabulary or of its verbalizer."""
    batch = Batch(io["query.tokens"], io["query.lengths"])
    logits = forward_prompted(lm, batch, Prefix.of(lm, [prompt]))[:, 0]
    return logits if prompt.verbalizer_weight is None else logits @ prompt.verbalizer_weight.T


@pytest.mark.parametrize("variant", VARIANTS)
def test_prompts_are_the_recorded_ones_and_answer_alike(lm_folder, out, variant):
    convert_prompt(variant, lm_folder, out, task="words")
    prompt, io = Prompt.load(out), recorded(variant)
    for name, tensor in prompt.tensors().items():
        if name != "verbalizer.units":
            assert torch.equal(tensor, io[name]), name
    assert prompt.length == 5
    assert list(prompt.labels) == ["0", "1", "2", "3", "4", "5"]
    assert (prompt.task, prompt.backbone) == ("words", "gslm")
    assert prompt.unit_lm_sha256 == lm_config.sha256(lm_folder)
    if variant.endswith("freq"):
        assert prompt.verbalizer_units.tolist() == UNITS
    logits = answer_logits(unit_lm.load(lm_folder), prompt, io)
    torch.testing.assert_close(logits, io["query.logits"], atol=2e-5, rtol=0)


def deep(variant="deep5_linear"):
    return torch.load(CHECKPOINTS / f"{variant}_prompt.pt", weights_only=True)


@pytest.mark.parametrize("length", [1, 10])
def test_prompts_of_any_length(lm_folder, tmp_path, out, length):
    made = deep()
    for name, tensor in made["model"].items():
        if "embed_prompts" in name:
            made["model"][name] = torch.randn(length, tensor.shape[1])
    prompts.convert(saved(made, tmp_path), lm_folder, out)
    prompt = Prompt.load(out)
    for part, tensor in (("key", prompt.key_prompts), ("value", prompt.value_prompts)):
        assert torch.equal(tensor, torch.stack([made["model"][DEEP.format(part, i)] for i in range(3)]))


def test_prompt_command_with_names(lm_folder, tmp_path, capsys):
    names = tmp_path / "labels.txt"
    names.write_text("yes\nno\nup\ndown\nleft\nright\n")
    argv = [CHECKPOINTS / "deep5_linear_prompt.pt", "--unit-lm", lm_folder, tmp_path / "words"]
    run(command, *argv, "--title", "Six words", "--labels-file", names, "--backbone", "mine")
    assert (
        "6 labels, deep prompt of length 5, learned verbalizer, 2,032 parameters" in capsys.readouterr().out
    )
    prompt = Prompt.load(tmp_path / "words")
    assert (prompt.task, prompt.title, prompt.backbone) == ("words", "Six words", "mine")
    assert list(prompt.labels) == ["yes", "no", "up", "down", "left", "right"]
    run(command, *argv, "--answer", "sequence", "--max-steps", "9", "--labels", "a,b,c,d,e,f")
    prompt = Prompt.load(tmp_path / "words")
    assert (prompt.form.kind, prompt.form.max_steps, prompt.labels[5]) == ("sequence", 9, "f")
    run(command, *argv, "--answer", "slots", "--slots", "action=2,object=4")
    assert Prompt.load(tmp_path / "words").form.slots == {"action": 2, "object": 4}
    with pytest.raises(SpeechPromptError, match="--max-steps with --answer sequence"):
        run(command, *argv, "--answer", "sequence")


def test_verbalizer_json_names_units_and_classes(lm_folder, tmp_path, out):
    path = tmp_path / "verbalizer.json"
    path.write_text(json.dumps({"2": "7", "0": "4", "1": "99"}))
    mapping = verbalizer.read_verbalizer(path)
    prompt = convert_prompt("deep5_freq", lm_folder, out, mapping=mapping, units=None)
    assert (list(prompt.labels), prompt.verbalizer_units.tolist()) == (["0", "1", "2"], [4, 99, 7])
    named = {"mapping": mapping, "labels": ["yes", "no", "up"], "units": None}
    prompt = convert_prompt("deep5_freq", lm_folder, out, **named)
    assert (list(prompt.labels), prompt.verbalizer_units.tolist()) == (["yes", "no", "up"], [4, 99, 7])
    classes = {"five": 5, "nought": 0, "one": 1, "two": 2, "four": 4, "three": 3}
    prompt = convert_prompt("deep5_linear", lm_folder, out, mapping=classes)
    assert list(prompt.labels) == ["nought", "one", "two", "three", "four", "five"]
    for content in ({"a": "x"}, {"a": 1, "b": 1}, {}, {"a": -1}):
        path.write_text(json.dumps(content))
        with pytest.raises(SpeechPromptError, match="must map each label"):
            verbalizer.read_verbalizer(path)


@pytest.mark.parametrize(
    ("variant", "options", "match"),
    [
        ("deep5_freq", {}, "give its verbalizer.json"),
        ("deep5_freq", {"units": [1, 2, 3], "labels": ["a", "b"]}, "2 labels, but .* answers 3"),
        ("deep5_freq", {"units": [1, 2, 2]}, "must be different units"),
        ("deep5_freq", {"units": [1, 2, 100]}, "answers with unit 100"),
        ("deep5_freq", {"mapping": {"a": 1, "b": 2}, "labels": ["a", "c"]}, "not those of the verbalizer"),
        ("deep5_linear", {"units": UNITS}, "leave it out"),
        ("deep5_linear", {"labels": ["a", "b"]}, "2 labels, but .* answers 6"),
        ("deep5_linear", {"labels": list("aabcde")}, "'a' is there twice"),
        ("deep5_linear", {"mapping": {"a": 0, "b": 1}}, "the classes 0 to 5"),
        ("deep5_linear", {"task": "Big Words"}, "task must be 1 to 64"),
        ("base_lm", {}, "is no prompt checkpoint"),
    ],
)
def test_prompt_options_that_do_not_fit(lm_folder, out, variant, options, match):
    path = CHECKPOINTS / (f"{variant}.pt" if variant == "base_lm" else f"{variant}_prompt.pt")
    refuses_prompt(path, lm_folder, out, match, **options)


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"d_model": 16}, "has the width 32, but the unit LM has 16"),
        ({"n_layers": 2}, "has the number of layers 3, but the unit LM has 2"),
        ({"n_units": 50}, "has the vocabulary 104, but the unit LM has 54"),
    ],
)
def test_prompt_of_another_base(tmp_path, out, facts, match):
    unit_lm.save(make_lm(**{"n_units": 100, "d_model": 32, "n_layers": 3, **facts}), tmp_path / "lm")
    refuses_prompt(CHECKPOINTS / "deep5_linear_prompt.pt", tmp_path / "lm", out, match)


@pytest.mark.parametrize(
    ("name", "tensor", "match"),
    [
        (DEEP.format("key", 1), None, "lacks the tensor 'decoder.deep_key_embed_prompts.1.weight'"),
        (DEEP.format("value", 2), torch.ones(6, 32), r"has the shape \[6, 32\], expected \[5, 32\]"),
        ("decoder.sep_embed.weight", torch.full((1, 32), torch.inf), "not finite"),
        ("decoder.sep_embed.weight", None, "lacks the tensor 'decoder.sep_embed.weight'"),
        ("decoder.infix_embed_prompts.weight", torch.ones(5, 32), "infix_embed_prompts"),
        (
            "decoder.layers.0.fc1.weight",
            torch.ones(64, 32),
            "unexpected tensor 'decoder.layers.0.fc1.weight'",
        ),
        (VERBALIZER, torch.ones(3, 104), r"has the shape \[3, 104\]"),
    ],
)
def test_every_prompt_tensor_is_accounted_for(lm_folder, tmp_path, out, name, tensor, match):
    made = deep()
    made["model"].pop(name, None)
    if tensor is not None:
        made["model"][name] = tensor
    refuses_prompt(saved(made, tmp_path), lm_folder, out, match)


def test_prompt_of_a_model_whose_dictionary_has_another_order(lm_folder, tmp_path, out):
    draw = random.Random(1)
    symbols = [*draw.sample(range(6), 6), *draw.sample(range(6, 100), 94)]
    order = torch.tensor([0, 1, 2, 3, *(symbol + UNIT_OFFSET for symbol in symbols)])
    made = deep()
    # Column i reads symbol i of the dictionary, and row i is the class whose number is symbol i.
    made["model"][VERBALIZER] = made["model"][VERBALIZER][order[:10]][:, order]
    path, dictionary = saved(made, tmp_path), write_dict(tmp_path, symbols)
    prompts.convert(path, lm_folder, out, dictionary=dictionary)
    assert torch.equal(Prompt.load(out).verbalizer_weight, recorded("deep5_linear")["verbalizer.weight"])
    other = tmp_path / "refused" / "out"
    for wrong, match in [
        ([*range(99, -1, -1)], "classes would lie outside"),
        ([*range(99)], "the dictionary has 103"),
        ([*range(100), "madeupword0000"], "only pad the dictionary"),
    ]:
        refuses_prompt(path, lm_folder, other, match, dictionary=write_dict(tmp_path, wrong))
