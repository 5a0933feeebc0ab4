"""The papers' files become our folders, to the bit; what is hostile, broken or foreign is refused unrun."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_lm

from speechprompt.decoding.forward import Batch, forward_prompted
from speechprompt.decoding.prefix import Prefix
from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint, kmeans, verbalizer
from speechprompt.making.convert import prompt as prompts
from speechprompt.making.convert import unit_lm as unit_lms
from speechprompt.models import lm_config, unit_lm
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET

FIXTURES = Path(__file__).parents[1] / "fixtures"
CHECKPOINTS, REFERENCE = FIXTURES / "checkpoints", FIXTURES / "reference"
VARIANTS = ["deep5_linear", "deep5_freq", "input5_linear", "input5_freq"]
UNITS = [4, 9, 1, 50, 7, 99]
DEEP, VERBALIZER = "decoder.deep_{}_embed_prompts.{}.weight", "decoder.prompt_linear_verbalizer.weight"


@pytest.fixture(scope="session")
def lm_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "gslm" / "unit_lm"
    unit_lms.convert(CHECKPOINTS / "base_lm.pt", CHECKPOINTS / "dict.txt", folder)
    return folder


@pytest.fixture
def base():
    return torch.load(CHECKPOINTS / "base_lm.pt", weights_only=True)


@pytest.fixture
def out(tmp_path):
    """A folder that is not there; a refused conversion must leave nothing beside it either."""
    return tmp_path / "made" / "out"


def saved(content, tmp_path, **options):
    torch.save(content, tmp_path / "checkpoint.pt", **options)
    return tmp_path / "checkpoint.pt"


def write_dict(tmp_path, symbols):
    (tmp_path / "dict.txt").write_text("".join(f"{symbol} 1\n" for symbol in symbols))
    return tmp_path / "dict.txt"


def run(module, *argv):
    parser = argparse.ArgumentParser(description=module.__doc__)
    module.add_arguments(parser)
    module.run(parser.parse_args([str(argument) for argument in argv]))


def same_weights(folder, other):
    ours, theirs = (load_file(f / "model.safetensors") for f in (folder, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name].float(), theirs[name].float()) for name in ours)


def refuses_lm(path, out, match, dictionary=CHECKPOINTS / "dict.txt"):
    with pytest.raises(SpeechPromptError, match=match) as caught:
        unit_lms.convert(path, dictionary, out)
    assert str(path.parent) not in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


# ---- unit LM


def test_unit_lm_is_the_reference_one_to_the_bit(lm_folder):
    same_weights(lm_folder, REFERENCE / "unit_lm")
    assert lm_config.read_config(lm_folder).max_position_embeddings == 3072
    io = load_file(REFERENCE / "base_lm.safetensors")
    logits = unit_lm.load(lm_folder)(input_ids=io["tokens"]).logits
    for row, length in enumerate(io["lengths"].tolist()):
        torch.testing.assert_close(logits[row, :length], io["logits"][row, :length], atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_unit_lm_command(tmp_path, capsys, dtype):
    argv = [CHECKPOINTS / "base_lm.pt", "--dict", CHECKPOINTS / "dict.txt", tmp_path / "lm", "--dtype", dtype]
    run(unit_lms, *argv)
    assert "100 units, 3 layers of width 32" in capsys.readouterr().out
    stored = load_file(tmp_path / "lm" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {getattr(torch, dtype)}
    assert json.loads((tmp_path / "lm" / "config.json").read_text())["dtype"] == dtype
    assert unit_lm.load(tmp_path / "lm").dtype == torch.float32


def test_half_precision_checkpoint_keeps_every_value(base, tmp_path, out):
    base["model"] = {name: tensor.half() for name, tensor in base["model"].items()}
    unit_lms.convert(saved(base, tmp_path), CHECKPOINTS / "dict.txt", out)
    stored = load_file(out / "model.safetensors")
    for name, tensor in stored.items():
        assert torch.equal(tensor, base["model"]["decoder." + name.removeprefix("model.")].float())


def shuffled(base, symbols):
    """The checkpoint that the same training would have given with its dictionary in this order."""
    order = torch.tensor([0, 1, 2, 3, *(symbol + UNIT_OFFSET for symbol in symbols)])
    for name in (unit_lms.EMBEDDING, unit_lms.OUTPUT):
        base["model"][name] = base["model"][name][order]
    return base


def test_dictionary_in_another_order_gives_the_same_lm(base, tmp_path, out, lm_folder):
    symbols = random.Random(0).sample(range(100), 100)
    path = saved(shuffled(base, symbols), tmp_path)
    unit_lms.convert(path, write_dict(tmp_path, symbols), out)
    same_weights(out, lm_folder)
    unit_lms.convert(path, CHECKPOINTS / "dict.txt", out)
    with pytest.raises(AssertionError):
        same_weights(out, lm_folder)


def test_rows_that_pad_the_dictionary_are_left_out(base, tmp_path, out, lm_folder, capsys):
    symbols = [*range(50), "madeupword0000", *range(50, 100), "madeupword0001"]
    for name in (unit_lms.EMBEDDING, unit_lms.OUTPUT):
        rows, extra = base["model"][name], torch.full((1, 32), 7.0)
        base["model"][name] = torch.cat([rows[:54], extra, rows[54:], extra])
    run(unit_lms, saved(base, tmp_path), "--dict", write_dict(tmp_path, symbols), out)
    same_weights(out, lm_folder)
    assert "2 rows that only pad the dictionary were left out" in capsys.readouterr().out


@pytest.mark.parametrize("new_format", [True, False])
def test_older_checkpoint_with_args_and_without_output_layer(base, tmp_path, out, lm_folder, new_format):
    base["args"], base["cfg"] = argparse.Namespace(**base["cfg"]["model"]), None
    del base["model"][unit_lms.OUTPUT]
    base["model"]["decoder.embed_positions._float_tensor"] = torch.zeros(1)
    base["extra_state"] = {"best": np.float64(1.5)}
    path = saved(base, tmp_path, _use_new_zipfile_serialization=new_format)
    unit_lms.convert(path, CHECKPOINTS / "dict.txt", out)
    same_weights(out, lm_folder)


def test_settings_in_omegaconf_containers_and_enums(base, tmp_path, out, lm_folder, monkeypatch):
    """Containers as omegaconf's pickles have them: nodes with _val, containers with _content, references."""
    made = {}
    for module, name in [
        ("omegaconf.dictconfig", "DictConfig"),
        ("omegaconf.nodes", "AnyNode"),
        ("fairseq.x", "E"),
    ]:
        made[name] = type(name, (), {"__module__": module})
        for part in (module.split(".")[0], module):
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        setattr(sys.modules[module], name, made[name])
    made["E"].__reduce__ = lambda self: (made["E"], ("relu",))
    made["E"].__init__ = lambda self, *args: None

    def node(value):
        kind = made["DictConfig" if isinstance(value, dict) else "AnyNode"]()
        content = {key: node(item) for key, item in value.items()} if isinstance(value, dict) else value
        kind.__dict__.update({"_content" if isinstance(value, dict) else "_val": content, "_parent": None})
        return kind

    cfg = {name: base["cfg"][name] for name in ("model", "task")}
    cfg["model"] |= {"activation_fn": made["E"](), "max_target_positions": "${task.tokens_per_sample}"}
    base["cfg"] = node(cfg)
    unit_lms.convert(saved(base, tmp_path), CHECKPOINTS / "dict.txt", out)
    same_weights(out, lm_folder)
    assert lm_config.read_config(out).max_position_embeddings == 3072


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation_fn", "gelu"),
        ("decoder_normalize_before", False),
        ("share_decoder_input_output_embed", False),
        ("no_decoder_final_norm", True),
        ("decoder_learned_pos", True),
        ("layernorm_embedding", True),
        ("no_scale_embedding", True),
        ("adaptive_softmax_cutoff", "100,200"),
        ("character_embeddings", True),
        ("scale_heads", True),
        ("decoder_output_dim", 16),
        ("decoder_layers", "three"),
        ("decoder_layers", 2),
        ("decoder_layers", 4),
        ("decoder_ffn_embed_dim", 128),
        ("decoder_attention_heads", 5),
        ("max_target_positions", 10**9),
    ],
)
def test_settings_that_cannot_be_kept_are_named(base, tmp_path, out, name, value):
    base["cfg"]["model"][name] = value
    known = {"decoder_attention_heads": "attention_heads", "max_target_positions": "max_position_embeddings"}
    wrong_tensor = {2: "layers.2", 4: "layers.3", 128: "fc1"}
    refuses_lm(saved(base, tmp_path), out, wrong_tensor.get(value, known.get(name, name)))


