"""HuBERT as encoder: exactly the original's layer 6, whatever the length and the company; folders are checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_waveform
from transformers import HubertConfig, HubertModel

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert.hubert import from_hub_folder, read_sizes
from speechprompt.making.sources import HUBERT
from speechprompt.models import hubert
from speechprompt.models.hubert import HubertEncoder, HubertSizes
from speechprompt.storage.folders import sha256_file

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 8}
SMALL |= {"conv_dim": (24,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}


def make_original(seed: int = 0, **changes) -> HubertModel:
    """A random HubertModel whose norms and positional kernel are not the trivial ones of a fresh model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = HubertModel(HubertConfig(**changes)).eval().requires_grad_(False)
        for name, value in model.named_parameters():
            if "norm" in name or "original0" in name:
                value.mul_(1 + 0.2 * torch.randn_like(value))
            elif name.endswith("bias"):
                value.normal_(0, 0.1)
    return model


def save_hub_folder(model: HubertModel, folder: Path, pickled: bool = False) -> Path:
    """As on the Hub: config.json and model.safetensors, or pytorch_model.bin with torch's old names."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    if pickled:
        torch.save({old_name(name): value for name, value in weights.items()}, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors")
    return folder


def old_name(name: str) -> str:
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        name = name.replace(f"parametrizations.weight.{new}", old)
    return name


def centroids_of(model: HubertModel, n_units: int = 20) -> torch.Tensor:
    frames = original_layer_6(model, make_waveform(3.0, 7))
    return frames[:: len(frames) // n_units][:n_units].clone()


def original_layer_6(model: HubertModel, clip: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.from_numpy(clip)[None], output_hidden_states=True).hidden_states[6][0]


@pytest.fixture(scope="module")
def original() -> HubertModel:
    return make_original(**SMALL)


@pytest.fixture(scope="module")
def hub_folder(original: HubertModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_hub_folder(original, tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def encoder(original: HubertModel, hub_folder: Path) -> HubertEncoder:
    return from_hub_folder(hub_folder, centroids_of(original))


def test_true_size_equals_the_originals_layer_6_to_the_bit(tmp_path: Path) -> None:
    model = make_original()
    clips = [make_waveform(1.0), make_waveform(2.3, 1)]
    captured: list[torch.Tensor] = []
    model.encoder.layers[5].register_forward_hook(lambda *call: captured.append(call[2][0]))
    expected = [original_layer_6(model, clip) for clip in clips]
    assert all(torch.equal(a, b) for a, b in zip(expected, captured, strict=True))
    folder = save_hub_folder(model, tmp_path / "hub", pickled=True)
    made = from_hub_folder(folder, expected[0][:40])
    assert sum(p.numel() for p in made.parameters()) == pytest.approx(51.8e6, rel=0.01)
    made.save(tmp_path / "encoder")
    assert (tmp_path / "encoder" / "model.safetensors").stat().st_size == pytest.approx(207e6, rel=0.01)
    again = HubertEncoder.load(tmp_path / "encoder")
    for got in (made.features(clips), again.features(clips)):
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    assert again.n_units == 40 and again.sizes == HubertSizes()
    # Each of the frames that became a centroid is nearest to itself.
    assert again.assign(expected[0][:40]).tolist() == list(range(40))


def test_the_hubs_own_config_is_hubert_base() -> None:
    path = Path(__file__).parents[1] / "fixtures" / "hubert" / "config.json"
    assert sha256_file(path) == HUBERT[0].sha256  # it is the published file
    assert read_sizes(path.parent) == HubertSizes()
    with torch.device("meta"):
        model = HubertModel(HubertConfig.from_pretrained(path.parent))
    assert sum(p.numel() for p in model.parameters()) == 94_371_712  # as published


@pytest.mark.parametrize("pickled", [False, True])
def test_both_files_and_both_names_of_the_kernel_load_alike(
    original: HubertModel, encoder: HubertEncoder, tmp_path: Path, pickled: bool
) -> None:
    made = from_hub_folder(save_hub_folder(original, tmp_path, pickled), encoder.centroids)
    clip = make_waveform(1.0)
    assert torch.equal(made.features([clip])[0], original_layer_6(original, clip))
    assert "masked_spec_embed" not in made.network.state_dict()
    assert len(made.network.encoder.layers) == 6
    assert made.network.config._attn_implementation == "sdpa"


def test_company_changes_nothing(encoder: HubertEncoder) -> None:
    clips = [make_waveform(s, seed) for seed, s in enumerate((1.0, 0.3, 2.2, 12.0, 1.0, 0.1))]
    alone = [encoder.features([clip])[0] for clip in clips]
    assert all(torch.equal(a, b) for a, b in zip(alone, encoder.features(clips), strict=True))
    for clip, units in zip(clips, encoder.batch(clips), strict=True):
        assert encoder.units(clip).ids.tolist() == units.ids.tolist()


@pytest.mark.parametrize("n_samples", [0, 1, 399, 400, 719, 720, 1600, 16_000, 16_079, 16_080])
def test_frames_follow_huberts_own_arithmetic(
    original: HubertModel, encoder: HubertEncoder, n_samples: int
) -> None:
    clip = make_waveform(2.0)[:n_samples]
    (features,) = encoder.features([clip])
    padded = max(n_samples, 400)
    expected = int(original._get_feat_extract_output_lengths(padded))
    assert len(features) == HubertSizes().n_frames(padded) == encoder.units(clip).n_frames == expected >= 1
    assert torch.isfinite(features).all()


def test_units_are_the_nearest_centroids(encoder: HubertEncoder) -> None:
    (features,) = encoder.features([make_waveform(2.0)])
    distances = torch.cdist(features.double(), encoder.centroids.double())
    assert torch.equal(encoder.assign(features), distances.argmin(1))
    assert len(set(encoder.units(make_waveform(2.0)).ids.tolist())) > 2


@pytest.mark.parametrize("seconds", [10.5, 20.01, 33.3])
def test_convolutions_in_pieces_equal_those_in_one(encoder: HubertEncoder, seconds: float) -> None:
    clip = torch.from_numpy(make_waveform(seconds) + np.float32(0.3))  # an offset strains the statistics most
    assert HubertSizes().n_frames(len(clip)) > hubert.PIECE_FRAMES
    with torch.inference_mode():
        whole = encoder.network.feature_extractor(clip[None])[0]
        pieces = encoder.convolve(clip, *encoder.statistics(clip))
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)


def test_a_long_clip_equals_the_original_and_a_longer_one_its_windows(
    original: HubertModel, encoder: HubertEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_waveform(25.0)
    expected = original_layer_6(original, clip)
    torch.testing.assert_close(encoder.features([clip])[0], expected, atol=2e-5, rtol=1e-4)
    # The same clip, were it longer than a window.
    monkeypatch.setattr(hubert, "WINDOW_FRAMES", 600)
    monkeypatch.setattr(hubert, "MARGIN_FRAMES", 50)
    (windowed,) = encoder.features([clip])
    assert windowed.shape == expected.shape
    waveform = torch.from_numpy(clip)
    with torch.inference_mode():
        frames = encoder.convolve(waveform, *encoder.statistics(waveform)).T[None]
        hidden = encoder.network.encoder(encoder.network.feature_projection(frames)[:, 500:1100])
    # Frames 550 to 1050 are those of the window over frames 500 to 1100.
    torch.testing.assert_close(windowed[550:1050], hidden.last_hidden_state[0, 50:550], atol=2e-5, rtol=1e-4)


def test_with_its_statistics_held_a_frame_hears_400_samples_and_without_the_whole_clip(
    encoder: HubertEncoder,
) -> None:
    clip = torch.from_numpy(make_waveform(2.0))
    longer = torch.cat([clip, torch.zeros(16_000)])
    with torch.inference_mode():
        held = encoder.statistics(clip)
        frames = encoder.convolve(clip, *held)
        torch.testing.assert_close(encoder.convolve(longer, *held)[:, : frames.shape[1]], frames)
        moved = encoder.convolve(longer, *encoder.statistics(longer))[:, : frames.shape[1]]
    assert (moved - frames).abs().amax(0).min() > 1e-4  # appended silence reaches every frame
    other = clip.clone()
    other[320 * 50 : 320 * 50 + 400] += 0.1  # what frame 50 hears
    with torch.inference_mode():
        changed = (encoder.convolve(other, *held) != frames).any(0).nonzero().flatten().tolist()
    assert changed == [49, 50, 51]  # neighbours share 80 samples with it on either side


def damaged(change: str, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    settings = json.loads((folder / "encoder.json").read_text())
    if change == "missing tensor":
        del tensors["network.encoder.pos_conv_embed.conv.weight"]
    elif change == "shape":
        tensors["centroids"] = tensors["centroids"][:3].clone()
    elif change == "not finite":
        tensors["centroids"][0, 0] = float("nan")
    elif change == "surplus tensor":
        tensors["network.encoder.layers.6.attention.k_proj.bias"] = torch.zeros(32)
    else:
        settings |= json.loads(change)
    save_file(tensors, folder / "model.safetensors")
    (folder / "encoder.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing tensor", "lacks the tensor 'network.encoder.pos_conv_embed.conv.weight'"),
        ("surplus tensor", "unexpected tensor 'network.encoder.layers.6"),
        ("shape", "centroids has the shape"),
        ("not finite", "not finite"),
        ('{"dim": 1000000000}', "dim must be less than or equal to 2048"),
        ('{"dim": 33}', "must divide"),
        ('{"n_units": "20"}', "n_units must be a valid integer"),
        ('{"kind": "wavlm"}', "expected 'hubert'"),
        ('{"format_version": 99}', "version 99"),
        ('{"magic": 1}', "unknown entry"),
    ],
)
def test_damaged_folders_are_refused(
    change: str, message: str, encoder: HubertEncoder, tmp_path: Path
) -> None:
    encoder.save(tmp_path)
    damaged(change, tmp_path)
    with pytest.raises(SpeechPromptError, match=message):
        HubertEncoder.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feat_extract_norm": "layer"}, "feat_extract_norm = layer, but HuBERT-base has group"),
        ({"do_stable_layer_norm": True}, "do_stable_layer_norm = True"),
        ({"model_type": "wav2vec2"}, "model_type = wav2vec2"),
        ({"hidden_act": "relu"}, "hidden_act = relu"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 1]}, "conv_stride"),
        ({"conv_bias": True}, "conv_bias"),
        ({"conv_pos_batch_norm": True}, "conv_pos_batch_norm"),
        ({"conv_dim": [24] * 6 + [25]}, "conv_dim"),
        ({"num_hidden_layers": 5}, "num_hidden_layers from 6"),
        ({"hidden_size": "32"}, "dim must be a valid integer"),
        ({"intermediate_size": 65}, "has the shape"),
    ],
)
def test_other_models_are_refused_by_fact(
    changes: dict, message: str, hub_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(hub_folder, tmp_path / "hub")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | changes))
    with pytest.raises(SpeechPromptError, match=message):
        from_hub_folder(folder, torch.zeros(20, 32))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("encoder.layers.5.final_layer_norm.bias", None, "lacks the tensor 'encoder.layers.5.final"),
        (
            "encoder.pos_conv_embed.conv.weight_g",
            None,
            "lacks the tensor 'encoder.pos_conv_embed.conv.weight'",
        ),
        ("lm_head.weight", torch.zeros(2, 2), "unexpected tensor 'lm_head.weight'"),
        ("encoder.layers.8.final_layer_norm.bias", torch.zeros(32), "unexpected tensor 'encoder.layers.8"),
        ("encoder.layer_norm.bias", torch.full((32,), torch.inf), "not finite"),
        ("encoder.layer_norm.bias", torch.zeros(31), r"has the shape \[31\]"),
        ("encoder.pos_conv_embed.conv.weight_g", torch.ones(32, 1, 1), "does not fit"),
        ("encoder.layer_norm.bias", torch.zeros(32, dtype=torch.int64), "float tensors, nothing else"),
        ("encoder.layer_norm.bias", Path("surprise"), "more than a file of tensors"),
    ],
)
def test_every_tensor_is_accounted_for(
    name: str, value: object, message: str, original: HubertModel, tmp_path: Path
) -> None:
    folder = save_hub_folder(original, tmp_path, pickled=True)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    weights.pop(name, None)
    if value is not None:
        weights[name] = value
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(SpeechPromptError, match=message):
        from_hub_folder(folder, torch.zeros(20, 32))


def test_layers_above_the_sixth_may_be_absent_and_centroids_must_fit(
    original: HubertModel, encoder: HubertEncoder, tmp_path: Path
) -> None:
    folder = save_hub_folder(original, tmp_path)
    kept = {n: v for n, v in load_file(folder / "model.safetensors").items() if "layers.7" not in n}
    save_file(kept, folder / "model.safetensors")
    made = from_hub_folder(folder, encoder.centroids.double())
    assert torch.equal(made.centroids, encoder.centroids)
    for wrong in (torch.zeros(20, 31), torch.zeros(1, 32), torch.zeros(32)):
        with pytest.raises(SpeechPromptError, match="centroids have the shape"):
            from_hub_folder(folder, wrong)
    with pytest.raises(SpeechPromptError, match="not finite"):
        from_hub_folder(folder, torch.full((20, 32), torch.nan))


def test_in_16_bits_only_the_first_convolution_stays_exact(encoder: HubertEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    rough = HubertEncoder.load(tmp_path, dtype=torch.bfloat16)
    kinds = {name: value.dtype for name, value in rough.network.named_parameters()}
    exact = {name for name, kind in kinds.items() if kind == torch.float32}
    assert exact == {name for name in kinds if "conv_layers.0." in name}
    for clip in (make_waveform(1.0), make_waveform(25.0)):  # in one piece, and in several
        (before,), (after,) = encoder.features([clip]), rough.features([clip])
        assert after.dtype == torch.float32
        # At true size (random weights) features differ by 1 %; so few and narrow layers exaggerate.
        assert 0 < (before - after).abs().mean() < 0.4 * before.abs().mean()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_hears_the_same(encoder: HubertEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    there = HubertEncoder.load(tmp_path, "cuda")
    for clip in (make_waveform(1.0), make_waveform(25.0)):
        (features,) = there.features([clip])
        assert there.device.type == features.device.type == "cuda"
        torch.testing.assert_close(features.cpu(), encoder.features([clip])[0], atol=0.02, rtol=0.02)
