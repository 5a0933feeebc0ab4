"""The papers' prosody LM becomes our folder; what does not fit is refused."""

from __future__ import annotations

import argparse
import copy

import numpy as np
import pytest
import torch

from speechprompt.commands.convert import prosody_lm as command
from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import prosody_lm as conversion
from speechprompt.models import prosody_lm
from tests.prosody_reference import FOLDER, OURS, assert_same, convert, recorded


def test_rows_of_the_vocabulary(lm, original) -> None:
    """unit u -> u + 4, <s> -> 3, <pad> -> 1, </s> -> 2, <unk> -> 0."""
    theirs, ours = original["model"]["decoder.embed_tokens.weight"], lm.model.embed_tokens.weight
    for row, index in {4: 0, 103: 99, 3: 100, 1: 101, 2: 102, 0: 103}.items():
        torch.testing.assert_close(ours[row], theirs[index], atol=0, rtol=0)


@pytest.mark.parametrize("stored", ["tensor", "array", "list"])
def test_edges_are_read_however_they_were_saved(io, stored, tmp_path) -> None:
    values = io["f0_edges"]
    torch.save(
        {"tensor": values, "array": values.numpy(), "list": values.tolist()}[stored], tmp_path / "e.th"
    )
    np.testing.assert_allclose(conversion.read_edges(tmp_path / "e.th"), values, atol=1e-7)


def test_edges_as_pgslm_saves_them_are_those_of_the_checkpoints_bins(original, io, tmp_path) -> None:
    right = io["f0_edges"].double().numpy()
    torch.save({16: right[:15], 32: right}, tmp_path / "both.th")
    made = convert(original, tmp_path, tmp_path / "both.th")
    np.testing.assert_allclose(made.prosody.f0_edges, right, atol=1e-7)
    torch.save({16: right[:15], 8: right[:7]}, tmp_path / "other.th")
    with pytest.raises(SpeechPromptError, match=r"other\.th does not hold .* by the number of bins"):
        conversion.read_edges(tmp_path / "other.th", 32)


@pytest.mark.parametrize("content", [{"a": 1}, {}, torch.zeros(2, 3), "edges", [[1.0], [2.0, 3.0]]])
def test_edges_that_are_none_are_refused(content, tmp_path) -> None:
    torch.save(content, tmp_path / "e.th")
    with pytest.raises(SpeechPromptError, match=r"e\.th"):
        conversion.read_edges(tmp_path / "e.th")


def drop(name):
    return lambda s: s["model"].pop(name)


def put(**values):
    """Change settings of the task or, where it has them too, of the model."""

    def change(state):
        for name, value in values.items():
            for section in ("task", "model"):
                if name in state["cfg"][section]:
                    state["cfg"][section][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (drop("decoder.project_out_dim.weight"), "no prosody LM"),
        (drop("decoder.layers.1.fc2.bias"), "lacks the tensor 'decoder.layers.1.fc2.bias'"),
        (drop("decoder.embed_other_list.0.weight"), "duration embeddings"),
        (drop("decoder.embed_other_list.1.weight"), "n_f0"),
        (lambda s: s["model"].update(extra=torch.zeros(2)), "tensor 'extra'"),
        (lambda s: s["cfg"].update(task=None), "nothing about its streams"),
        (put(discrete_f0=False), "mixes"),
        (put(discrete_f0=None), "does not say whether"),
        (put(discrete_f0=False, discrete_duration=False), "decoder.embed_other_list.0.bias"),
        (put(max_token_duration=30), "max_token_duration = 30"),
        (put(max_token_duration="20"), "max_token_duration"),
        (put(stream_shifts="0,1"), r"shifted by \[0, 1\]"),
        (put(stream_shifts=None), "stream_shifts"),
        (put(normalize_f0_std=True), "normalize_f0_std"),
        (put(interpolate_f0=False), "interpolate_f0"),
        (put(activation_fn="gelu"), "gelu"),
        (put(decoder_normalize_before=False), "decoder_normalize_before"),
        (put(decoder_layers=3), "layers.2"),
        (put(decoder_embed_dim=64, decoder_input_dim=64, decoder_output_dim=64), "shape"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_and_nothing_is_written(
    original, tmp_path, change, fact
) -> None:
    state = copy.deepcopy(original)
    change(state)
    with pytest.raises(SpeechPromptError, match=fact):
        convert(state, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_edges_must_fit_the_checkpoint(original, continuous, edges, tmp_path) -> None:
    with pytest.raises(SpeechPromptError, match="leave --edges out"):
        convert(continuous, tmp_path, edges)
    torch.save(torch.linspace(-1, 1, 30), tmp_path / "short.th")
    with pytest.raises(SpeechPromptError, match="as many as the F0 bins less one"):
        convert(original, tmp_path, tmp_path / "short.th")
    assert not (tmp_path / "made").exists()


def test_ignored_inputs_and_old_settings_are_read(original, tmp_path, io) -> None:
    state = copy.deepcopy(original)
    put(ignore_duration_input=True, ignore_f0_input=True)(state)
    args = {**state["cfg"]["model"], **state["cfg"]["task"]}
    lm = convert({**state, "cfg": None, "args": argparse.Namespace(**args)}, tmp_path)  # before fairseq 1.0
    assert lm.prosody.ignore_prosody_input and lm.prosody.f0_edges is None
    outputs = lm.forward_streams(OURS[io["in.src_tokens"]], io["in.dur_src"], io["in.f0_src"])
    assert_same(outputs, recorded(io, "out_prosody_input_ignored"), io["in.src_lengths"])


def test_command(edges, tmp_path, capsys) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "unit_lm"
    command.run(parser.parse_args([str(FOLDER / "discrete.pt"), str(out), "--dtype", "float16"]))
    assert "100 units, discrete durations and F0" in (sentence := capsys.readouterr().out)
    assert "cannot hear recordings" in sentence
    command.run(parser.parse_args([str(FOLDER / "discrete.pt"), str(out), "--edges", str(edges)]))
    assert "cannot hear" not in capsys.readouterr().out
    assert prosody_lm.load(out).prosody.f0_edges.shape == (31,)