def change_missing(model):
    del model["decoder.layers.1.fc2.bias"]


def change_unknown(model):
    model["decoder.layers.1.attn_ln.weight"] = torch.ones(32)


def change_shape(model):
    model["decoder.layers.1.fc2.bias"] = torch.ones(33)


def change_values(model):
    model["decoder.layers.1.fc2.bias"][3] = float("nan")


def change_dtype(model):
    model["decoder.layers.1.fc2.bias"] = torch.ones(32, dtype=torch.int64)


def change_output(model):
    model["decoder.output_projection.weight"] = model["decoder.output_projection.weight"] + 1


def change_stream(model):
    model["decoder.embed_other_list.0.weight"] = torch.ones(25, 32)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (change_missing, r"lacks the tensor 'decoder\.layers\.1\.fc2\.bias'"),
        (change_unknown, r"holds an unexpected tensor 'decoder\.layers\.1\.attn_ln\.weight'"),
        (change_shape, r"fc2\.bias has the shape \[33\], expected \[32\]"),
        (change_values, r"fc2\.bias holds values that are not finite"),
        (change_dtype, r"fc2\.bias has the dtype torch\.int64"),
        (change_output, "must be tied"),
        (change_stream, "prosody LM"),
    ],
)
def test_every_tensor_is_accounted_for(base, tmp_path, out, change, match):
    change(base["model"])
    refuses_lm(saved(base, tmp_path), out, match)


