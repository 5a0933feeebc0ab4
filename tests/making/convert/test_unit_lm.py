"""The papers' unit LM becomes our folder, to the bit; what does not fit is named."""

from __future__ import annotations

import argparse
import json
import random
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from speechprompt.commands.convert import unit_lm as command
from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import unit_lm as unit_lms
from speechprompt.models import lm_config, unit_lm
from speechprompt.units import UNIT_OFFSET
from tests.making.convert.checkpoints import (
    CHECKPOINTS,
    REFERENCE,
    refuses_lm,
    run,
    saved,
    write_dict,
)


def same_weights(folder, other):
    ours, theirs = (load_file(f / "model.safetensors") for f in (folder, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name].float(), theirs[name].float()) for name in ours)


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
    run(command, *argv)
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
    run(command, saved(base, tmp_path), "--dict", write_dict(tmp_path, symbols), out)
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
