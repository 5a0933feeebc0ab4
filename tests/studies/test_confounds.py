"""The benchmark of confounds finds a channel that gives the labels away, and none after control."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

import studies.confounds
from speechprompt.backbone import Backbone
from speechprompt.cli import run_command
from speechprompt.tasks.catalogue import TASKS, Task
from studies.measures import confounds, silence_classifier
from tests.tiny import make_backbone, make_prompt


def clip(hum: float, rng: np.random.Generator) -> np.ndarray:
    """A gliding tone of 0.5 s in 0.4 s of silence on either side, in a room that hums at so many Hz."""
    t = np.arange(int(1.3 * 16_000)) / 16_000
    voice = np.zeros(len(t))
    voice[6400:14_400] = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 900) * (1 + t[:8000]) * t[:8000])
    return (voice + 0.006 * np.sin(2 * np.pi * hum * t) + 0.001 * rng.standard_normal(len(t))).astype(
        np.float32
    )


def write_set(path: Path, label: str, hum: float, n: int) -> None:
    rows = []
    for i in range(n):
        file = io.BytesIO()
        rng = np.random.default_rng([n, int(hum), i])
        soundfile.write(file, clip(hum, rng), 16_000, format="FLAC")
        split = "train" if i < n // 2 else "test"
        # Two clips of the test split are of nobody's, or of a speaker of the train split.
        speaker = {n - 1: "", n - 2: "speaker-0"}.get(i, f"speaker-{i}")
        rows.append(
            {"id": str(i), "split": split, "audio": file.getvalue(), "speaker": speaker, "label": label}
        )
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real voices in one room, synthetic ones in another: the files of the task fake_speech."""
    folder = tmp_path_factory.mktemp("data")
    for name, label, hum, n in (
        ("read_english", "a", 1000, 40),
        ("librispeech_clips", "b", 1000, 8),
        ("synthetic_speech", "synthetic", 4000, 48),
    ):
        write_set(folder / f"{name}.parquet", label, hum, n)
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = (make_prompt("fake_speech", ("synthetic", "real")),)
    return make_backbone(tmp_path_factory.mktemp("root"), prompts=prompts)


def test_a_room_of_its_own_is_found_and_control_hides_it(folder: Path, backbone: Path) -> None:
    figures = confounds.measure(Backbone(backbone), TASKS["fake_speech"], folder, 24, 20, seed=0)
    found = {name: row["balanced_accuracy"] for name, row in figures["classifier"].items()}
    assert figures["chance"] == 0.5 and found["as it is"] > 0.95
    controlled = figures["classifier"]["controlled, as tuned"]
    assert controlled["balanced_accuracy"] < 0.5 + controlled["half_width95"] + 0.05
    assert set(found) == set(confounds.TREATMENTS)
    assert sum(figures["prompt"]["answered"].values()) == pytest.approx(1)
    assert 0 <= figures["prompt"]["balanced_accuracy"] <= 1


def test_held_out_speakers_are_known_and_new(folder: Path) -> None:
    train, held_out = confounds.read_split(folder, TASKS["fake_speech"])
    assert len(train) == 48 and {e.split for e in train} == {"train"}
    assert len(held_out) == 48 - 6 and {e.split for e in held_out} == {"test"}


def test_silence_is_that_around_the_speech() -> None:
    waveform = clip(1000, np.random.default_rng(0))
    quiet = confounds.silence(waveform, 6400, 14_400)
    assert len(quiet) == pytest.approx(12_800, abs=1000) and np.abs(quiet).max() < 0.02
    assert not len(confounds.silence(waveform, 0, len(waveform)))


def test_the_classifier_learns_what_can_be_learnt() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(200, 6, generator=generator), torch.randint(3, (200,), generator=generator)
    x[torch.arange(200), y] += 4
    answer = silence_classifier.fit(x[:100], y[:100], 3)
    found, half = silence_classifier.balanced_accuracy(y[100:], answer(x[100:]), 3)
    assert found > 0.9 and 0 < half < 0.1
    assert silence_classifier.balanced_accuracy(torch.tensor([0, 0, 0, 1]), torch.zeros(4), 2)[0] == 0.5


def test_the_command_prints_a_table_and_json(folder: Path, backbone: Path, capsys) -> None:
    options = ["--task", "fake_speech", "--train", "12", "--test", "12", "--json"]
    assert (
        run_command("confounds", studies.confounds, [str(folder), "--backbone", str(backbone), *options]) == 0
    )
    printed = capsys.readouterr().out
    assert "| as it is | classifier |" in printed and "| as it is | prompt |" in printed
    (figures,) = json.loads(printed.splitlines()[-1])["tasks"]
    assert figures["labels"] == ["synthetic", "real"] and figures["n_train"] == 24


def test_clips_without_silence_are_said_to_be_too_few(folder: Path, backbone: Path) -> None:
    task = Task("x", "X", "Other", "", "", TASKS["fake_speech"].label_rule, files=("librispeech_clips",))
    with pytest.raises(confounds.SpeechPromptError, match="too few clips"):
        confounds.measure(Backbone(backbone), task, folder, 4, 4, seed=0)
