"""What the exported models answer in Node is what the package answers. Needs the packages of web/ (`npm ci` there)."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from speechprompt.audio.segmenter import stretches_of_speech
from speechprompt.audio.speech_detector import SpeechModel
from speechprompt.backbone import Backbone
from speechprompt.making.export import onnx_folder
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from tests.streams import RATE, in_a_row, room
from tools import golden

from .conftest import EXAMPLES, WEB, built

GOLDEN: dict[str, Any] = json.loads((WEB / "test" / "golden.json").read_text(encoding="utf-8"))
TASK = "arabic_commands"  # its verbalizer is learned
KINDS = ("yes.flac", "rain.flac", "lithuanian_hello.flac", "coffee_order.flac")


def test_the_golden_numbers_are_those_of_the_package() -> None:
    backbone = Backbone.load("mini")
    again = "make it again: python -m tools.golden web/test/golden.json"
    assert GOLDEN["unit_lm_sha256"] == backbone.unit_lm_sha256, again
    assert GOLDEN["encoder_sha256"] == backbone.encoder_sha256, again
    found = golden.of_recordings(backbone, onnx_folder.example_recordings(), [TASK])
    assert [one["file"] for one in found] == [one["file"] for one in GOLDEN["recordings"]], again
    for one, expected in zip(found, GOLDEN["recordings"], strict=True):
        assert one["units"] == expected["units"], again
        (now, then) = (entry["answers"][TASK] for entry in (one, expected))
        score, before = now.pop("score", 0.0), then.get("score", 0.0)
        assert now == {name: value for name, value in then.items() if name != "score"}, again
        assert score == pytest.approx(before, abs=1e-4), again
    for made, expected in zip(golden.of_sounds(), GOLDEN["sounds"], strict=True):
        assert (made["span"], made["silent"], made["no_speech"]) == (
            expected["span"], expected["silent"], expected["no_speech"],
        ), again  # fmt: skip
        for rate, resampled in expected["resampled"].items():
            np.testing.assert_allclose(made["resampled"][rate]["samples"], resampled["samples"], atol=1e-5)
    assert golden.of_stream() == GOLDEN["stream"], again
    fit = golden.of_closed_form()
    np.testing.assert_allclose(fit["weight"], GOLDEN["closed_form"]["weight"], atol=1e-5)


def kinds(prompt: Prompt) -> list[Prompt]:
    """Prompts of the kinds that a backbone may have none of, made from one whose verbalizer is learned."""
    C, n = len(prompt.labels), prompt.verbalizer_weight.shape[1] - 4  # type: ignore[union-attr]
    vectors = prompt.key_prompts
    assert vectors is not None
    calibration: Any = {
        "temperature": 1.3, "threshold": 0.3, "split": "valid", "n": 10, "error_before": 0.1, "error_after": 0.1,
        "right_flagged": 0.1, "wrong_flagged": 0.9, "speech": 0.4, "language": 0.3,
        "negatives": 5, "negatives_flagged": 0.9,
    }  # fmt: skip
    fixed: dict[str, Any] = {
        "verbalizer_weight": None,
        "metrics": {},
        "expects": "any sound",
        "languages": (),
    }
    plain = AnswerForm(labels=prompt.labels)
    every = (
        torch.arange(n - n % C).reshape(-1, C).T.contiguous()
    )  # nearly all units, so that most answers fit
    half = every[:, ::2].clone()
    half[:, 1:][torch.arange(C) % 3 == 0] = -1  # some labels have one unit
    sequence = AnswerForm(labels=prompt.labels, kind="sequence", max_steps=4, beams=3)
    slots = AnswerForm(labels=prompt.labels, kind="slots", slots={"what": C // 2, "where": C - C // 2})
    sure = {**calibration, "slope": 0.7, "offset": 0.4}
    inputs: dict[str, Any] = {"key_prompts": None, "value_prompts": None, "input_prompts": vectors[0]}
    return [
        replace(prompt, task="several", **{**fixed, "verbalizer_units": every}, form=replace(plain, window=1.0)),
        replace(prompt, task="strict", **{**fixed, "verbalizer_units": every}, form=plain, calibration=calibration),
        replace(prompt, task="judged", **{**fixed, "verbalizer_units": every, "expects": "speech",
                "languages": ("en",)}, form=plain, calibration=calibration),
        replace(prompt, task="some", **{**fixed, "verbalizer_units": half}, form=plain, calibration=None),
        replace(prompt, task="few", **{**fixed, "verbalizer_units": torch.arange(C)}, form=plain, calibration=None),
        replace(prompt, task="in_slots", **{**fixed, "verbalizer_units": every}, form=slots, calibration=None),
        replace(prompt, task="in_a_row", **{**fixed, "verbalizer_units": every}, form=sequence, calibration=sure),
        replace(prompt, task="before", **inputs, form=plain),
        replace(prompt, task="behind", **inputs, form=plain, positions="after_prompt"),
        replace(prompt, task="counted", positions="after_prompt", form=plain),
        replace(prompt, task="ready", projected=True, form=plain),
    ]  # fmt: skip


def write_kinds(folder: Path) -> None:
    """kinds/TASK, and kinds.json with what the package answers with them; the judges are the backbone's."""
    backbone = Backbone.load("mini")
    for prompt in kinds(backbone.prompt(TASK)):
        prompt.save(folder / "kinds" / prompt.task)
    stored = [
        Prompt.load(path) for path in sorted((folder / "kinds").iterdir())
    ]  # in 16 bits, as Node reads them
    judges = [backbone.prompt(task) for task in ("voice_activity", "language_id")]
    recordings = [EXAMPLES / file for file in KINDS]
    tasks = [prompt.task for prompt in stored]
    found = golden.of_recordings(backbone, recordings, tasks, [*stored, *judges])
    fits = {answer["fits"] for one in found for answer in one["answers"].values()}
    assert fits == {"yes", "unsure", "no"}  # so that each is compared
    (folder / "kinds.json").write_text(json.dumps(found), encoding="utf-8")


