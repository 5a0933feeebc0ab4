"""A backbone as ONNX: it answers as the models do, or nothing is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import soundfile
import torch

from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.errors import SpeechPromptError
from speechprompt.making.export import onnx_files, onnx_folder
from speechprompt.making.export.graphs import EncoderGraph
from speechprompt.making.export.running import frame_units
from speechprompt.models import prosody_lm
from speechprompt.storage.bundled import find
from speechprompt.units import FRAME_SAMPLES
from tests import tiny


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    """A tiny backbone with a prompt of every kind that changes what the LM is given."""
    letters = ("a", "b", "c")
    prompts = (
        tiny.make_prompt(),
        tiny.make_prompt("fruit", ("apple", "pear"), 7, verbalizer="fixed", seed=1),
        tiny.make_prompt("before", deep=False, length=4, seed=2),
        tiny.make_prompt("placed", positions="after_prompt", seed=3),
        tiny.make_prompt("inside", deep=False, length=2, positions="after_prompt", seed=4),
        tiny.make_prompt(
            "spelled", letters, kind="sequence", max_steps=5, seed=5, with_label_embeddings=True
        ),
        tiny.make_prompt("units", letters, kind="sequence", max_steps=4, verbalizer="fixed", seed=6),
    )
    return tiny.make_backbone(tmp_path, prompts=prompts)


def recordings(folder: Path) -> list[Path]:
    """One shorter and one longer than what attention spans, none of them whole frames."""
    paths = [folder / "short.wav", folder / "long.wav"]
    for path, seconds in zip(paths, (0.731, 12.3), strict=True):
        soundfile.write(path, tiny.make_waveform(seconds, seed=int(seconds)), 16_000)
    return paths


def test_the_command(backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    out = tmp_path / "models"
    files = [str(path) for path in recordings(tmp_path)]
    assert main(["export", "onnx", str(backbone), str(out), "--recordings", *files]) == 0
    assert "7 prompts; on 3 recordings" in capsys.readouterr().out
    facts = json.loads((out / "model.json").read_text())
    assert (facts["layers"], facts["heads"], facts["width"]) == (tiny.LAYERS, tiny.HEADS, tiny.WIDTH)
    loaded = Backbone(backbone)
    assert facts["unit_lm_sha256"] == loaded.unit_lm_sha256
    for task, names in facts["prompts"].items():
        source = loaded.prompt_folder(task)
        assert names == sorted(path.name for path in source.iterdir())
        assert all(
            (out / "prompts" / task / name).read_bytes() == (source / name).read_bytes() for name in names
        )
    for name, stored in facts["files"].items():
        assert (out / name).stat().st_size == stored["bytes"]
        assert str(tmp_path).encode() not in (out / name).read_bytes()


def test_what_differs_is_not_written(backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of another run are held against an encoder, and then an LM, that has changed since."""
    pytest.importorskip("onnxscript")
    ready, out, files = tmp_path / "ready", tmp_path / "models", recordings(tmp_path)[:1]
    loaded = Backbone(backbone)
    onnx_folder.export(loaded, ready, files)
    monkeypatch.setattr(onnx_files, "write_encoder", lambda _, path: copyfile(ready / path.name, path))
    monkeypatch.setattr(onnx_files, "write_lm", lambda _, path: copyfile(ready / path.name, path))
    loaded.lm.model.layers[0].fc2.bias[0] += 0.01
    with pytest.raises(
        SpeechPromptError, match=r"logits of .* on short\.wav differ by .*; nothing is written"
    ):
        onnx_folder.export(loaded, out, files)
    loaded.encoder.centroids.copy_(loaded.encoder.centroids.flip(0))
    with pytest.raises(SpeechPromptError, match=r"units of short\.wav differ; nothing is written"):
        onnx_folder.export(loaded, out, files)
    assert not out.exists() and not list(tmp_path.glob(".models*"))


def test_windows_of_a_long_recording_are_those_of_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut out for a window holds all that its frames depend on: levels of 3 s, and whole spectra."""
    encoder = tiny.make_encoder()
    graph = EncoderGraph(encoder)

    class Session:
        def run(self, _: object, given: dict[str, np.ndarray]) -> list[np.ndarray]:
            with torch.no_grad():
                return [graph(*(torch.from_numpy(given[name]) for name in graph.inputs)).numpy()]

    waveform = np.concatenate([tiny.make_waveform(9, 1) * 0.01, tiny.make_waveform(11.237, 2)])
    expected = encoder.assign(encoder.features([waveform])[0]).numpy()
    assert len(expected) == len(waveform) // FRAME_SAMPLES
    np.testing.assert_array_equal(frame_units(Session(), waveform), expected)


@pytest.mark.parametrize("lacking", ["onnx", "onnxruntime", "onnxscript"])
def test_without_onnx(backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(SpeechPromptError, match=r"pip install 'speechprompt\[onnx\]'"):
        onnx_folder.export(Backbone(backbone), tmp_path / "models", recordings(tmp_path))


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    folder = tiny.make_backbone(tmp_path / "with melody")
    prosody_lm.save(tiny.make_prosody_lm(), folder / "unit_lm")
    with pytest.raises(SpeechPromptError, match="has a prosody LM, which cannot be exported"):
        onnx_folder.export(Backbone(folder), tmp_path / "models", [])
    whisper = Backbone(find("whisper-mini"))
    with pytest.raises(SpeechPromptError, match="HuBERT or Whisper"):
        onnx_folder.export(whisper, tmp_path / "models", [])


def test_out_that_is_something_else(backbone: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(SpeechPromptError, match="OUT is not empty"):
        onnx_folder.export(Backbone(backbone), tmp_path / "mine", recordings(tmp_path))
    with pytest.raises(SpeechPromptError, match="OUT is a file"):
        onnx_folder.export(Backbone(backbone), tmp_path / "mine" / "letter.txt", [])
    assert (tmp_path / "mine" / "letter.txt").read_text() == "mine"
