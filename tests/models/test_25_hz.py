"""A HuBERT with one stride more (TWIST's mHuBERT): converted, 25 units a second, and the same times everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import N_UNITS, make_backbone, make_waveform, make_word
from transformers import HubertConfig, HubertModel

from speechprompt import SpeechPrompt, SpeechPromptError
from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.labelling.segments import Segments
from speechprompt.models import hubert
from speechprompt.models.hubert import HubertSizes
from speechprompt.ui.classify.timeline import timeline
from speechprompt.units import Units

LAYER = 4
SETTINGS: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 5, "conv_dim": (24,) * 8,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2, 2),
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def original() -> HubertModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HubertModel(HubertConfig(**SETTINGS)).eval().requires_grad_(False)


def frames_of(original: HubertModel, clip: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return original(torch.from_numpy(clip)[None], output_hidden_states=True).hidden_states[LAYER][0]


@pytest.fixture(scope="module")
def folder(original: HubertModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone whose encoder `convert hubert` made of a folder as on the Hub and of k-means centroids."""
    root = tmp_path_factory.mktemp("root")
    backbone = make_backbone(root, encoder=False)
    (root / "hub").mkdir()
    original.config.save_pretrained(root / "hub")
    save_file(
        {name: value.clone() for name, value in original.state_dict().items()},
        root / "hub" / "model.safetensors",
    )
    frames = frames_of(original, make_waveform(4.0, 7))
    np.save(root / "km.npy", frames[:: len(frames) // N_UNITS][:N_UNITS].numpy())
    arguments = ["convert", "hubert", str(root / "hub"), str(root / "km.npy"), str(backbone / "encoder")]
    assert main([*arguments, "--layer", str(LAYER)]) == 0
    about = json.loads((backbone / "backbone.json").read_text())
    (backbone / "backbone.json").write_text(json.dumps(about | {"encoder": "bundled", "frame_rate": 25}))
    return backbone


def test_its_features_are_the_originals(
    original: HubertModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder: Any = Backbone(folder).encoder
    assert encoder.sizes == HubertSizes(
        24, 32, LAYER, 4, 64, 16, 4, SETTINGS["conv_kernel"], SETTINGS["conv_stride"]
    )
    assert (encoder.sizes.frame_samples, encoder.sizes.field) == (640, 720)
    for seconds in (0.02, 0.5, 2.01, 12.0):  # the last one in pieces
        clip = make_waveform(seconds)
        (found,) = encoder.features([clip])
        expected = frames_of(original, np.pad(clip, (0, max(0, 720 - len(clip)))))
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    monkeypatch.setattr(hubert, "WINDOW_FRAMES", 500)  # attention in windows of 10 s
    assert encoder.features([clip])[0].shape == expected.shape


def test_25_units_a_second_at_their_times(folder: Path) -> None:
    backbone = Backbone(folder)
    clip = make_waveform(3.0)
    (units,) = backbone.units([clip])
    ids = backbone.encoder.assign(backbone.encoder.features([clip])[0]).numpy()
    assert (
        len(ids) == 74 and units.n_frames == 148
    )  # a second has 25 of its frames, and 50 of those that times count in
    for unit, start, length in zip(units.ids, units.starts, units.lengths, strict=True):
        assert start % 2 == length % 2 == 0 and set(ids[start // 2 : (start + length) // 2]) == {unit}
    silence = np.zeros(32_000, np.float32)
    (later,) = backbone.units([np.concatenate([silence, make_word(before=0.0)])])
    assert 1.4 <= later.starts[0] / 50 <= 2.0  # the pause before is not listened to, and counted
    assert Units.from_frames([7, 7, 3], 2).to_dict() == {"ids": [7, 3], "starts": [0, 4], "lengths": [4, 2]}


def test_the_whole_pipeline_answers(folder: Path) -> None:
    """Answers, timeline, units without sound, segments, live and teaching, each with times in seconds."""
    sp: Any = SpeechPrompt.from_pretrained(folder, "cpu")
    clip = make_waveform(2.0)
    (answer,) = sp.classify(clip, ["fruit"])
    assert answer.units.span[1] / 50 == pytest.approx(2.0, abs=0.06)
    page = timeline(answer.units, clip)
    assert page.count("lasts 0.02 s") == 0 and "lasts 0.04 s" in page
    frames = np.repeat(answer.units.ids, answer.units.lengths // 2)
    ((again,),) = sp.classify_units([frames], ["fruit"])
    assert again.label == answer.label and np.array_equal(again.units.lengths, answer.units.lengths)
    sound = np.concatenate([make_word(before=1.0, after=1.0), make_word(before=1.0, after=1.0)])
    found = list(Segments(sp, (16_000, sound), ["colours"]))
    times = [(segment.start, segment.end) for segment in found]
    assert (
        len(times) == 2
        and [round(start) for start, _ in times] == [1, 4]
        and [round(end) for _, end in times] == [2, 4]
    )
    listener = sp.listen("colours")
    heard = [event for event in [*listener.feed(16_000, sound), *listener.finish()] if event.final]
    assert heard and 0.7 <= heard[0].start <= 1.2 and 1.4 <= heard[0].end <= 2.2
    taught = sp.teach("Sounds", {"noise": [clip] * 3, "word": [make_word()] * 3})
    assert sp(make_word(), taught.prompt.task).label == "word"


def test_what_does_not_fit_is_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    about = json.loads((folder / "backbone.json").read_text())
    (tmp_path / "backbones").mkdir()
    wrong = tmp_path / "backbones" / "tiny"
    wrong.mkdir()
    for part in ("encoder", "unit_lm"):
        (wrong / part).symlink_to(folder / part)
    (wrong / "backbone.json").write_text(json.dumps(about | {"frame_rate": 50}))
    with pytest.raises(SpeechPromptError, match="promises 50 frames per second, but the encoder has 25"):
        _ = Backbone(wrong).encoder
    root = folder.parents[1]
    settings = json.loads((root / "hub" / "config.json").read_text())
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "model.safetensors").symlink_to(root / "hub" / "model.safetensors")
    command = ["convert", "hubert", str(tmp_path / "hub"), str(root / "km.npy"), str(tmp_path / "encoder")]
    for change, options, message in (
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 2, 3]}, [], "conv_stride = "),
        ({"conv_dim": [24] * 7}, [], "equal numbers as conv_dim"),
        ({}, ["--layer", "6"], "num_hidden_layers from 6 to 48"),
        ({}, ["--layer", "0"], "num_hidden_layers from 0 to 48"),
    ):
        (tmp_path / "hub" / "config.json").write_text(json.dumps(settings | change))
        assert main([*command, *options]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1 and not (tmp_path / "encoder").exists()
