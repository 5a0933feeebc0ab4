"""The prosody LM's training, a few steps long, on speech that is made here."""

from __future__ import annotations

import argparse
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from speechprompt.commands.pretrain import prosody_lm as command
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain import prosody_lm as stage
from speechprompt.making.pretrain import prosody_transcripts as transcripts
from speechprompt.making.pretrain.corpus import Clip
from speechprompt.models import prosody_lm, unit_lm
from speechprompt.models.prosody_lm import ProsodyConfig
from speechprompt.units import Units
from tests.tiny import N_UNITS, make_encoder, make_lm, make_waveform

SIZES = ["--dim", "16", "--layers", "2", "--heads", "2", "--n-units", str(N_UNITS), "--threads", "1"]


class Stopped(Exception):
    pass


def run(*options: object) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(option) for option in options]))


def made_units(seed: int, n: int) -> Units:
    """Units whose duration and F0 follow from the unit, as far as an LM can learn them."""
    ids = np.random.default_rng(seed).integers(0, N_UNITS, n)
    return Units(ids, np.cumsum(ids % 4 + 1), ids % 4 + 1, (ids / 10 - 0.95).astype(np.float32))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "prosody.parquet"
    table = []
    for i in range(60):
        units = made_units(i, 10 + i % 7)
        row = {"id": str(i), "dataset": "made", "split": "train" if i % 5 else "valid"}
        table.append(row | {"units": units.ids, "lengths": units.lengths, "log_f0": units.log_f0})
    transcripts.write(table, path)
    return path


def test_speech_becomes_transcripts_then_an_lm(tmp_path) -> None:
    make_encoder().save(tmp_path / "encoder")
    data = []
    for i in range(12):
        file = io.BytesIO()
        soundfile.write(file, make_waveform(0.4 + 0.05 * i, i), 16_000, format="FLAC")
        split = "valid" if i % 4 == 3 else "train"
        data.append({"id": str(i), "split": split, "label": str(i % 10), "audio": file.getvalue()})
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(data), tmp_path / "data" / "spoken_digits.parquet")
    out, file = tmp_path / "lm", tmp_path / "runs" / "prosody.parquet"
    options = ["--transcripts", file, "--encoder", tmp_path / "encoder", "--data", tmp_path / "data"]
    run(*options, *SIZES, "--transcripts-only")
    table = pq.read_table(file).to_pylist()
    assert len(table) == 12 + 9  # every clip, and a simulated recording of each train clip
    for row in table:
        assert len(row["units"]) == len(row["lengths"]) == len(row["log_f0"])
        assert np.abs(row["log_f0"]).max() < 2  # about the recording's own mean; unnormalised it is about 5
    assert sum(any(row["log_f0"]) for row in table) > 10
    assert not out.exists()
    run(*options, *SIZES, "--out", out, "--run", tmp_path / "run", "--epochs", "1")
    lm = prosody_lm.load(out)
    assert lm.config.vocab_size == N_UNITS + 4 and lm.prosody.f0_edges.shape == (31,)


def test_transcripts_do_not_depend_on_the_number_of_processes() -> None:
    encoder = make_encoder()
    samples = [(make_waveform(0.5, i) * 32767).astype(np.int16) for i in range(3)]
    clips = [Clip("spoken_digits", str(i), "train", s, "AH", None) for i, s in enumerate(samples)]
    alone, pooled = (list(transcripts.transcribe(encoder, clips, 1, 0, workers)) for workers in (0, 1))
    assert [row["id"] for row in alone] == [row["id"] for row in pooled] and len(alone) == 6
    for a, b in zip(alone, pooled, strict=True):
        np.testing.assert_array_equal(a["units"], b["units"])
        np.testing.assert_array_equal(a["log_f0"], b["log_f0"])


def test_long_transcripts_are_cut(rows) -> None:
    whole, cut = transcripts.read(rows, "train", 100), transcripts.read(rows, "train", 6)
    assert len(cut) > len(whole) and max(map(len, cut)) == 6
    assert sum(map(len, cut)) == sum(map(len, whole))
    np.testing.assert_array_equal(np.concatenate([u.log_f0 for u in cut[:2]])[:6], whole[0].log_f0[:6])
    assert all(units.starts[0] == 0 for units in cut)
    with pytest.raises(SpeechPromptError, match="none.parquet cannot be read as a parquet file"):
        transcripts.read(rows.with_name("none.parquet"), "train", 6)


def test_a_batch_reads_prosody_late_and_wants_it_with_the_unit_after() -> None:
    prosody = ProsodyConfig(f0_edges=np.linspace(-1, 1, 31))
    units = Units(np.array([7, 2]), np.array([0, 3]), np.array([3, 30]), np.array([-5, 5], np.float32))
    tokens, durations, f0, next_tokens, wanted_durations, wanted_f0 = stage.batch_of([units], prosody)
    assert tokens.tolist() == [[3, 11, 6, 2]] and next_tokens.tolist() == [[11, 6, 2, 1]]
    assert durations.tolist() == [[0, 0, 3, 20]] and wanted_durations.tolist() == [[0, 3, 20, 0]]
    assert f0.tolist() == [[33, 32, 0, 31]] and wanted_f0.tolist() == [[32, 0, 31, 15]]