def streams() -> dict[str, np.ndarray]:
    """Name -> float32 at 16 kHz: words in a row, and what is no speech."""
    t = np.arange(6 * RATE) / RATE
    bar = (t // 0.5).astype(int) % 4
    chord = sum(
        np.sin(2 * np.pi * np.array([220, 247, 262, 196])[bar] * ratio * t) for ratio in (1, 1.25, 1.5)
    )
    return {
        "words": in_a_row(["yes", "stop", "right", "yes"], 0.3, -60)[0],
        "words in noise": in_a_row(["right", "yes", "stop"], 0.3, -48)[0],
        "digits": in_a_row(["three", "seven", "nine"])[0],
        "arabic": in_a_row(["arabic_seven", "arabic_cancel"])[0],
        "rain and a rooster": in_a_row(["rain", "rooster"])[0],
        "music": (0.1 * chord * np.exp(-3 * (t % 0.5))).astype(np.float32) + room(6, -60),
        "a fan starts": np.r_[room(3, -65), room(5, -35, 1)],
        "a burst of noise": np.r_[room(2, -60), room(0.5, -25, 1), room(1, -60)],
    }


def write_streams(folder: Path) -> None:
    """Each stream as WAV, and streams.json with how likely speech is in each frame, and its stretches."""
    found = []
    for name, stream in streams().items():
        soundfile.write(folder / f"{name}.wav", stream, RATE, subtype="FLOAT")
        ahead = np.r_[np.zeros(64, np.float32), stream]
        stretches = [[one.start, one.end, len(one.sound)] for one in stretches_of_speech(stream)]
        found.append(
            {
                "file": f"{name}.wav",
                "probabilities": SpeechModel().probabilities(ahead),
                "stretches": stretches,
            }
        )
        words = {"words": 4, "words in noise": 3, "digits": 3, "arabic": 2}
        assert len(stretches) == words.get(name, 0), name
    (folder / "streams.json").write_text(json.dumps(found), encoding="utf-8")


@built
def test_models_answer_in_node(models: Path, tmp_path: Path) -> None:
    """Every example, task and kind of prompt: units, labels, slots and judgements are equal, scores within 0.01."""
    golden.write_wav(onnx_folder.example_recordings(), tmp_path)
    write_kinds(tmp_path)
    write_streams(tmp_path)
    given = {**os.environ, "SPEECHPROMPT_MODELS": str(models), "SPEECHPROMPT_WAV": str(tmp_path)}
    done = subprocess.run(
        ["npx", "vitest", "run", "test/answers.test.ts", "--reporter=json"], cwd=WEB, env=given,
        capture_output=True, text=True,
    )  # fmt: skip
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert done.returncode == 0, done.stdout[-3000:]
    assert report["numPassedTests"] == len(GOLDEN["recordings"]) + len(KINDS) + len(streams()) + 1
