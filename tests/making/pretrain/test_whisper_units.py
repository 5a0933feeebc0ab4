"""Units on a layer of Whisper: fitted, resumed and transcribed by one command, on clips and a model made here."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperModel

from speechprompt.audio import load as audio
from speechprompt.cli import main
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain import whisper_units
from speechprompt.models.whisper import WhisperUnits
from tests.tiny import make_waveform

SIZES = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}
SIZES |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16, "vocab_size": 60}
SIZES |= {"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, n in (
        ("spoken_digits", 18),
        ("coswara_voices", 12),
    ):  # of the old sets and of those beside them
        rows = []
        for i in range(n):
            file = io.BytesIO()
            soundfile.write(file, make_waveform(0.4 + 0.02 * i, i), 16_000, format="FLAC")
            split = "valid" if i % 6 == 5 else "train"
            rows.append(
                {
                    "id": str(i),
                    "split": split,
                    "label": str(i % 10),
                    "speaker": f"s{i % 5}",
                    "audio": file.getvalue(),
                }
            )
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    folder = tmp_path / "whisper"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WhisperModel(WhisperConfig(**SIZES))
    model.config.save_pretrained(folder)
    weights = {f"model.{k}": v.clone() for k, v in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    return folder


def test_units_are_fitted_once_and_all_open_speech_is_transcribed(
    data: Path, whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, transcripts = tmp_path / "encoder", tmp_path / "units.parquet"
    stage = ["pretrain", "whisper-units", "--data", str(data), "--whisper", str(whisper), "--out", str(out)]
    options = ["--layer", "1", "--features", "8", "--units", "12", "--threads", "1"]
    assert main([*stage, *options, "--transcripts", str(transcripts)]) == 0
    assert "12 units of layer 1 explain" in capsys.readouterr().out
    encoder = WhisperUnits.load(out)
    assert encoder.n_units == 12 and encoder.sizes.n_features == 8 and encoder.sizes.n_layers == 1
    rows = {row["id"]: row for row in pq.read_table(transcripts).to_pylist()}
    assert len(rows) == 30 + 25  # every clip, and a simulated recording of each train clip
    assert rows["coswara_voices/5"]["split"] == "valid" and rows["spoken_digits/0#1"]["split"] == "train"
    row = pq.read_table(data / "spoken_digits.parquet").to_pylist()[3]
    assert rows["spoken_digits/3"]["units"] == encoder.units(audio.load(row["audio"])).ids.tolist()

    transcripts.unlink()  # a stopped run goes on with the units that it fitted
    assert main([*stage, *options, "--transcripts", str(transcripts), "--seed", "1"]) == 0
    assert "explain" not in capsys.readouterr().out and transcripts.is_file()
    again = WhisperUnits.load(out)
    assert torch.equal(again.centroids, encoder.centroids)


def test_the_map_is_half_whitened() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4000, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    points[:, 0] *= 300  # as the few huge dimensions of Whisper
    mean, projection = whisper_units.half_whitened(points, 4)
    mapped = (points - mean) @ projection
    covariance = torch.cov(mapped.T)
    assert projection.shape == (6, 4)
    torch.testing.assert_close(covariance, torch.diag(covariance.diag()), rtol=0, atol=1e-2)
    deviations = torch.linalg.eigvalsh(torch.corrcoef(points.T)).flip(0)[:4].sqrt()
    torch.testing.assert_close(covariance.diag(), deviations, rtol=1e-2, atol=1e-2)


def test_the_axes_of_speakers_tell_them_apart_where_the_widest_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    speakers = [("set", str(i % 20)) for i in range(4000)] + [("set", "")] * 50
    voices = torch.randn(20, 2, generator=generator)
    points = torch.randn(4050, 6, generator=generator) * torch.tensor([50.0, 9, 9, 9, 0.3, 0.3])
    points[:4000, 4:] += voices.repeat(200, 1)  # who speaks is in two faint dimensions
    mean, projection = whisper_units.speaker_axes(points, speakers, 2)
    mapped = (points - mean)[:4000] @ projection
    centres = torch.stack([mapped[i::20].mean(0) for i in range(20)])
    nearest = torch.cdist(mapped, centres).argmin(1)
    told_apart = (nearest == torch.arange(4000) % 20).float().mean()
    assert told_apart > 0.4
    widest_mean, widest = whisper_units.half_whitened(points, 2)
    mapped = (points - widest_mean)[:4000] @ widest
    centres = torch.stack([mapped[i::20].mean(0) for i in range(20)])
    nearest = torch.cdist(mapped, centres).argmin(1)
    assert (nearest == torch.arange(4000) % 20).float().mean() < told_apart / 2
    with pytest.raises(SpeechPromptError, match="names 3 speakers; 4 axes need more"):
        whisper_units.speaker_axes(points, [("a", str(i % 3)) for i in range(4050)], 4)


def test_units_of_who_speaks_are_fitted_on_smoothed_frames(
    data: Path, whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "voices"
    stage = ["pretrain", "whisper-units", "--data", str(data), "--whisper", str(whisper), "--out", str(out)]
    options = ["--layer", "1", "--axes", "speakers", "--smoothing", "2", "--units", "6", "--threads", "1"]
    options += ["--transcripts", str(tmp_path / "units.parquet"), "--copies", "0"]
    assert main([*stage, *options, "--features", "3"]) == 0
    encoder = WhisperUnits.load(out)
    assert encoder.sizes.smoothing == 2 and encoder.n_units == 6
    assert main([*stage[:-1], str(tmp_path / "more"), *options, "--features", "12"]) == 2
    assert "12 axes need more of them" in capsys.readouterr().err


def test_a_folder_without_the_sets_is_named(
    whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = ["pretrain", "whisper-units", "--data", str(tmp_path), "--whisper", str(whisper)]
    assert main([*stage, "--out", str(tmp_path / "encoder"), "--threads", "1"]) == 2
    assert "holds none of the sets" in capsys.readouterr().err