def test_each_stream_counts_every_unit_and_the_end_once() -> None:
    lm = prosody_lm.make(N_UNITS, 16, 1, 2, 32, ProsodyConfig(f0_edges=np.linspace(-1, 1, 31))).eval()
    for head in (lm.lm_head, lm.duration_head, lm.f0_head):
        head.weight.data.zero_()  # every symbol is equally likely
    losses, steps = stage.losses_of(lm, stage.batch_of([made_units(0, 5), made_units(1, 8)], lm.prosody))
    assert steps == 6 + 9  # the start symbol has no prosody, the end no unit after it
    for loss, n_symbols in zip(losses, (N_UNITS + 4, 25, 36), strict=True):
        assert loss.item() == pytest.approx(15 * np.log(n_symbols), rel=1e-5)


def test_padding_changes_no_loss() -> None:
    lm = prosody_lm.make(N_UNITS, 16, 2, 2, 32, ProsodyConfig(f0_edges=np.linspace(-1, 1, 31))).eval()
    utterances = [made_units(0, 5), made_units(1, 11)]
    together, steps = stage.losses_of(lm, stage.batch_of(utterances, lm.prosody))
    apart = [stage.losses_of(lm, stage.batch_of([units], lm.prosody)) for units in utterances]
    assert steps == 6 + 12 == sum(n for _, n in apart)
    for i, loss in enumerate(together):
        torch.testing.assert_close(loss, apart[0][0][i] + apart[1][0][i], rtol=0.01, atol=0)


def test_a_plain_unit_lm_is_where_it_starts_from() -> None:
    source = make_lm()
    lm = stage.from_unit_lm(source, ProsodyConfig(f0_edges=np.linspace(-1, 1, 31)), 0.0, 0).eval()
    assert all(p.requires_grad for p in lm.parameters())
    for table in (lm.embed_durations, lm.embed_f0):
        table.weight.data.zero_()
    tokens, none = torch.tensor([[3, 9, 10, 5]]), torch.zeros(1, 4, dtype=torch.int64)
    plain = source(torch.tensor([[2, 9, 10, 5]])).logits  # it starts with `</s>`
    found = lm.forward_streams(tokens, none, none)[0]
    known = [i for i in range(N_UNITS + 4) if i != 3]  # the row of <s> is another one now
    torch.testing.assert_close(found[..., known], plain[..., known], atol=1e-5, rtol=0)


def test_training_learns_all_streams_and_resumes(rows, tmp_path, monkeypatch) -> None:
    options = ["--transcripts", rows, *SIZES, "--lr", "0.02", "--tokens-per-batch", "128", "--epochs", "12"]

    def train(name: str) -> list[dict]:
        run(*options, "--out", tmp_path / name / "lm", "--run", tmp_path / name)
        lines = (tmp_path / name / "prosody_lm.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    whole = train("whole")
    assert [record["epoch"] for record in whole] == list(range(1, 13))
    assert whole[-1]["valid_duration"] < 0.7 * whole[0]["valid_duration"]
    assert whole[-1]["valid_f0"] < 0.7 * whole[0]["valid_f0"]
    weighted = whole[-1]["valid_unit"] + 0.5 * whole[-1]["valid_duration"] + 0.5 * whole[-1]["valid_f0"]
    assert whole[-1]["valid_loss"] == pytest.approx(weighted, abs=1e-3)

    measure, calls = stage.measure, []

    def stop_in_epoch_3(*args):
        calls.append(args)
        if len(calls) == 3:
            raise Stopped
        return measure(*args)

    monkeypatch.setattr(stage, "measure", stop_in_epoch_3)
    with pytest.raises(Stopped):
        train("parts")
    monkeypatch.setattr(stage, "measure", measure)
    assert train("parts") == whole
    with pytest.raises(SpeechPromptError, match="choose an empty --run"):
        run(*options, "--seed", "1", "--out", tmp_path / "lm", "--run", tmp_path / "whole")
    with pytest.raises(SpeechPromptError, match="beyond the 5"):
        run(*options, "--n-units", "5", "--out", tmp_path / "lm", "--run", tmp_path / "other")


def test_init_from_a_folder(rows, tmp_path) -> None:
    unit_lm.save(make_lm(), tmp_path / "plain")
    out = tmp_path / "lm"
    options = ["--init-from", tmp_path / "plain", "--out", out, "--run", tmp_path / "run", "--epochs", "1"]
    run("--transcripts", rows, "--threads", "1", *options)
    assert prosody_lm.load(out).config.ffn_dim == 32