@pytest.mark.parametrize(
    ("symbols", "match"),
    [
        (range(99), "has 104 symbols, but the dictionary has 103"),
        ([*range(98), 97, 99], "names the unit 97 twice"),
        ([*range(99), 100], "not unit 99"),
        ([*range(99), "ninety"], "line 100 is not"),
        ([*range(99), "<unk>"], "line 100 is not"),
        ([*range(1, 100), "00"], "line 100 is not"),
        (["0"], "must name 2 to"),
    ],
)
def test_dictionary_that_does_not_fit(tmp_path, out, symbols, match):
    refuses_lm(CHECKPOINTS / "base_lm.pt", out, match, write_dict(tmp_path, symbols))


def test_dictionary_that_is_none(tmp_path, out):
    refuses_lm(CHECKPOINTS / "base_lm.pt", out, "nowhere.txt is not there", tmp_path / "nowhere.txt")
    refuses_lm(CHECKPOINTS / "base_lm.pt", out, "base_lm.pt is not text", CHECKPOINTS / "base_lm.pt")


def test_out_must_not_be_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SpeechPromptError, match="file is a file"):
        unit_lms.convert(CHECKPOINTS / "base_lm.pt", CHECKPOINTS / "dict.txt", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_earlier_conversion_survives_a_refused_one(base, tmp_path, out):
    unit_lms.convert(CHECKPOINTS / "base_lm.pt", CHECKPOINTS / "dict.txt", out)
    before = lm_config.sha256(out)
    base["model"]["decoder.layers.0.fc1.weight"][0, 0] = 1e6  # more than float16 holds
    path = saved(base, tmp_path)
    with pytest.raises(SpeechPromptError, match="not finite as torch.float16"):
        unit_lms.convert(path, CHECKPOINTS / "dict.txt", out, torch.float16)
    assert lm_config.sha256(out) == before
    assert [p.name for p in out.parent.iterdir()] == ["out"]


# ---- checkpoint files that are none


class Touch:
    """Unpickled by Python, it leaves a file behind."""

    def __init__(self, call, *args):
        self.call = call, args

    def __reduce__(self):
        return self.call


def attacks(marker):
    command = f"touch {marker}"
    return {
        "os.system": Touch(os.system, command),
        "eval": Touch(eval, f"__import__('os').system({command!r})"),
        "exec": Touch(exec, f"open({str(marker)!r}, 'w').close()"),
        "getattr": Touch(getattr, "a module cannot be pickled", "upper"),
        "os.mkdir": Touch(os.mkdir, str(marker)),
    }


@pytest.mark.parametrize("attack", ["os.system", "os.mkdir", "eval", "exec"])
def test_the_attacks_are_real(tmp_path, attack):
    content = pickle.dumps(attacks(tmp_path / "ran")[attack])
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("attack", attacks(""))
@pytest.mark.parametrize("place", ["args", "extra_state", "model"])
@pytest.mark.parametrize("new_format", [True, False])
def test_hostile_checkpoint_runs_nothing(base, tmp_path, out, attack, place, new_format):
    marker = tmp_path / "ran"
    evil = attacks(marker)[attack]
    base[place] = {"evil": evil, "decoder.evil": evil}
    path = saved(base, tmp_path, _use_new_zipfile_serialization=new_format)
    refuses_lm(path, out, f"{attack.removeprefix('os.')}'.* was run")
    assert not marker.exists()


@pytest.mark.parametrize("new_format", [True, False])
def test_checkpoint_cut_short(base, tmp_path, out, new_format):
    path = saved(base, tmp_path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    for share in (0.05, 0.3, 0.6, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        refuses_lm(path, out, "damaged or cut short")


def zip_bytes(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is no PyTorch checkpoint"),
        (b"weights: none\n", "is no PyTorch checkpoint"),
        (pickle.dumps({"model": {}}), "is no PyTorch checkpoint"),
        (zip_bytes(a="text"), "not one that torch.save wrote"),
        (zip_bytes(**{"x__data.pkl": pickle.dumps({}, 2)}), "not one that torch.save wrote"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, out, content, match):
    (tmp_path / "x.pt").write_bytes(content)
    refuses_lm(tmp_path / "x.pt", out, match)


@pytest.mark.parametrize("content", [[1], {"weights": 1}, {"model": torch.ones(2)}, {"model": {"a": [1]}}])
def test_pickles_that_are_no_checkpoint(tmp_path, out, content):
    refuses_lm(saved(content, tmp_path), out, "has no 'model'|must hold named tensors")


def test_checkpoint_that_is_missing_too_large_or_other_weights(tmp_path, out):
    refuses_lm(tmp_path / "none.pt", out, "none.pt is not there")
    refuses_lm(tmp_path, out, "is no file")
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    refuses_lm(tmp_path / "x.safetensors", out, "is no PyTorch checkpoint")
    refuses_lm(saved({"model": {"a": torch.ones(2)}}, tmp_path), out, "it is no language model")
    with pytest.raises(SpeechPromptError, match="more than the 100 allowed"):
        checkpoint.load(CHECKPOINTS / "base_lm.pt", "Unit LM", max_bytes=100)


def test_a_small_file_that_claims_gigabytes(base, tmp_path, out):
    base["model"]["decoder.layers.0.fc1.weight"] = torch.zeros(1).expand(1 << 33)
    refuses_lm(saved(base, tmp_path), out, "claims more numbers than a file of")
    nested = {"end": 1}
    for _ in range(12):
        nested = {str(i): nested for i in range(9)}  # one object in the file, 9 ** 12 when written out
    refuses_lm(saved({"model": {"a": torch.ones(2)}, "cfg": nested}, tmp_path), out, "too many or too deeply")


# ---- prompts


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
    run(prompts, *argv, "--title", "Six words", "--labels-file", names, "--backbone", "mine")
    assert (
        "6 labels, deep prompt of length 5, learned verbalizer, 2,032 parameters" in capsys.readouterr().out
    )
    prompt = Prompt.load(tmp_path / "words")
    assert (prompt.task, prompt.title, prompt.backbone) == ("words", "Six words", "mine")
    assert list(prompt.labels) == ["yes", "no", "up", "down", "left", "right"]
    run(prompts, *argv, "--answer", "sequence", "--max-steps", "9", "--labels", "a,b,c,d,e,f")
    prompt = Prompt.load(tmp_path / "words")
    assert (prompt.form.kind, prompt.form.max_steps, prompt.labels[5]) == ("sequence", 9, "f")
    run(prompts, *argv, "--answer", "slots", "--slots", "action=2,object=4")
    assert Prompt.load(tmp_path / "words").form.slots == {"action": 2, "object": 4}
    with pytest.raises(SpeechPromptError, match="--max-steps with --answer sequence"):
        run(prompts, *argv, "--answer", "sequence")


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


# ---- k-means


def refuses_kmeans(path, match, out):
    with pytest.raises(SpeechPromptError, match=match) as caught:
        kmeans.convert(path, out)
    assert str(path.parent) not in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


@pytest.mark.parametrize("name", ["km", "km_float64"])
@pytest.mark.parametrize("suffix", ["bin", "npy"])
def test_centroids_are_those_of_the_model(tmp_path, capsys, name, suffix):
    out = tmp_path / "new" / "centroids.safetensors"
    run(kmeans, CHECKPOINTS / f"{name}.{suffix}", out)
    assert "8 centroids of 16 numbers" in capsys.readouterr().out
    (stored,) = load_file(out).items()
    expected = torch.from_numpy(np.load(CHECKPOINTS / f"{name}.npy")).float()
    assert stored[0] == "centroids"
    assert stored[1].dtype == torch.float32
    assert torch.equal(stored[1], expected)
    assert [path.name for path in out.parent.iterdir()] == ["centroids.safetensors"]


def test_reading_imports_neither_scikit_learn_nor_joblib():
    code = (
        "import sys; from pathlib import Path; from speechprompt.making.convert import kmeans;"
        f"kmeans.read(Path({str(CHECKPOINTS / 'km.bin')!r}));"
        "assert not {'sklearn', 'joblib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FIXTURES.parents[1])


def piece(value):
    """The instructions that put a value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def named(name):
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def built(name, **state):
    """The instructions for an object of this class with this state; bytes stand for instructions."""
    entries = [piece(k) + (v if isinstance(v, bytes) else piece(v)) for k, v in state.items()]
    return named(name) + b")\x81}(" + b"".join(entries) + b"ub"


def joblib_array(array, order="C", shape=None, code=None, wrapper="sklearn.externals.joblib", **state):
    """An array as joblib before 1.2 wrote it: a header without alignment, then the bytes."""
    order_mark = array.dtype.str[0]
    dtype = named("numpy.dtype") + piece((code or array.dtype.str[1:], False, True)) + b"R"
    dtype += piece((3, order_mark, None, None, None, -1, -1, 0)) + b"b"
    header = {"subclass": named("numpy.ndarray"), "shape": array.shape if shape is None else shape}
    header |= {"order": order, "dtype": dtype, "allow_mmap": True, **state}
    return built(f"{wrapper}.numpy_pickle.NumpyArrayWrapper", **header) + array.tobytes(order)


def old_kmeans(tmp_path, centroids, name="sklearn.cluster.k_means_.MiniBatchKMeans", **state):
    path = tmp_path / "km.bin"
    path.write_bytes(b"\x80\x02" + built(name, n_clusters=8, cluster_centers_=centroids, **state) + b".")
    return path


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_old_files_of_joblib_and_scikit_learn(tmp_path, dtype, order):
    array = (np.arange(24).reshape(4, 6) / 4).astype(dtype)
    counts = joblib_array(np.arange(4, dtype="<i8"))
    path = old_kmeans(tmp_path, joblib_array(array, order), counts_=counts, tol=0.0, random_state=None)
    assert torch.equal(kmeans.read(path), torch.arange(24).reshape(4, 6) / 4)


@pytest.mark.parametrize("attack", attacks(""))
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_hostile_pickle_runs_nothing(tmp_path, attack, nested, protocol):
    marker = tmp_path / "ran"
    evil = attacks(marker)[attack]
    path = tmp_path / "km.bin"
    path.write_bytes(pickle.dumps(evil, protocol))
    if nested:
        centroids = joblib_array(np.ones((4, 6), "<f4"))
        old_kmeans(tmp_path, centroids, init=pickle.dumps(evil, protocol)[2:-1])
    refuses_kmeans(path, f"{attack.removeprefix('os.')}, which no k-means", tmp_path / "x" / "o")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("instructions", "match"),
    [
        (b"(S'touch x'\nios\nsystem\n.", "instruction STRING"),
        (b"(ios\nsystem\n.", "instruction INST"),
        (b"(" + named("numpy.ndarray") + b"o.", "instruction OBJ"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"Pid\n.", "instruction PERSID"),
        (b"\x8f(K\x01\x90.", "instruction EMPTY_SET"),
        (b"\x8c\x05numpy\x8c\x11ndarray.__class__\x93.", r"numpy\.ndarray\.__class__"),
        (b"}))s.", "keys are not text"),
        (named("sklearn.cluster.k_means_.KMeans") + piece((1,)) + b"R}b.", "no fitted KMeans"),
        (b"}.", "no fitted KMeans"),
        (piece([1, 2]) + b".", "no fitted KMeans"),
        (named("sklearn.cluster._bisect_k_means.BisectingKMeans") + b")\x81.", "BisectingKMeans"),
        (named("numpy.ndarray") + b"}b.", "damaged"),
        (b"))b.", "damaged"),
        (b"a.", "damaged"),
        (b"h\x09.", "damaged"),
    ],
)
def test_pickles_that_are_no_kmeans(tmp_path, instructions, match):
    (tmp_path / "km.bin").write_bytes(b"\x80\x04" + instructions)
    refuses_kmeans(tmp_path / "km.bin", match, tmp_path / "x" / "o")


ONES = np.ones((4, 6), "<f4")


@pytest.mark.parametrize(
    ("centroids", "match"),
    [
        (joblib_array(ONES, shape=(1 << 40, 6)), "damaged"),
        (joblib_array(ONES, shape=(4, -6)), "damaged"),
        (joblib_array(ONES, shape=(4, 6.0)), "damaged"),
        (joblib_array(ONES, shape=[4, 6]), "damaged"),
        (joblib_array(ONES, shape=(1, 1, 1, 1, 1)), "damaged"),
        (joblib_array(ONES, code="O8"), "an array of the dtype 'O8'"),
        (joblib_array(ONES, code="V8"), "an array of the dtype 'V8'"),
        (joblib_array(ONES[0]), r"but these are float32 \[6\]"),
        (joblib_array(ONES[:1]), r"but these are float32 \[1, 6\]"),
        (joblib_array(np.ones((2, 5000), "<f4")), "but these have 5000"),
        (joblib_array(np.ones((4, 6), "<i8")), "but these are int64"),
        (joblib_array(ONES * np.nan), "not finite"),
        (joblib_array(np.full((4, 6), 1e300)), "not finite"),
        (b"N", "no fitted KMeans"),
    ],
)
def test_centroids_that_cannot_be(tmp_path, centroids, match):
    refuses_kmeans(old_kmeans(tmp_path, centroids), match, tmp_path / "x" / "o")


def test_kmeans_file_cut_short_at_any_place(tmp_path):
    whole = (CHECKPOINTS / "km_float64.bin").read_bytes()
    path = tmp_path / "km.bin"
    for end in [*range(0, len(whole), 23), len(whole) - 1]:
        path.write_bytes(whole[:end])
        refuses_kmeans(path, "damaged, cut short|neither a pickle", tmp_path / "x" / "o")


def test_kmeans_file_with_a_wrong_byte_is_read_or_refused(tmp_path):
    whole, draw = (CHECKPOINTS / "km.bin").read_bytes(), random.Random(0)
    path = tmp_path / "km.bin"
    for _ in range(400):
        broken = bytearray(whole)
        broken[draw.randrange(len(whole))] = draw.randrange(256)
        path.write_bytes(broken)
        with contextlib.suppress(SpeechPromptError):
            assert kmeans.read(path).ndim == 2


def test_files_that_are_no_kmeans(tmp_path):
    out = tmp_path / "x" / "o"
    refuses_kmeans(CHECKPOINTS / "km_compressed.bin", "is compressed", out)
    refuses_kmeans(tmp_path / "none.bin", "none.bin is not there", out)
    refuses_kmeans(CHECKPOINTS / "dict.txt", "neither a pickle", out)
    refuses_kmeans(CHECKPOINTS / "base_lm.pt", "neither a pickle", out)
    np.save(tmp_path / "objects.npy", np.array([Touch(os.system, "true")], dtype=object), allow_pickle=True)
    refuses_kmeans(tmp_path / "objects.npy", "damaged", out)
    whole = (CHECKPOINTS / "km.npy").read_bytes()
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(8, 16)", b"(8000000000, 16)".ljust(7)))
    refuses_kmeans(tmp_path / "huge.npy", "damaged", out)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpeechPromptError, match="folder is a folder"):
        kmeans.convert(CHECKPOINTS / "km.bin", tmp_path / "folder")
