"""Orders made of recorded ones: values are found in what is heard, and change places between recordings."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from tiny import make_backbone, make_waveform

from speechprompt.audio import load as audio
from speechprompt.cli import run_command
from speechprompt.data import dataset
from speechprompt.tasks.catalogue import TASKS
from studies.coffee import splice as coffee_splices
from studies.coffee import spliced
from studies.coffee.splice import Aligned, PhoneReader, align, align_order, blend, splice

PHONES = ["AA", "K", "L", "M", "S"]


def heard(spoken: dict[int, int], n_frames: int) -> torch.Tensor:
    """Log-probabilities [n_frames, 6] of a reader that is sure: frame -> phone, else the blank."""
    logits = torch.zeros(n_frames, 1 + len(PHONES))
    for frame in range(n_frames):
        logits[frame, spoken.get(frame, 0)] = 8
    return logits.log_softmax(-1)


def test_values_are_found_between_other_words() -> None:
    # "S L" (other words), "K AA", "M" (another one), "L S"
    log_probs = heard({2: 5, 4: 3, 10: 2, 13: 1, 18: 4, 24: 3, 27: 5}, 32)
    score, spans = align(log_probs, [[2, 1], [3, 5]])
    (first, first_end), (second, second_end) = spans
    assert 4 < first <= 10 and 13 < first_end <= 18
    assert 18 < second <= 24 and 27 < second_end <= 32
    wrong, _ = align(log_probs, [[3, 5], [2, 1]])
    assert wrong < score < 0


def test_values_that_do_not_fit_have_no_place() -> None:
    assert align(heard({}, 5), [[1, 1, 1]]) == (float("-inf"), [])


def test_the_order_of_the_slots_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PhoneReader(1 + len(PHONES), PHONES)
    with torch.no_grad():
        reader.layer.weight.copy_(torch.eye(1 + len(PHONES)))
        reader.layer.bias.zero_()
    words = {"milk": "M K", "coffee": "K AA", "small": "S L"}
    monkeypatch.setattr(coffee_splices, "spell_out", words.get)
    features = heard({4: 5, 6: 3, 12: 2, 14: 1, 20: 4, 23: 2}, 28)  # small coffee … milk
    slots = {"coffeeDrink": "coffee", "milkAmount": "milk", "size": "small"}
    _, found = align_order(reader, features, slots)
    assert list(found) == ["size", "coffeeDrink", "milkAmount"]
    assert {name: value for name, (value, *_) in found.items()} == slots
    ends = [edge for _, first, end in found.values() for edge in (first, end)]
    assert ends == sorted(ends)


def test_phones_are_learnt_from_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coffee_splices, "spell_out", lambda text: " ".join(text.split()))
    monkeypatch.setattr(coffee_splices, "STEPS", 600)
    monkeypatch.setattr(coffee_splices, "LEARNING_RATE", 0.05)  # so few steps need a higher one
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(PHONES)[:3]) for _ in range(60)]
    features = []
    for text in texts:
        frames = torch.zeros(12, len(PHONES))
        for i, phone in enumerate(text.split()):
            frames[4 * i + 1 : 4 * i + 3, PHONES.index(phone)] = 3
        features.append(frames + 0.1 * torch.from_numpy(rng.standard_normal((12, len(PHONES)))).float())
    reader = coffee_splices.learn_phones(features, texts, seed=0)
    right = 0
    for text, frames in zip(texts, features, strict=True):
        best = torch.unique_consecutive(reader(frames).argmax(-1)).tolist()
        right += [number for number in best if number] == reader.numbers(text)
    assert right > 50


def test_a_cut_is_blended() -> None:
    steady = np.full(1000, 0.5, np.float32)
    joined = blend([steady, steady, steady])
    assert len(joined) == 3000 - 2 * coffee_splices.FADE and joined.dtype == np.float32
    np.testing.assert_allclose(joined, 0.5, atol=1e-6)
    assert len(blend([steady, steady[:40]])) == 1000  # pieces shorter than the fade


def order(seed: int, **values: str) -> Aligned:
    """One second in which the values are said one after the other, as noise of the recording's loudness."""
    waveform = make_waveform(1.0, seed)
    edges = np.linspace(2000, 14_000, len(values) + 1).astype(int)
    slots = {n: (v, int(a), int(b)) for (n, v), a, b in zip(values.items(), edges, edges[1:], strict=False)}
    return Aligned(waveform, slots)


