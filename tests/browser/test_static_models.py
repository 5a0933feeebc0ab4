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
import torch

from speechprompt.backbone import Backbone
from speechprompt.making.export import onnx_folder
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from tools import golden

from .conftest import EXAMPLES, WEB, built

GOLDEN: dict[str, Any] = json.loads((WEB / "test" / "golden.json").read_text(encoding="utf-8"))
TASK = "keyword_spotting"
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


@built
def test_models_answer_in_node(models: Path, tmp_path: Path) -> None:
    """Every example, task and kind of prompt: units, labels, slots and judgements are equal, scores within 0.01."""
    golden.write_wav(onnx_folder.example_recordings(), tmp_path)
    write_kinds(tmp_path)
    given = {**os.environ, "SPEECHPROMPT_MODELS": str(models), "SPEECHPROMPT_WAV": str(tmp_path)}
    done = subprocess.run(
        ["npx", "vitest", "run", "test/answers.test.ts", "--reporter=json"], cwd=WEB, env=given,
        capture_output=True, text=True,
    )  # fmt: skip
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert done.returncode == 0, done.stdout[-3000:]
    assert report["numPassedTests"] == len(GOLDEN["recordings"]) + len(KINDS) + 1
