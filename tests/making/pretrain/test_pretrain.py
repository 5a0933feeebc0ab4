"""The stages that made the bundled weights, each a few steps long, on clips that are made here."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from speechprompt.audio import load as audio
from speechprompt.cli import main
from speechprompt.making.pretrain import batches
from speechprompt.making.pretrain import encoder as encoder_stage
from speechprompt.making.pretrain import quantised as quantised_stage
from speechprompt.making.pretrain import unit_lm as unit_lm_stage
from speechprompt.making.pretrain.kmeans import kmeans, nearest
from speechprompt.making.pretrain.phones import phones_of, spell_out
from speechprompt.models import unit_lm
from speechprompt.models.encoder import UnitEncoder
from speechprompt.models.encoder_config import EncoderConfig
from tests.tiny import make_waveform


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for i in range(24):
        file = io.BytesIO()
        soundfile.write(file, make_waveform(0.4 + 0.02 * i, i), 16_000, format="FLAC")
        split = "valid" if i % 6 == 5 else "train"
        rows.append({"id": str(i), "split": split, "label": str(i % 10), "audio": file.getvalue()})
    pq.write_table(pa.Table.from_pylist(rows), folder / "spoken_digits.parquet")
    return folder


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    patch = pytest.MonkeyPatch()
    sizes = {
        batches: {"WORD_BATCH": 4, "LONG_BATCH": 2},
        encoder_stage: {"FIRST_CLUSTERS": 10, "SECOND_CLUSTERS": 20, "TEACHER_LAYERS": 1},
        quantised_stage: {"SECOND_CLUSTERS": 20},
    }
    for module, values in sizes.items():
        for name, value in values.items():
            patch.setattr(module, name, value)
    yield
    patch.undo()


def pretrain(data, run, steps: int) -> dict:
    sizes = ["--dim", "16", "--layers", "2", "--workers", "0", "--threads", "1"]
    arguments = ["pretrain", "encoder", "--data", str(data), "--run", str(run), "--steps", str(steps), *sizes]
    assert main(arguments) == 0
    return torch.load(run / "encoder.pt", weights_only=True)


def test_encoder_then_centroids_then_unit_lm(data, tmp_path) -> None:
    state = pretrain(data, tmp_path / "run", 6)
    assert state["step"] == 6 and state["teacher"] is not None  # both rounds were reached
    record = json.loads((tmp_path / "run" / "encoder.jsonl").read_text().splitlines()[-1])
    assert record["step"] == 6 and all(np.isfinite(v) for v in record.values())

    out, transcripts = tmp_path / "mini" / "encoder", tmp_path / "units.parquet"
    stage = [
        "pretrain",
        "centroids",
        "--data",
        str(data),
        "--checkpoint",
        str(tmp_path / "run" / "encoder.pt"),
    ]
    options = ["--layer", "1", "--units", "12", "--copies", "1", "--threads", "1"]
    assert main([*stage, "--out", str(out), "--transcripts", str(transcripts), *options]) == 0
    encoder = UnitEncoder.load(out)
    assert encoder.n_units == 12 and len(encoder.network.blocks) == 1
    rows = pq.read_table(transcripts).to_pylist()
    assert len(rows) == 24 + 20  # every clip, and a copy of each train clip
    assert main([*stage, "--out", str(out), "--layer", "9"]) == 2

    lm_folder = tmp_path / "mini" / "unit_lm"
    stage = ["pretrain", "unit-lm", "--units", str(transcripts), "--out", str(lm_folder), "--threads", "1"]
    sizes = ["--dim", "16", "--layers", "1", "--heads", "2", "--run", str(tmp_path / "lm"), "--lr", "0.02"]
    assert main([*stage, *sizes, "--n-units", "12", "--epochs", "6", "--tokens-per-batch", "128"]) == 0
    lm = unit_lm.load(lm_folder)
    assert lm.config.vocab_size == 16
    log = [json.loads(line) for line in (tmp_path / "lm" / "unit_lm.jsonl").read_text().splitlines()]
    assert len(log) == 6 and log[-1]["valid_perplexity"] < log[0]["valid_perplexity"]
    assert main([*stage, *sizes, "--n-units", "5", "--run", str(tmp_path / "lm2")]) == 2
    assert main([*stage, *sizes, "--n-units", "12", "--epochs", "7", "--tokens-per-batch", "128"]) == 2
    missing = ["pretrain", "unit-lm", "--units", "none.parquet", "--out", str(lm_folder), "--n-units", "12"]
    assert main([*missing, "--run", str(tmp_path / "lm3")]) == 2


def test_other_speech_becomes_transcripts_for_the_unit_lm(data, tmp_path, capsys) -> None:
    folder, file, written = (
        tmp_path / "encoder",
        data / "spoken_digits.parquet",
        tmp_path / "new" / "u.parquet",
    )
    encoder = UnitEncoder(EncoderConfig(dim=16, n_layers=1), 12)
    encoder.centroids.normal_(generator=torch.Generator().manual_seed(0))
    encoder.save(folder)
    stage = ["pretrain", "transcripts", "--encoder", str(folder), "--threads", "1", "--out", str(written)]
    assert main([*stage, "--data", str(file), "--copies", "1"]) == 0
    assert "44 recordings" in capsys.readouterr().out
    rows = {row["id"]: row for row in pq.read_table(written).to_pylist()}
    assert len(rows) == 24 + 20 and rows["spoken_digits/5"]["split"] == "valid"
    encoder = UnitEncoder.load(folder)
    for row in pq.read_table(file).to_pylist():
        assert (
            rows[f"spoken_digits/{row['id']}"]["units"]
            == encoder.batch([audio.load(row["audio"])])[0].ids.tolist()
        )

    text = tmp_path / "text.parquet"
    pq.write_table(pa.table({"id": ["1"], "split": ["train"]}), text)
    for bad, why in ((text, "needs id, split, audio"), (tmp_path / "none.parquet", "cannot be read")):
        assert main([*stage, "--data", str(bad)]) == 2
        assert why in capsys.readouterr().err


def test_a_unit_lm_goes_on_from_another(tmp_path, capsys) -> None:
    rows = [
        {"split": "valid" if i % 5 == 4 else "train", "units": [(i + k) % 12 for k in range(9)]}
        for i in range(60)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "units.parquet")

    def stage(out: str, *options: str) -> int:
        files = ["--units", str(tmp_path / "units.parquet"), "--out", str(tmp_path / out)]
        run = ["--run", str(tmp_path / f"{out}-run"), "--tokens-per-batch", "128", "--threads", "1"]
        return main(["pretrain", "unit-lm", *files, *run, "--lr", "0.02", *options])

    sizes = ["--dim", "16", "--layers", "1", "--heads", "2"]
    assert stage("first", "--n-units", "12", "--epochs", "6", *sizes) == 0
    source = ["--init-from", str(tmp_path / "first")]
    assert stage("second", "--n-units", "12", "--epochs", "1", *source) == 0
    assert unit_lm.load(tmp_path / "second").config.d_model == 16  # the sizes are those of the first
    last, then = (
        json.loads((tmp_path / f"{name}-run" / "unit_lm.jsonl").read_text().splitlines()[-1])
        for name in ("first", "second")
    )
    assert then["epoch"] == 1 and then["train_loss"] < last["train_loss"]

    assert stage("third", "--n-units", "13", *source) == 2
    assert "has 12 units" in capsys.readouterr().err
    assert stage("second", "--n-units", "12", "--epochs", "1", *sizes) == 2  # that run began elsewhere


def test_a_stopped_encoder_run_goes_on_where_it_was(data, tmp_path, monkeypatch) -> None:
    whole = pretrain(data, tmp_path / "whole", 4)
    step = encoder_stage.Run.train_step

    def stop_at_two(self, batch):
        if self.step == 2:
            self.save()
            raise Stopped
        return step(self, batch)

    monkeypatch.setattr(encoder_stage.Run, "train_step", stop_at_two)
    with pytest.raises(Stopped):
        pretrain(data, tmp_path / "parts", 4)
    monkeypatch.setattr(encoder_stage.Run, "train_step", step)
    parts = pretrain(data, tmp_path / "parts", 4)
    assert parts["step"] == 4
    sizes = ["--dim", "32", "--layers", "2", "--workers", "0", "--steps", "4"]
    other = ["pretrain", "encoder", "--data", str(data), "--run", str(tmp_path / "parts"), *sizes]
    assert main(other) == 2  # the folder holds a run with other settings
    # Dropout alone is drawn in order rather than by step, and its state is kept in the checkpoint.
    for name, value in whole["average"].items():
        torch.testing.assert_close(parts["average"][name], value, atol=1e-5, rtol=1e-4)


def quantised(data, checkpoint, run, steps: int, *options: str) -> int:
    sizes = ["--units", "12", "--workers", "0", "--threads", "1", "--steps", str(steps), *options]
    files = ["--data", str(data), "--checkpoint", str(checkpoint), "--run", str(run)]
    return main(["pretrain", "quantised", *files, *sizes])


def test_units_in_the_loop_are_the_units_that_ship(data, tmp_path) -> None:
    pretrain(data, tmp_path / "run", 4)
    checkpoint = tmp_path / "run" / "encoder.pt"
    assert quantised(data, checkpoint, tmp_path / "quantised", 3, "--layer", "2") == 2  # none is left above
    assert quantised(data, checkpoint, tmp_path / "quantised", 8, "--layer", "1", "--lr", "0.003") == 0
    record = json.loads((tmp_path / "quantised" / "quantised.jsonl").read_text().splitlines()[-1])
    assert record["step"] == 8 and all(np.isfinite(v) for v in record.values())
    assert 1 < record["units_used"] <= 12
    state = torch.load(tmp_path / "quantised" / "quantised.pt", weights_only=True)
    before = torch.load(checkpoint, weights_only=True)["average"]
    for name in (
        "encoder.conv1.weight",
        "encoder.blocks.0.ffn_in.weight",
    ):  # gradients pass the choice of units
        assert not torch.equal(state["model"][name], before[name])

    out = tmp_path / "mini" / "encoder"
    stage = ["pretrain", "centroids", "--data", str(data), "--out", str(out), "--threads", "1"]
    files = ["--checkpoint", str(tmp_path / "quantised" / "quantised.pt")]
    assert main([*stage, *files, "--transcripts", str(tmp_path / "units.parquet"), "--copies", "0"]) == 0
    encoder = UnitEncoder.load(out)
    assert encoder.n_units == 12 and len(encoder.network.blocks) == 1
    torch.testing.assert_close(encoder.centroids, state["average"]["centroids"])


def test_centroids_follow_their_frames_and_unused_ones_are_drawn_anew() -> None:
    model = quantised_stage.QuantisedPretrainer(EncoderConfig(dim=8, n_layers=2), 3, 1, 3)
    model.centroids.copy_(torch.tensor([[0.0], [4.0], [99.0]]).expand(3, 8))
    model.sums.copy_(model.centroids)
    points = torch.tensor([1.0, 1.0, 5.0, 5.0])[None, :, None].expand(1, 4, 8)
    for _ in range(400):
        model.follow(points, nearest(points, model.centroids))
    reached = [round(float(value), 2) for value in model.centroids[:, 0]]
    assert set(reached) == {1.0, 5.0}, reached


def test_a_stopped_run_with_units_goes_on_where_it_was(data, tmp_path, monkeypatch) -> None:
    pretrain(data, tmp_path / "run", 2)
    checkpoint = tmp_path / "run" / "encoder.pt"
    assert quantised(data, checkpoint, tmp_path / "whole", 4, "--layer", "1") == 0
    step = quantised_stage.Run.train_step

    def stop_at_two(self, batch):
        if self.step == 2:
            self.save()
            raise Stopped
        return step(self, batch)

    monkeypatch.setattr(quantised_stage.Run, "train_step", stop_at_two)
    with pytest.raises(Stopped):
        quantised(data, checkpoint, tmp_path / "parts", 4, "--layer", "1")
    monkeypatch.setattr(quantised_stage.Run, "train_step", step)
    assert quantised(data, checkpoint, tmp_path / "parts", 4, "--layer", "1") == 0
    whole, parts = (
        torch.load(tmp_path / name / "quantised.pt", weights_only=True) for name in ("whole", "parts")
    )
    assert parts["step"] == 4
    for name, value in whole["average"].items():
        torch.testing.assert_close(parts["average"][name], value, atol=1e-5, rtol=1e-4)
    assert quantised(data, checkpoint, tmp_path / "parts", 5, "--layer", "1") == 2  # other settings


def test_a_stopped_unit_lm_run_goes_on_where_it_was(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"split": "valid" if i % 5 == 4 else "train", "units": rng.integers(0, 12, 9).tolist()}
        for i in range(60)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "units.parquet")

    def stage(name: str) -> dict:
        sizes = [
            "--dim",
            "16",
            "--layers",
            "1",
            "--heads",
            "2",
            "--threads",
            "1",
            "--tokens-per-batch",
            "128",
        ]
        files = ["--units", str(tmp_path / "units.parquet"), "--out", str(tmp_path / name / "unit_lm")]
        run = ["--run", str(tmp_path / name), "--n-units", "12", "--epochs", "4", "--lr", "0.02"]
        assert main(["pretrain", "unit-lm", *files, *sizes, *run]) == 0
        return torch.load(tmp_path / name / "unit_lm.pt", weights_only=True)

    whole = stage("whole")
    perplexity, epochs = unit_lm_stage.perplexity, []

    def stop_in_the_third_epoch(lm, sequences):
        epochs.append(1)
        if len(epochs) == 3:
            raise Stopped
        return perplexity(lm, sequences)

    monkeypatch.setattr(unit_lm_stage, "perplexity", stop_in_the_third_epoch)
    with pytest.raises(Stopped):
        stage("parts")
    monkeypatch.setattr(unit_lm_stage, "perplexity", perplexity)
    parts = stage("parts")
    assert parts["epoch"] == 4 and parts["settings"] == whole["settings"]
    log = (tmp_path / "parts" / "unit_lm.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2, 3, 4]
    for name, value in whole["model"].items():
        torch.testing.assert_close(parts["model"][name], value, atol=1e-5, rtol=1e-4)


def test_kmeans_finds_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = (centres[:, None] + torch.randn(3, 200, 2, generator=generator)).flatten(0, 1)
    found = kmeans(points, 3, seed=0)
    distances = torch.cdist(centres, found).min(1).values
    assert float(distances.max()) < 0.5
    assert len(nearest(points, found)[:200].unique()) == 1
    with pytest.raises(ValueError, match="at least as many points"):
        kmeans(points[:2], 3, seed=0)


def test_phones() -> None:
    assert spell_out("STOP it") == "S T AA P IH T" and spell_out("xqzt") is None
    unknown = {"label": "unknown", "id": "_unknown_/house_x_nohash_0.wav.wav"}
    assert phones_of("speech_commands", unknown) == "HH AW S"
    assert phones_of("speech_commands", {"label": "silence", "id": "_silence_/1.wav"}) == ""
    assert phones_of("spoken_digits", {"label": "4"}) == "F AO R"
    assert phones_of("librispeech_clips", {"id": "1"}) is None
