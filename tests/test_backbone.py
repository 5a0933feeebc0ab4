"""Backbones: found by name or folder, read when asked for, and only with prompts that fit them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from tiny import N_UNITS, make_backbone, make_encoder, make_lm, make_prompt, make_waveform

from speechprompt.backbone import Backbone
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.models import lm_config, unit_lm
from speechprompt.storage import bundled
from speechprompt.storage.bundled import find, list_backbones


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A place that counts as the repository's root, with the backbones tiny and mini."""
    make_backbone(tmp_path)
    make_backbone(tmp_path, "mini", encoder=False)
    monkeypatch.setattr(bundled, "ROOTS", (tmp_path,))
    return tmp_path


def edit_info(folder, **changes):
    info = json.loads((folder / "backbone.json").read_text())
    (folder / "backbone.json").write_text(json.dumps(info | changes))


def test_bundled_backbones_are_found_by_name_or_folder(root):
    assert list_backbones() == ["mini", "tiny"]  # the default first
    assert find("tiny") == root / "backbones" / "tiny"
    assert find(root / "backbones" / "tiny") == root / "backbones" / "tiny"
    assert find(str(root / "backbones" / "tiny")) == root / "backbones" / "tiny"


@pytest.mark.parametrize("name", ["large", "../tiny", "", "x" * 5000, "a\0b"])
def test_unknown_backbone_lists_the_known(root, name):
    with pytest.raises(SpeechPromptError, match="bundled here: mini, tiny"):
        Backbone.load(name)


def test_facts_models_and_prompts(root):
    backbone = Backbone.load("tiny")
    assert (backbone.name, backbone.title, backbone.n_units, backbone.has_encoder) == (
        "tiny",
        "Tiny",
        N_UNITS,
        True,
    )
    assert backbone.unit_lm_sha256 == lm_config.sha256(root / "backbones" / "tiny" / "unit_lm")
    assert backbone.lm is backbone.lm
    assert backbone.encoder is backbone.encoder
    assert len(backbone.encoder.units(make_waveform())) > 5
    assert list(backbone.prompts) == ["colours", "fruit"]
    assert backbone.prompt("fruit").form.silence_label == "nothing"
    assert backbone.refused == {}


def test_the_kind_of_lm_is_read_once_not_for_every_recording(root):
    backbone = Backbone.load("tiny")
    assert not backbone.needs_f0
    (root / "backbones" / "tiny" / "unit_lm" / "config.json").unlink()
    assert len(backbone.listen([make_waveform()])[0]) > 5 and not backbone.needs_f0


def test_a_backbone_without_encoder_still_has_its_lm(root):
    backbone = Backbone.load("mini")
    assert not backbone.has_encoder
    assert backbone.lm.config.vocab_size == N_UNITS + 4
    assert backbone.missing == (
        "The encoder of backbone mini (hubert-base) is not on this machine: copy it into its folder, "
        "or choose another backbone for audio."
    )
    with pytest.raises(
        SpeechPromptError, match="encoder of backbone mini .hubert-base. is not on this machine"
    ):
        _ = backbone.encoder


def test_a_backbone_to_be_fetched_is_known_and_says_what_it_lacks(root):
    make_backbone(root, "gslm", encoder=False)
    backbone = Backbone.load("gslm")
    assert backbone.has_lm and sorted(backbone.prompts) == ["colours", "fruit"]
    shutil.rmtree(backbone.folder / "unit_lm")
    backbone = Backbone.load("gslm")
    assert "gslm" in list_backbones() and not backbone.has_encoder and not backbone.has_lm
    assert backbone.prompts == backbone.refused == {}
    assert backbone.missing == (
        "The unit LM and the encoder of backbone gslm (hubert-base) are not on this machine: fetch them with "
        "`python -m speechprompt fetch gslm`, or choose another backbone."
    )
    for ask in (
        lambda: backbone.encoder,
        lambda: backbone.lm,
        lambda: backbone.unit_lm_sha256,
        lambda: backbone.prompt("fruit"),
        lambda: backbone.load_prompt(root / "prompts" / "gslm" / "fruit"),
    ):
        with pytest.raises(SpeechPromptError, match="fetch them with"):
            ask()
    make_encoder().save(backbone.folder / "encoder")
    assert backbone.missing == (
        "The unit LM of backbone gslm is not on this machine: fetch it with "
        "`python -m speechprompt fetch gslm`, or choose another backbone."
    )
    assert len(backbone.encoder.units(make_waveform())) > 5
    unit_lm.save(make_lm(), backbone.folder / "unit_lm")
    assert backbone.missing is None and sorted(backbone.prompts) == ["colours", "fruit"]


def test_an_encoder_may_be_another_backbones_and_is_loaded_once(root):
    make_backbone(root, "sharing", encoder=False)
    edit_info(root / "backbones" / "sharing", encoder="tiny")
    sharing = Backbone.load("sharing")
    assert sharing.has_encoder and sharing.missing is None
    assert sharing.encoder is Backbone.load("tiny").encoder
    edit_info(root / "backbones" / "sharing", encoder="nowhere")
    lost = Backbone.load("sharing")
    assert not lost.has_encoder
    with pytest.raises(
        SpeechPromptError, match="encoder of backbone sharing .nowhere. is not on this machine"
    ):
        _ = lost.encoder


