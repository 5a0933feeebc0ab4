"""Checkpoints that are hostile, cut short or none are refused, and nothing of them is run."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint
from tests.making.convert.checkpoints import (
    CHECKPOINTS,
    attacks,
    refuses_lm,
    saved,
)


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
