"""Synthetic coffee orders: drawn, spoken by espeak-ng, in the columns of the packed speech."""

from __future__ import annotations

import json
import random
import shutil

import pytest

import studies.coffee.spoken
from speechprompt.audio import load as audio
from speechprompt.cli import run_command
from speechprompt.data import dataset
from speechprompt.tasks.catalogue import TASKS
from speechprompt.tasks.labels import labels_of
from studies.coffee import speak as spoken


def test_synthetic_orders_say_what_their_slots_hold() -> None:
    rng = random.Random(3)
    orders = [spoken.draw_order(rng) for _ in range(200)]
    rule = TASKS["coffee_orders"].label_rule
    for text, slots in orders:
        assert 2 <= len(slots) <= 6 and "coffeeDrink" in slots
        assert all(f" {value} " in f" {text} " for value in slots.values())
        assert labels_of({"label": json.dumps(slots)}, rule)
    assert len({text for text, _ in orders}) > 190
    assert spoken.draw_order(random.Random(3)) == orders[0]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng, which speaks, is not installed")
def test_synthetic_orders_are_spoken(tmp_path) -> None:
    out = tmp_path / "orders.parquet"
    assert run_command("spoken", studies.coffee.spoken, ["--orders", "3", "--out", str(out)]) == 0
    examples = dataset.read(out, TASKS["coffee_orders"].label_rule, "train")
    assert len(examples) == 3 and all(len(audio.load(e.audio)) > 12_000 for e in examples)


def test_without_a_voice_one_sentence_says_so(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_command("spoken", studies.coffee.spoken, ["--out", str(tmp_path / "orders.parquet")]) == 2
    assert "espeak-ng" in capsys.readouterr().err and not (tmp_path / "orders.parquet").exists()