def test_the_kind_of_encoder_stands_in_its_folder(root):
    from speechprompt.models.hubert import HubertEncoder, HubertSizes

    sizes = HubertSizes(conv_dim=8, dim=16, n_heads=2, ffn_dim=32, position_kernel=16, position_groups=2)
    made = HubertEncoder(sizes, N_UNITS)
    made.centroids.normal_()
    made.save(root / "backbones" / "mini" / "encoder")
    backbone = Backbone.load("mini")
    assert backbone.missing is None and isinstance(backbone.encoder, HubertEncoder)
    assert backbone.encoder.units(make_waveform()).n_frames == 49


def test_the_bundled_folders_are_sound():
    """Whether or not their files have been fetched."""
    for name in ("mini", "hubert-mini", "gslm"):
        backbone = Backbone.load(name)
        assert (backbone.name, backbone.folder.name) == (name, name)
        assert (backbone.missing is None) == backbone.complete == (backbone.has_encoder and backbone.has_lm)


def test_unknown_task_lists_the_known(root):
    with pytest.raises(SpeechPromptError, match="no task 'smell'; its tasks are: colours, fruit"):
        Backbone.load("tiny").prompt("smell")


def test_prompts_that_do_not_fit_are_refused_with_the_reason(root):
    prompts = root / "prompts" / "tiny"
    make_prompt("foreign", sha256="a" * 64).save(prompts / "foreign")
    make_prompt("other", sha256=Backbone.load("tiny").unit_lm_sha256).save(prompts / "renamed")
    wide = make_lm(d_model=32)
    make_prompt("wide", lm=wide, sha256=Backbone.load("tiny").unit_lm_sha256).save(prompts / "wide")
    (prompts / "broken").mkdir()
    (prompts / "broken" / "prompt_config.json").write_text("{}")
    shutil.copytree(prompts / "fruit", prompts / ".half_written")
    (prompts / "notes").mkdir()
    backbone = Backbone.load("tiny")
    assert list(backbone.prompts) == ["colours", "fruit"]
    assert sorted(backbone.refused) == ["broken", "foreign", "renamed", "wide"]
    assert "name the folder so too" in backbone.refused["renamed"]
    with pytest.raises(SpeechPromptError, match="tuned for the unit LM aaaaaaaaaaaa"):
        backbone.prompt("foreign")
    with pytest.raises(SpeechPromptError, match="width 32"):
        backbone.prompt("wide")


def test_prompts_of_an_lm_that_was_trained_again_are_refused(root):
    unit_lm.save(make_lm(seed=1), root / "backbones" / "tiny" / "unit_lm")
    backbone = Backbone.load("tiny")
    assert backbone.prompts == {}
    assert sorted(backbone.refused) == ["colours", "fruit"]


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"format_version": 2}, "format version 2.*update speechprompt"),
        ({"name": "../mini"}, "name must be 1 to 64 of a-z"),
        ({"title": 7}, "title must be a valid string"),
        ({"description": "a\nb"}, "description must be plain text"),
        ({"encoder": "../mini"}, "encoder must be 1 to 64 of a-z"),
        ({"words": 3}, "holds an unknown entry 'words'"),
        ({"encoder": "tiny"}, "one of bundled, hubert-base, or another backbone"),
        ({"n_units": 1 << 40}, "n_units"),
        ({"n_units": "20"}, "n_units must be a valid integer"),
        ({"n_units": True}, "n_units must be a valid integer"),
        ({"frame_rate": 100}, "frame_rate must be 50 or 25"),
    ],
)
def test_bad_backbone_json_is_refused(root, changes, fact):
    edit_info(root / "backbones" / "tiny", **changes)
    with pytest.raises(SpeechPromptError, match=f"Backbone tiny.*{fact}"):
        Backbone.load("tiny")


def test_models_of_another_size_than_promised_are_refused(root):
    edit_info(root / "backbones" / "tiny", n_units=N_UNITS + 1)
    backbone = Backbone.load("tiny")
    with pytest.raises(SpeechPromptError, match="promises 21 units, but the encoder has 20"):
        _ = backbone.encoder
    with pytest.raises(SpeechPromptError, match="promises 21 units, but the unit LM has 20"):
        _ = backbone.lm


def test_models_run_in_the_dtype_asked_for(root):
    plain, other = (Backbone.load("tiny", dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert plain.lm.dtype == torch.float32 and other.lm.dtype == torch.bfloat16
    assert other.encoder is not plain.encoder
    assert other.encoder is Backbone.load("tiny", dtype=torch.bfloat16).encoder
    exact, rough = (b.encoder.features([make_waveform()])[0] for b in (plain, other))
    assert rough.dtype == torch.float32  # centroids are compared in it
    assert 0 < (exact - rough).abs().mean() < 0.05 * exact.abs().mean()
    (answer,), (again,) = (
        PromptedLM(b.lm, [b.prompt("fruit")]).answer([[1, 2, 3]])[0] for b in (plain, other)
    )
    assert 0 < np.abs(answer.probabilities - again.probabilities).max() < 0.05


def test_no_other_dtype_is_taken(root):
    with pytest.raises(SpeechPromptError, match=r"run in float32, bfloat16, float16, not in torch\.int8"):
        Backbone.load("tiny", dtype=torch.int8)
    with pytest.raises(SpeechPromptError, match="run in float32, bfloat16, float16, not in int8"):
        Backbone.load("tiny", dtype="int8")
    for half in (torch.float16, "float16"):
        with pytest.raises(SpeechPromptError, match="float16 is for GPUs"):
            Backbone.load("tiny", dtype=half)
    assert Backbone.load("tiny", dtype="bfloat16").dtype == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_models_go_to_the_device(root):
    backbone = Backbone.load("tiny", "cuda")
    assert backbone.lm.device.type == backbone.encoder.device.type == "cuda"
