"""What `speechprompt.SpeechPrompt` offers beyond classify: calls, many recordings, more tasks, streams, folders."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechprompt import Answer, Listener, SpeechPrompt, SpeechPromptError, pipeline
from speechprompt.prompts.prompt import Prompt
from tests import tiny

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("root"))


@pytest.fixture
def sp(folder: Path) -> SpeechPrompt:
    return SpeechPrompt.from_pretrained(folder, "cpu")


def own_prompt(sp: SpeechPrompt, task: str = "own", seed: int = 5) -> Prompt:
    return tiny.make_prompt(task, seed=seed, sha256=sp.backbone.unit_lm_sha256)


def test_a_call_answers_one_task_some_or_all(sp: SpeechPrompt) -> None:
    recording = (RATE, tiny.make_waveform())
    known = {answer.task: answer for answer in sp.classify(recording)}
    one, some, every = sp(recording, "fruit"), sp(recording, ["fruit"]), sp(recording)
    assert isinstance(one, Answer) and one.scores == pytest.approx(known["fruit"].scores, abs=1e-5)
    assert list(some) == ["fruit"] and list(every) == ["colours", "fruit"]
    assert {task: answer.label for task, answer in every.items()} == {t: a.label for t, a in known.items()}
    with pytest.raises(SpeechPromptError, match="its tasks are: colours, fruit"):
        sp(recording, "smells")


def test_many_recordings_are_answered_in_batches_as_they_are_taken(
    sp: SpeechPrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BATCH_CLIPS", 2)
    clips = [tiny.make_waveform(0.4 + 0.2 * i, i) for i in range(5)]
    read: list[int] = []

    def recordings() -> Iterator[tuple[int, np.ndarray]]:
        for i, clip in enumerate(clips):
            read.append(i)
            yield RATE, clip

    answers = sp.classify_many(recordings())
    assert read == []
    found = [next(answers)]
    assert read == [0, 1]  # memory does not grow with their number
    found += answers
    assert len(found) == 5
    for clip, many in zip(clips, found, strict=True):
        alone = sp((RATE, clip))
        assert list(many) == list(alone)
        for task, answer in alone.items():
            assert many[task].scores == pytest.approx(answer.scores, abs=1e-5)
            assert many[task].units.ids.tolist() == answer.units.ids.tolist()


def test_a_recording_that_cannot_be_used_is_named_after_the_answers_before_it(sp: SpeechPrompt) -> None:
    answers = sp.classify_many(
        [(RATE, tiny.make_waveform()), b"no sound", (RATE, tiny.make_waveform())], "fruit"
    )
    assert next(answers)["fruit"].task == "fruit"
    with pytest.raises(SpeechPromptError, match=r"^Recording 2: "):
        next(answers)
    with pytest.raises(SpeechPromptError, match="no task 'smells'"):
        sp.classify_many([], "smells")  # before any is read
    assert list(sp.classify_many([])) == []


def test_a_prompt_is_added_or_replaces_one(sp: SpeechPrompt, folder: Path, tmp_path: Path) -> None:
    recording = (RATE, tiny.make_waveform())
    before = sp(recording, "fruit").scores
    sp.add(own_prompt(sp))
    assert sp.tasks == ["colours", "fruit", "own"]
    alone = SpeechPrompt.from_pretrained(folder, "cpu", prompts=[own_prompt(sp)])
    assert sp(recording, "own").scores == pytest.approx(alone(recording, "own").scores, abs=1e-5)
    own_prompt(sp, seed=6).save(tmp_path / "own")
    sp.add(tmp_path / "own")
    assert sp.tasks == ["colours", "fruit", "own"]
    assert sp(recording, "own").scores != pytest.approx(alone(recording, "own").scores, abs=1e-3)
    assert sp(recording, "fruit").scores == pytest.approx(before, abs=1e-5)
    with pytest.raises(SpeechPromptError, match="tuned for the unit LM 000000000000"):
        sp.add(tiny.make_prompt("foreign"))
    assert sp.tasks == ["colours", "fruit", "own"]


def test_what_was_taught_can_be_asked(sp: SpeechPrompt, tmp_path: Path) -> None:
    t = np.arange(8000) / RATE
    noise = np.random.default_rng(0).standard_normal((6, len(t)))
    clips = [
        (0.4 * np.sin(6.28 * 300 * (1 + i // 3) * t) + 0.02 * noise[i]).astype(np.float32) for i in range(6)
    ]
    soundfile.write(tmp_path / "low.wav", clips[0], RATE)
    taught = sp.teach(
        "Tones", {"low": [tmp_path / "low.wav", *clips[1:3]], "high": [(RATE, c) for c in clips[3:]]}
    )
    assert taught.prompt.task == "taught_tones" and taught.prompt.task in sp.tasks
    assert set(sp((RATE, clips[0]), "taught_tones").scores) == {"low", "high"}
    with pytest.raises(SpeechPromptError, match="2 to 10 labels"):
        sp.teach("Tones", {"low": clips[:3]})


def test_a_stream_and_a_folder(sp: SpeechPrompt, tmp_path: Path) -> None:
    assert isinstance(sp.listen("fruit"), Listener)
    with pytest.raises(SpeechPromptError, match="no task 'smells'"):
        sp.listen("smells")
    (tmp_path / "clips").mkdir()
    soundfile.write(tmp_path / "clips" / "a.wav", tiny.make_waveform(), RATE)
    sp.add(own_prompt(sp))
    done = sp.label(tmp_path / "clips", tmp_path / "labels.csv", ["own"], workers=0)
    assert (done.rows, done.failed) == (1, 0)
    with (tmp_path / "labels.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["own.label"] == sp(tmp_path / "clips" / "a.wav", "own").label


def test_dtypes_have_names(folder: Path) -> None:
    assert SpeechPrompt.from_pretrained(folder, "cpu", dtype="bfloat16").backbone.dtype == torch.bfloat16
    for unknown in ("int8", "load", "torch.bfloat16", torch.int8):
        with pytest.raises(SpeechPromptError, match="run in float32, bfloat16, float16, not in"):
            SpeechPrompt.from_pretrained(folder, "cpu", dtype=unknown)


def test_everything_prints_in_one_line(sp: SpeechPrompt) -> None:
    answer = sp((RATE, tiny.make_waveform()), "fruit")
    shown = [repr(thing) for thing in (sp, sp.backbone, sp.prompt("fruit"), answer, answer.units)]
    assert shown[:3] == [
        "<SpeechPrompt tiny on cpu: 2 tasks>", "<Backbone tiny on cpu>", "<Prompt fruit of tiny: 4 labels>",
    ]  # fmt: skip
    assert answer.label in shown[3] and f"{len(answer.units)} in 50 frames" in shown[4]
    assert all(len(line) < 100 and "\n" not in line for line in shown)