def test_values_change_places_between_recordings() -> None:
    orders = [
        order(1, size="small", coffeeDrink="mocha"),
        order(2, coffeeDrink="latte", milkAmount="soy milk"),
        order(3, size="large", coffeeDrink="espresso"),
    ]
    made = [splice(orders, random.Random(seed)) for seed in range(60)]
    spliced = {tuple(values.items()) for _, values in made}
    assert (("size", "small"), ("coffeeDrink", "latte")) in spliced  # nobody ordered this
    assert {tuple(values) for _, values in made} == {("size", "coffeeDrink"), ("coffeeDrink", "milkAmount")}
    for waveform, _ in made:
        assert waveform.dtype == np.float32 and 0.5 < len(waveform) / audio.SAMPLE_RATE < 1.5
        assert np.isfinite(waveform).all() and np.abs(waveform).max() <= 1
    again = splice(orders, random.Random(7))
    np.testing.assert_array_equal(again[0], made[7][0])


def recordings(path: Path, split: str = "train", **columns: list[str]) -> Path:
    rows = []
    for number, values in enumerate(zip(*columns.values(), strict=True)):
        file = io.BytesIO()
        soundfile.write(file, make_waveform(2.0, number), audio.SAMPLE_RATE, format="FLAC")
        rows.append(
            {
                "id": str(number),
                "split": split,
                "audio": file.getvalue(),
                **dict(zip(columns, values, strict=True)),
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(coffee_splices, "STEPS", 3)
    monkeypatch.setattr(coffee_splices, "WORST_SCORE", float("-inf"))  # nothing is said in noise
    slots = [
        {"size": "small", "coffeeDrink": "latte"},
        {"coffeeDrink": "mocha", "sugarAmount": "a bit of sugar"},
    ]
    data = recordings(tmp_path / "orders.parquet", label=[json.dumps(s) for s in slots])
    spoken = recordings(
        tmp_path / "spoken.parquet", text=["a small mocha with a bit of sugar", "a latte"] * 2
    )
    out = tmp_path / "made" / "spliced.parquet"
    command = ["--backbone", str(make_backbone(tmp_path)), "--orders", "5"]
    command += ["--data", str(data), "--spoken", str(spoken), "--out", str(out)]
    assert run_command("spliced", spliced, command) == 0
    assert "2 of 2 recorded orders were aligned" in capsys.readouterr().out
    made = dataset.read(out, TASKS["coffee_orders"].label_rule, "train")
    assert len(made) == 5 and all(audio.load(row.audio).size > 8000 for row in made if row.audio)
    assert {label.partition("=")[0] for row in made for label in row.labels} <= {
        "size",
        "coffeeDrink",
        "sugarAmount",
    }
    for label, orders in (
        ("[]", "is no JSON object"),
        ('{"cup": "large"}', "is no JSON"),
        ("latte", "is no JSON"),
    ):
        recordings(data, label=[label])
        assert run_command("spliced", spliced, command) != 0
        assert orders in capsys.readouterr().err
    recordings(data, label=['{"coffeeDrink": "cappuccino"}'])
    assert run_command("spliced", spliced, command) != 0
    assert "The synthetic orders never say the phone" in capsys.readouterr().err
    recordings(data, split="test", label=["{}"])
    assert run_command("spliced", spliced, command) != 0
    assert "need rows in the train split" in capsys.readouterr().err
    data.write_text("no table")
    assert run_command("spliced", spliced, command) != 0
    assert "orders.parquet cannot be read as a parquet file" in capsys.readouterr().err
