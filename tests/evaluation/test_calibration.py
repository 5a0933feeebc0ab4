"""Calibrated scores: the temperature, the threshold, and the way they take into prompts and answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.commands.classify import details_text
from speechprompt.decoding.generation import PromptedLM, stream
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation import calibration
from speechprompt.evaluation.calibration import careful_threshold, fit_threshold, student_quantile
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.card_texts import calibration_text
from speechprompt.prompts.prompt import Prompt
from tests import tiny
from tests.shipped import BACKBONES, PROMPTS

FITTED: dict[str, Any] = {
    "temperature": 2.5, "threshold": 0.6, "split": "valid", "n": 40, "error_before": 0.2,
    "error_after": 0.05, "right_flagged": 0.05, "wrong_flagged": None,
}  # fmt: skip


def drawn(temperature: float, n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, 4] whose softmax at `temperature` is the truth's distribution; and where argmax is right."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 4))
    odds = np.exp(logits / temperature)
    truth = np.array([rng.choice(4, p=row / row.sum()) for row in odds])
    return logits, logits.argmax(1) == truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_truth_is_found_and_calibrates(temperature: float) -> None:
    logits, right = drawn(temperature)
    found = calibration.fit_temperature([logits], right)
    assert found == pytest.approx(temperature, rel=0.12)
    after = calibration.expected_calibration_error(calibration.answer_scores([logits], found), right)
    assert after < 0.025
    if temperature != 1:
        scores = calibration.answer_scores([logits], 1.0)
        assert calibration.expected_calibration_error(scores, right) > 2 * after


def test_answers_that_are_all_right_do_not_make_scores_certain() -> None:
    logits = np.random.default_rng(0).normal(0, 1, (50, 3)) + np.array([20, 0, 0])
    found = calibration.fit_temperature([logits], np.ones(50, bool))
    mean = float(calibration.answer_scores([logits], found).mean())
    assert mean == pytest.approx(51 / 52, abs=0.01)


def test_the_threshold_spares_nineteen_of_twenty_right_answers() -> None:
    scores = np.linspace(0.01, 1, 100)
    threshold = calibration.fit_threshold(scores)
    assert (scores < threshold).sum() == 5
    assert calibration.fit_threshold(scores[:19]) <= scores[0]  # one of nineteen would be too many
    assert calibration.fit_threshold(np.array([])) == 0.0


def test_calibration_error_by_hand() -> None:
    scores, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([True, True, True, False])
    assert calibration.expected_calibration_error(scores, right) == pytest.approx((0.1 + 0.1) / 4)


UTTERANCES = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [3], [10, 11, 2], [19, 1, 5]]


@pytest.mark.parametrize("verbalizer", ["learned", "fixed"])
@pytest.mark.parametrize("kind", ["label", "slots"])
def test_a_temperature_changes_scores_and_no_label(verbalizer: str, kind: Any) -> None:
    lm = tiny.make_lm()
    slots = {"slots": {"one": 2, "two": 2}} if kind == "slots" else {}
    plain = tiny.make_prompt(
        "t", ("a", "b", "c", "d"), verbalizer=verbalizer, kind=kind, with_label_embeddings=kind == "slots", **slots
    )  # fmt: skip
    hot = replace(plain, calibration=FITTED)
    for (one,), (other,) in zip(
        PromptedLM(lm, [plain]).answer(UTTERANCES),
        PromptedLM(lm, [hot]).answer(UTTERANCES),
        strict=True,
    ):
        assert one.labels == other.labels and one.score > other.score
        logits = calibration.step_logits(plain, one)
        for raw, temperature in ((one, 1.0), (other, 2.5)):
            score = calibration.answer_scores([step[None] for step in logits], temperature)
            assert raw.score == pytest.approx(float(score[0]), rel=1e-4)


@pytest.mark.parametrize("kind", ["label", "slots"])
def test_what_is_fitted_is_what_the_pipeline_then_flags(tmp_path: Path, kind: Any) -> None:
    slots = {"slots": {"one": 2, "two": 2}} if kind == "slots" else {}
    prompt = tiny.make_prompt(
        "t", ("a", "b", "c", "d"), kind=kind, with_label_embeddings=kind == "slots", **slots
    )
    backbone = Backbone(tiny.make_backbone(tmp_path, prompts=(prompt,)))
    prompt = backbone.prompt("t")
    rng = np.random.default_rng(1)
    utterances = [rng.integers(0, tiny.N_UNITS, 6) for _ in range(60)]
    answered = [raw.labels for (raw,) in PromptedLM(backbone.lm, [prompt]).answer(utterances)]
    truth = [[1 - labels[0], *labels[1:]] if i % 4 == 0 else labels for i, labels in enumerate(answered)]
    right = np.array([a == b for a, b in zip(answered, truth, strict=True)])
    fitted = calibration.calibrate(backbone.lm, prompt, utterances, truth, "valid")
    prompt = replace(prompt, calibration=fitted)
    assert prompt.calibration["n"] == 60 and prompt.calibration["right_flagged"] <= 0.05
    prompt.save(tmp_path / "kept")
    answers = SpeechPrompt(backbone, [Prompt.load(tmp_path / "kept")]).classify_units(utterances)
    flagged = np.array([a.flagged for (a,) in answers])
    assert flagged[right].mean() == pytest.approx(prompt.calibration["right_flagged"], abs=0.03)
    assert flagged[~right].mean() == pytest.approx(prompt.calibration["wrong_flagged"], abs=0.07)
    assert all(a.to_dict()["flagged"] is bool(f) for (a,), f in zip(answers, flagged, strict=True))
    assert all(a.flagged == (a.score < prompt.threshold) for (a,) in answers)


def test_the_score_of_a_whole_sequence_becomes_the_probability_that_it_is_right() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(1.0, 2.0, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(0.5 * odds - 0.7)))
    found = calibration.fit_sequences(1 / (1 + np.exp(-odds)), right, "valid")
    assert found["slope"] == pytest.approx(0.5, abs=0.05) and found["offset"] == pytest.approx(-0.7, abs=0.1)
    assert found["error_after"] < 0.03 < found["error_before"]
    prompt = tiny.make_prompt("t", ("a", "b"), kind="sequence", max_steps=4)
    assert prompt.believed(0.8) == 0.8
    believed = replace(prompt, calibration=found).believed(0.8)
    assert believed == pytest.approx(1 / (1 + math.exp(-(found["slope"] * math.log(4) + found["offset"]))))


def test_sequences_are_calibrated_and_the_card_says_how() -> None:
    lm, prompt = tiny.make_lm(), tiny.make_prompt("t", ("a", "b"), kind="sequence", max_steps=4)
    utterances = [[i % tiny.N_UNITS, (3 * i) % tiny.N_UNITS, 5] for i in range(30)]
    truth = [raw.labels if i % 3 else [0] for i, raw in enumerate(stream(lm, prompt, utterances))]
    found = calibration.calibrate(lm, prompt, utterances, truth, "valid")
    assert {"slope", "offset"} <= found.keys() and found["temperature"] == 1
    assert f"are {found['slope']:g} times" in calibration_text(replace(prompt, calibration=found))
    with pytest.raises(SpeechPromptError, match="without labelled utterances"):
        calibration.calibrate(lm, tiny.make_prompt(), [], [], "valid")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "calibration.temperature must be greater than or equal to 0.01"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"threshold": 1.1}, "threshold"),
        ({"right_flagged": -0.1}, "right_flagged"),
        ({"split": "va\u202elid"}, "split"),
        ({"n": 0}, "calibration.n must be greater than or equal to 1"),
        ({"more": 1}, "unknown entry 'calibration.more'"),
        ({"labels": {"red": 1.1}}, "labels"),
        ({"labels": {"mauve": 0.5}}, "labels of the calibration must be among the prompt's labels"),
    ],
)
def test_a_hostile_calibration_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        replace(tiny.make_prompt(), calibration=FITTED | change)


@pytest.mark.parametrize("value", [{}, [], "x", {"temperature": 1.0}])
def test_a_calibration_is_empty_or_whole(value: Any) -> None:
    with pytest.raises(SpeechPromptError, match="calibration must be a valid|the entry 'calibration"):
        replace(tiny.make_prompt(), calibration=value)


def calibrate_with(data: Path, backbone: Path) -> list[str]:
    """The command that calibrates the tiny prompt of colours."""
    return ["calibrate", "--task", "colours", "--data", str(data), "--backbone", str(backbone)]


def test_the_command_keeps_figures_weights_and_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.make_backbone(tmp_path)
    at = tmp_path / "prompts" / "tiny" / "colours"
    config = json.loads((at / "prompt_config.json").read_text())
    measured = {
        "n": 3,
        "accuracy": 0.5,
        "interval95": [0, 1],
        "split": "test",
        "per_class": {},
        "confusions": [],
    }
    made = {"tuned": "tune it", "measured": "measure it"}
    (at / "prompt_config.json").write_text(json.dumps(config | {"metrics": measured, "commands": made}))
    weights = (at / "prompt.safetensors").read_bytes()
    rows = [
        {
            "id": str(i),
            "split": "valid",
            "units": [i % 20, (3 * i) % 20],
            "label": ("red", "green", "blue")[i % 3],
        }
        for i in range(30)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    arguments = calibrate_with(tmp_path / "d.parquet", folder)
    for _ in range(2):  # a second time replaces the first
        assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    prompt = Prompt.load(at)
    assert prompt.calibration == found and prompt.metrics == measured
    assert (at / "prompt.safetensors").read_bytes() == weights
    card = (at / "README.md").read_text()
    assert (
        card.count("# calibrated by") == 1
        and "tune it\n# measured by\nmeasure it\n# calibrated by\npython" in card
    )
    assert f"divided by {found['temperature']:g}" in card and str(tmp_path) not in card
    assert main([*arguments, "--doubt-below", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["threshold"] == 1
    assert main([*arguments, "--split", "test"]) == 2
    assert "no split 'test'" in capsys.readouterr().err
    for option, wrong in (
        *(("--doubt-below", one) for one in ("2", "nan", "much")),
        *(("--doubt-label", one) for one in ("red", "red=", "red=2", "0.5")),
    ):
        with pytest.raises(SystemExit, match="2"):
            main([*arguments, option, wrong])
        assert option in capsys.readouterr().err


def test_a_label_has_a_threshold_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny.make_backbone(tmp_path)
    at = tmp_path / "prompts" / "tiny" / "colours"
    utterances = [[i % 20, (3 * i) % 20] for i in range(30)]
    answers = SpeechPrompt.from_pretrained(folder).classify_units(utterances, ["colours"])
    rows = [
        {"id": str(i), "split": "valid", "units": units, "label": answer.label}
        for i, (units, (answer,)) in enumerate(zip(utterances, answers, strict=True))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    label = answers[0][0].label
    arguments = calibrate_with(tmp_path / "d.parquet", folder)
    assert main([*arguments, "--doubt-label", "mauve=0.5"]) == 2
    assert "has no label 'mauve'" in capsys.readouterr().err
    assert main([*arguments, "--doubt-label", f"{label}=1"]) == 0
    prompt = Prompt.load(at)
    assert prompt.calibration is not None and prompt.calibration.get("labels") == {label: 1.0}
    assert f", and those of {label} below 1: there" in (at / "README.md").read_text()
    assert f"--doubt-label {label}=1" in prompt.commands["calibrated"]
    again = [
        answer for (answer,) in SpeechPrompt.from_pretrained(folder).classify_units(utterances, ["colours"])
    ]
    assert all(answer.flagged for answer in again if answer.label == label)
    others = [answer for answer in again if answer.label != label]
    assert all(answer.flagged == (answer.score < prompt.threshold) for answer in others)
    share = sum(answer.flagged for answer in again) / len(again)
    assert prompt.calibration["right_flagged"] == pytest.approx(share, abs=1e-4)  # every answer was right


@pytest.mark.parametrize(("backbone", "task"), PROMPTS)
def test_bundled_cards_say_how_far_scores_can_be_believed(backbone: str, task: str) -> None:
    there = BACKBONES[backbone]
    prompt = there.prompt(task)
    card = (there.prompt_folder(task) / "README.md").read_text(encoding="utf-8")
    if prompt.calibration:
        assert calibration_text(prompt) in card
        # More of the right answers are flagged only where the card's command asks for it.
        assert prompt.calibration["right_flagged"] <= 0.05 or "--doubt-below" in prompt.commands["calibrated"]
        assert "flatters a little" in card
    else:
        assert prompt.form.kind == "sequence"


def test_a_sound_that_is_no_keyword_is_flagged_and_a_keyword_is_not() -> None:
    sp = SpeechPrompt.from_pretrained("mini", "cpu", prompts=["arabic_commands"])
    examples = Path(__file__).parents[2] / "examples"
    (known,) = sp.classify(examples / "arabic_cancel.flac")
    assert not known.flagged and known.score >= sp.prompts["arabic_commands"].threshold
    (strange,) = sp.classify(examples / "house.flac")  # English, where Arabic is expected
    assert strange.fits == "no" and strange.reason == "This sounds like English; the task knows Arabic."
    assert "fits: no; This sounds like English" in details_text(strange)
    assert "fits" not in details_text(known)
    assert strange.flagged and strange.score < sp.prompts["arabic_commands"].threshold


@pytest.mark.parametrize("n", [3, 5, 12, 25, 60])
def test_a_threshold_from_few_answers_keeps_what_it_promises(n: int) -> None:
    """Of further right answers 5 % are flagged on average; the plain rule flags more, where there are few."""
    odds = np.random.default_rng(n).normal(3.0, 1.5, (400, n))
    scores = 1 / (1 + np.exp(-odds))
    further = 1 / (1 + np.exp(-np.random.default_rng(0).normal(3.0, 1.5, 10_000)))
    careful, plain = (
        np.mean([(further < rule(row)).mean() for row in scores])
        for rule in (careful_threshold, fit_threshold)
    )
    assert 0.02 < careful < 0.06
    assert plain > careful and (n > 12 or plain > 0.07)


def test_no_threshold_from_less_than_two_right_answers_and_none_above_certainty() -> None:
    assert careful_threshold(np.array([])) == careful_threshold(np.array([0.9])) == 0
    assert 0.99 < careful_threshold(np.ones(30)) < 1
    for freedom, expected in ((2, 2.920), (4, 2.132), (24, 1.711)):
        assert student_quantile(freedom) == pytest.approx(expected, rel=0.02)
