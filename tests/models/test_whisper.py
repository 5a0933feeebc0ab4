"""Whisper as encoder: exactly the original's frames, whatever the batch; files are checked before they are believed."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_waveform
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import whisper as convert
from speechprompt.models.load import load_encoder
from speechprompt.models.whisper import WhisperSizes, WhisperUnits

SMALL = {"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 4, "encoder_ffn_dim": 48}
SMALL |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16, "vocab_size": 60}
SMALL |= {"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}
LAYERS, N_UNITS = 2, 20


@pytest.fixture(scope="module")
def original() -> WhisperModel:
    """A random Whisper of the published layout whose norms and biases are not the trivial ones of a fresh model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WhisperModel(WhisperConfig(**SMALL)).eval().requires_grad_(False)
        for name, value in model.encoder.named_parameters():
            if "positions" not in name:
                value.add_(torch.randn_like(value) * 0.15)
            value.copy_(value.half().float())  # what is stored is in fp16, as the published weights are
    return model


@pytest.fixture(scope="module")
def hub_folder(original: WhisperModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As openai/whisper-base on the Hub: config.json and model.safetensors, decoder included."""
    folder = tmp_path_factory.mktemp("hub")
    original.config.save_pretrained(folder)
    save_file(
        {f"model.{k}": v.clone() for k, v in original.state_dict().items()}, folder / "model.safetensors"
    )
    return folder


@pytest.fixture(scope="module")
def encoder(hub_folder: Path) -> WhisperUnits:
    made = convert.from_hub_folder(hub_folder, LAYERS, n_features=24, n_units=N_UNITS)
    generator = torch.Generator().manual_seed(1)
    made.mean.copy_(torch.randn(32, generator=generator))
    made.projection.copy_(torch.randn(32, 24, generator=generator))
    frames = made.features([make_waveform(2.0, 7)])[0]
    made.centroids.copy_(frames[:: len(frames) // N_UNITS][:N_UNITS])
    return made


def model_bin(model: WhisperModel) -> bytes:
    """The encoder as a model.bin of CTranslate2, with one tensor of a decoder."""
    encoder, arrays = model.encoder.state_dict(), {}
    for convolution in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            arrays[f"encoder/{convolution}/{kind}"] = encoder[f"{convolution}.{kind}"]
    norms = [("layer_norm", "layer_norm")]
    for i in range(SMALL["encoder_layers"]):
        layer, attention = f"encoder/layer_{i}", f"layers.{i}.self_attn"
        norms.append((f"layer_{i}/self_attention/layer_norm", f"layers.{i}.self_attn_layer_norm"))
        norms.append((f"layer_{i}/ffn/layer_norm", f"layers.{i}.final_layer_norm"))
        for kind in ("weight", "bias"):
            parts = [encoder.get(f"{attention}.{part}_proj.{kind}", torch.zeros(32)) for part in "qkv"]
            arrays[f"{layer}/self_attention/linear_0/{kind}"] = torch.cat(parts)
            arrays[f"{layer}/self_attention/linear_1/{kind}"] = encoder[f"{attention}.out_proj.{kind}"]
            arrays[f"{layer}/ffn/linear_0/{kind}"] = encoder[f"layers.{i}.fc1.{kind}"]
            arrays[f"{layer}/ffn/linear_1/{kind}"] = encoder[f"layers.{i}.fc2.{kind}"]
    for theirs, ours in norms:
        arrays[f"encoder/{theirs}/gamma"] = encoder[f"{ours}.weight"]
        arrays[f"encoder/{theirs}/beta"] = encoder[f"{ours}.bias"]
    arrays["encoder/position_encodings/encodings"] = encoder["embed_positions.weight"]
    arrays["decoder/layer_norm/gamma"] = torch.ones(5)

    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    heads = name("encoder/num_heads") + struct.pack("<BBIh", 0, 2, 2, SMALL["encoder_attention_heads"])
    data = struct.pack("<I", 6) + name("WhisperSpec") + struct.pack("<II", 3, len(arrays) + 1) + heads
    for key, value in arrays.items():
        data += name(key) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        data += struct.pack("<BI", 4, 2 * value.numel()) + value.half().numpy().tobytes()
    return data + struct.pack("<I", 0)


def test_thirty_seconds_equal_the_originals_layer_to_the_bit(
    original: WhisperModel, encoder: WhisperUnits
) -> None:
    clip = make_waveform(30.0)
    frames = WhisperFeatureExtractor()(clip, sampling_rate=16000, return_tensors="pt").input_features
    with torch.inference_mode():
        states = original.encoder(frames, output_hidden_states=True).hidden_states
    # The extractor mirrors the very end of 30 s, where zeros follow a shorter clip: its last frame differs.
    mel = encoder.log_mel(torch.from_numpy(clip))
    assert torch.equal(mel[:, :-2], frames[0, :, :-2])
    assert torch.equal(encoder.hidden(frames), states[LAYERS])


def test_a_clip_gives_whispers_own_log_mels_cut_to_its_length(encoder: WhisperUnits) -> None:
    for seconds in (0.5, 1.7):
        clip = make_waveform(seconds, 3)
        expected = WhisperFeatureExtractor()(clip, sampling_rate=16000, return_tensors="pt").input_features[0]
        mel = encoder.log_mel(torch.from_numpy(clip))
        assert mel.shape == (80, 2 * (len(clip) // 320))
        assert torch.equal(mel, expected[:, : mel.shape[1]])


def test_a_batch_gives_the_features_and_units_of_single_clips(encoder: WhisperUnits) -> None:
    clips = [make_waveform(seconds, seed) for seed, seconds in enumerate((0.4, 2.0, 0.4, 1.1, 0.011))]
    clips[-1] = clips[-1][:176]
    together = encoder.features(clips)
    assert [len(features) for features in together] == [20, 100, 20, 55, 1]
    for clip, features in zip(clips, together, strict=True):
        torch.testing.assert_close(features, encoder.features([clip])[0], rtol=1e-4, atol=1e-4)
    units = encoder.batch(clips)
    assert [u.n_frames for u in units] == [20, 100, 20, 55, 1]
    for clip, found in zip(clips, units, strict=True):
        assert np.array_equal(found.ids, encoder.units(clip).ids)
    assert len(set(units[1].ids.tolist())) > 3
    assert len(encoder.features([np.zeros(0, dtype=np.float32)])[0]) == 1


def test_a_smoothed_feature_is_the_mean_of_its_neighbours_that_there_are(encoder: WhisperUnits) -> None:
    plain = encoder.features([make_waveform(0.5, 1), make_waveform(0.06, 2)])
    try:
        encoder.sizes = replace(encoder.sizes, smoothing=4)
        smooth = encoder.features([make_waveform(0.5, 1), make_waveform(0.06, 2)])
    finally:
        encoder.sizes = replace(encoder.sizes, smoothing=0)
    for before, after in zip(plain, smooth, strict=True):
        expected = torch.stack([before[max(0, i - 4) : i + 5].mean(0) for i in range(len(before))])
        torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)


def test_without_layers_the_convolutions_are_the_encoder() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = WhisperUnits(
            WhisperSizes(n_mels=8, dim=16, n_layers=0, n_heads=2, ffn_dim=16, n_features=16), 3
        )
    wave = make_waveform(1.0, 3)
    assert not encoder.network.layers and encoder.features([wave])[0].shape == (50, 16)
    # Nothing says where a frame is: the sound again, half a second later, has the same features.
    twice = encoder.features([np.concatenate([wave, wave])])[0]
    torch.testing.assert_close(twice[10:40], twice[60:90], rtol=1e-4, atol=1e-5)


def test_long_clips_run_in_windows_and_keep_their_number_of_frames(encoder: WhisperUnits) -> None:
    clip = make_waveform(41.0, 5)
    features = encoder.features([clip])[0]
    assert features.shape == (2050, 24)
    mel = encoder.log_mel(torch.from_numpy(clip))
    first = (encoder.hidden(mel[None, :, :3000])[0] - encoder.mean) @ encoder.projection
    last = (encoder.hidden(mel[None, :, -3000:])[0] - encoder.mean) @ encoder.projection
    torch.testing.assert_close(features[:1400], first[:1400])
    torch.testing.assert_close(features[1400:], last[850:])


def test_saved_and_loaded_it_gives_the_same_units(encoder: WhisperUnits, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder")
    again = load_encoder(tmp_path / "encoder")
    assert isinstance(again, WhisperUnits) and again.sizes == encoder.sizes
    clip = make_waveform(1.3, 4)
    assert torch.equal(again.features([clip])[0], encoder.features([clip])[0])
    rough = WhisperUnits.load(tmp_path / "encoder", dtype=torch.bfloat16)
    assert rough.network.conv1.weight.dtype == torch.bfloat16 and rough.centroids.dtype == torch.float32
    assert rough.units(clip).n_frames == again.units(clip).n_frames


def test_the_parts_of_ctranslate2_become_what_the_hub_holds(
    original: WhisperModel, encoder: WhisperUnits, hub_folder: Path, tmp_path: Path
) -> None:
    data = model_bin(original)
    parts = [tmp_path / "model.bin.part1", tmp_path / "model.bin.part2"]
    parts[0].write_bytes(data[:5000])
    parts[1].write_bytes(data[5000:])
    sizes, tensors = convert.encoder_of(convert.read_ctranslate2(parts))
    convert.save_hub_folder(sizes, tensors, tmp_path / "whisper")
    made = convert.from_hub_folder(tmp_path / "whisper", LAYERS)
    assert sizes.n_layers == 3 and made.sizes == WhisperSizes(
        dim=32, n_layers=LAYERS, n_heads=4, ffn_dim=48, n_features=32
    )
    expected = encoder.network.state_dict()
    assert made.network.state_dict().keys() == expected.keys()
    for name, value in made.network.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4000], "ends too soon: give all parts"),
        (lambda data: data.replace(b"WhisperSpec", b"TransforSpe"), "no Whisper of CTranslate2"),
        (lambda data: b"\x80\x02" + data[2:], "no Whisper of CTranslate2"),
        (lambda data: data.replace(b"conv1/bias", b"conv1/bIas"), "lacks the tensor 'encoder/conv1/bias'"),
        (lambda data: data.replace(b"layer_0/ffn", b"layer_9/ffn"), "layers and heads"),
        (lambda data: data[:22] + b"\xff\xff\xff\x7f" + data[26:], "promises"),
        (
            lambda data: data.replace(b"num_heads\0\0\x02\x02", b"num_heads\0\0\x02\x04"),
            "does not fit its shape",
        ),
    ],
)
def test_other_files_are_refused_in_one_sentence(
    change, message: str, original: WhisperModel, tmp_path: Path
) -> None:
    data = model_bin(original)
    assert change(data) != data
    (tmp_path / "model.bin").write_bytes(change(data))
    with pytest.raises(SpeechPromptError, match=message):
        convert.encoder_of(convert.read_ctranslate2([tmp_path / "model.bin"]))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match=r"model.bin.part2 is not there"):
        convert.read_ctranslate2([tmp_path / "model.bin.part2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing tensor", "lacks the tensor 'network.layers.1.fc1.bias'"),
        ("surplus tensor", "unexpected tensor 'network.layer_norm.bias'"),
        ("not finite", "not finite"),
        ('{"dim": 33}', "must divide"),
        ('{"n_features": 25}', "projection has the shape"),
        ('{"n_positions": 100}', "n_positions must be greater than 200"),
        ('{"n_units": 1}', "n_units must be greater than or equal to 2"),
        ('{"kind": "wavlm"}', "expected 'whisper'"),
        ('{"format_version": 99}', "version 99"),
        ('{"magic": 1}', "unknown entry"),
    ],
)
def test_damaged_folders_are_refused(
    change: str, message: str, encoder: WhisperUnits, tmp_path: Path
) -> None:
    encoder.save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    settings = json.loads((tmp_path / "encoder.json").read_text())
    if change == "missing tensor":
        del tensors["network.layers.1.fc1.bias"]
    elif change == "surplus tensor":
        tensors["network.layer_norm.bias"] = torch.zeros(32)
    elif change == "not finite":
        tensors["centroids"][0, 0] = float("nan")
    else:
        settings |= json.loads(change)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "encoder.json").write_text(json.dumps(settings))
    with pytest.raises(SpeechPromptError, match=message):
        WhisperUnits.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "hubert"}, "model_type = hubert"),
        ({"activation_function": "relu"}, "activation_function = relu"),
        ({"scale_embedding": True}, "scale_embedding = True"),
        ({"encoder_layers": 1}, "1 layers, so it cannot be cut at 2"),
        ({"encoder_ffn_dim": 47}, "has the shape"),
        ({"d_model": "32"}, "dim must be a valid integer"),
    ],
)
def test_other_models_are_refused_by_fact(
    change: dict, message: str, hub_folder: Path, tmp_path: Path
) -> None:
    settings = json.loads((hub_folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "model.safetensors").write_bytes((hub_folder / "model.safetensors").read_bytes())
    with pytest.raises(SpeechPromptError, match=message):
        convert.from_hub_folder(tmp_path, LAYERS)
