"""The unit encoder: length, company and windows do not change units; folders are checked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from speechprompt.errors import SpeechPromptError
from speechprompt.models.encoder import WINDOW_FRAMES, UnitEncoder, window_spans
from speechprompt.models.encoder_config import EncoderConfig
from speechprompt.models.log_mel import LogMel


@pytest.fixture(scope="module")
def encoder() -> UnitEncoder:
    torch.manual_seed(0)
    made = UnitEncoder(EncoderConfig(dim=32, n_layers=2, ffn_dim=64), 20).eval().requires_grad_(False)
    made.centroids.copy_(torch.randn(20, 32))
    return made


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16_000)) / 16_000
    pitch = 120 + 60 * np.sin(2 * np.pi * 1.7 * t)
    voice = sum(np.sin(np.cumsum(2 * np.pi * k * pitch / 16_000)) / k for k in range(1, 12))
    return (0.2 * voice * (1 + np.sin(2 * np.pi * 4 * t)) + 0.01 * rng.standard_normal(len(t))).astype(
        np.float32
    )


def test_one_frame_every_20_ms(encoder: UnitEncoder) -> None:
    for seconds in (0.1, 0.5, 1.0, 3.3):
        assert encoder.units(speechlike(seconds)).n_frames == int(seconds * 50 + 1e-9)


def test_units_do_not_depend_on_the_rest_of_the_batch(encoder: UnitEncoder) -> None:
    clips = [speechlike(s, seed) for seed, s in enumerate((1.0, 0.3, 2.2, 9.0, 0.7))]
    for alone, together in zip(
        [encoder.features([c])[0] for c in clips], encoder.features(clips), strict=True
    ):
        torch.testing.assert_close(alone, together, atol=2e-5, rtol=1e-4)
    for alone, together in zip([encoder.units(c) for c in clips], encoder.batch(clips), strict=True):
        assert alone.ids.tolist() == together.ids.tolist()


def test_a_long_clip_is_encoded_as_its_parts(encoder: UnitEncoder) -> None:
    clip = speechlike(21.0)
    units = encoder.units(clip)
    assert units.n_frames == 1050
    # A window's own frames are what the window alone gives.
    whole = encoder.features([clip])[0]
    spans = window_spans(1050)
    assert [s[1] for s in spans] == [0] + [s[2] for s in spans[:-1]] and spans[-1][2] == 1050
    mel = encoder.log_mel(torch.from_numpy(clip)[None])
    start, first, end = spans[1]
    with torch.inference_mode():
        hidden = encoder.network(mel[:, 2 * start : 2 * (start + WINDOW_FRAMES)])[0]
    expected = ((hidden - encoder.mean) / encoder.std)[first - start : end - start]
    torch.testing.assert_close(whole[first:end], expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 399, 400, 401, 449, 750, 3000])
def test_windows_cover_every_frame_once(n_frames: int) -> None:
    kept: list[int] = []
    for start, first, end in window_spans(n_frames):
        assert start <= first < end <= min(n_frames, start + WINDOW_FRAMES)
        kept += range(first, end)
    assert kept == list(range(n_frames))


@pytest.mark.parametrize(("window", "margin"), [(100, 50), (100, 51), (0, 0), (100, -1)])
def test_windows_that_would_keep_nothing_are_refused(window: int, margin: int) -> None:
    for n_frames in (1, 1000):
        with pytest.raises(ValueError, match="not longer than two margins"):
            window_spans(n_frames, window, margin)
    assert window_spans(5, 3, 1)[-1] == (2, 3, 5)  # the least that keeps a frame


def test_loudness_drops_out() -> None:
    log_mel = LogMel(80)
    clip = torch.from_numpy(speechlike(1.0))[None]
    torch.testing.assert_close(log_mel(clip), log_mel(clip * 0.1), atol=0.05, rtol=0)
    assert not torch.allclose(log_mel(clip), log_mel(clip.flip(1)), atol=0.05)


def test_saved_encoder_answers_alike(encoder: UnitEncoder, tmp_path) -> None:
    encoder.save(tmp_path)
    again = UnitEncoder.load(tmp_path)
    clip = speechlike(1.0)
    torch.testing.assert_close(again.features([clip])[0], encoder.features([clip])[0], atol=0.05, rtol=0.05)
    assert again.n_units == 20


def damaged(change: str, folder) -> None:
    tensors = load_file(folder / "model.safetensors")
    settings = json.loads((folder / "encoder.json").read_text())
    if change == "missing tensor":
        del tensors["centroids"]
    elif change == "shape":
        tensors["centroids"] = tensors["centroids"][:3].clone()
    elif change == "not finite":
        tensors["centroids"][0, 0] = float("nan")
    elif change == "sizes":
        settings["dim"] = 10**9
    elif change == "version":
        settings["format_version"] = 99
    elif change == "unknown setting":
        settings["magic"] = 1
    save_file(tensors, folder / "model.safetensors")
    (folder / "encoder.json").write_text(json.dumps(settings))
    if change == "not safetensors":
        (folder / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    if change == "no weights":
        (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing tensor", "lacks the tensor 'centroids'"),
        ("shape", "centroids has the shape"),
        ("not finite", "not finite"),
        ("sizes", "encoder.json: dim must be less than or equal to 2048"),
        ("version", "version 99"),
        ("unknown setting", "encoder.json: it holds an unknown entry 'magic'"),
        ("not safetensors", "damaged"),
        ("no weights", "missing"),
    ],
)
def test_damaged_folders_are_refused(change: str, message: str, encoder: UnitEncoder, tmp_path) -> None:
    encoder.save(tmp_path)
    damaged(change, tmp_path)
    with pytest.raises(SpeechPromptError, match=message):
        UnitEncoder.load(tmp_path)
