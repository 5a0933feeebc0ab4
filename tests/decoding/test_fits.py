"""Whether a recording fits a task: what the judges and the units outside the labels say of it, and in which words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from speechprompt.decoding.answer import make_answer
from speechprompt.decoding.fits import Evidence, Judges, judge
from speechprompt.decoding.generation import PromptedLM
from speechprompt.evaluation.calibration import calibrate
from speechprompt.evaluation.thresholds import RIGHT_SHARE, Signals, choose_thresholds
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET, Units
from tests.tiny import N_UNITS, make_lm, make_prompt

UTTERANCES = [[i % N_UNITS, (7 * i + 3) % N_UNITS, (3 * i) % N_UNITS, 5] for i in range(60)]


def voice() -> Prompt:
    return make_prompt("voice_activity", ("silence", "noise", "speech"), seed=4)


def language() -> Prompt:
    return make_prompt("language_id", ("English", "Arabic", "Mandarin"), seed=5)


def asked(**facts: Any) -> Prompt:
    facts = {"expects": "speech", "languages": ("en", "zh")} | facts
    return make_prompt("words", ("yes", "no", "up"), verbalizer="fixed", seed=6, **facts)


def test_judges_answer_in_the_batch_and_change_nothing_else() -> None:
    prompt, judges = asked(), Judges.of({"voice_activity": voice(), "language_id": language()})
    prompted = PromptedLM(make_lm(), [prompt], judges)
    alone = PromptedLM(make_lm(), [prompt])
    assert prompted.prompts == [prompt]
    for utterance, ((raw, evidence),) in zip(UTTERANCES, prompted.judged(UTTERANCES), strict=True):
        ((bare,),) = alone.answer([utterance])
        assert raw.labels == bare.labels
        np.testing.assert_allclose(raw.probabilities, bare.probabilities, atol=1e-5)
        (answers,) = PromptedLM(make_lm(), judges.prompts).answer([utterance])
        assert evidence.speech == pytest.approx(answers[0].probabilities[0, 2], abs=1e-5)
        assert evidence.language == pytest.approx(answers[1].probabilities[0, [0, 2]].sum(), abs=1e-5)
        assert evidence.spoken == language().labels[answers[1].labels[0]]


def test_an_answer_of_silence_fits_where_nobody_speaks() -> None:
    judges = Judges.of({"voice_activity": voice(), "language_id": language()})
    prompt = asked(silence_label="no")
    for ((raw, evidence),) in PromptedLM(make_lm(), [prompt], judges).judged(UTTERANCES):
        assert ((evidence.speech, evidence.language) == (1.0, 1.0)) == (raw.labels == [1])


def test_only_those_are_asked_whom_a_prompt_needs() -> None:
    judges = Judges.of({"voice_activity": voice(), "language_id": language()})
    assert judges.needed([asked()]) == judges.prompts
    assert judges.needed([asked(expects="any sound", languages=())]) == []
    assert judges.needed([asked(languages=("lt",))]) == [judges.voice]  # this judge knows no Lithuanian
    assert judges.needed([asked(), judges.voice]) == [judges.language]  # type: ignore[list-item]
    assert judges.needed([*judges.prompts]) == []
    off: Any = {
        "temperature": 1.0, "threshold": 0.4, "split": "valid", "n": 10, "error_before": 0.1, "error_after": 0.1,
        "right_flagged": 0.05, "wrong_flagged": None, "speech": 0.1, "language": 0.0,
    }  # fmt: skip
    assert judges.needed([asked(calibration=off)]) == [judges.voice]
    assert Judges.of({"voice_activity": make_prompt("voice_activity")}).prompts == []  # no label of speech


@pytest.mark.parametrize(
    ("evidence", "fits", "reason"),
    [
        ({}, "yes", ""),
        ({"speech": 0.9, "sound": "speech", "language": 0.9, "spoken": "English"}, "yes", ""),
        ({"speech": 0.01, "sound": "noise"}, "no", "This is noise, not speech."),
        ({"speech": 0.01, "sound": "speech"}, "unsure", "This may not be speech."),
        (
            {"language": 0.01, "spoken": "Arabic"},
            "no",
            "This sounds like Arabic; the task knows English and Mandarin.",
        ),
        ({"inside": 0.3}, "no", "This is none of the 3 labels."),
        ({"certainty": 0.1}, "unsure", "This may be none of the labels: right answers mostly score higher."),
    ],
)
def test_the_reason_is_one_sentence(evidence: dict[str, Any], fits: str, reason: str) -> None:
    found: Any = {
        "temperature": 1.0, "threshold": 0.4, "split": "valid", "n": 10, "error_before": 0.1, "error_after": 0.1,
        "right_flagged": 0.05, "wrong_flagged": None, "speech": 0.2, "language": 0.1,
    }  # fmt: skip
    prompt = asked(calibration=found)
    ((raw,),) = PromptedLM(make_lm(), [prompt]).answer([[1, 2, 3]])
    logits = np.zeros_like(raw.vocabulary_logits)
    logits[0, UNIT_OFFSET + prompt.label_units[1][0]] = 9.0
    raw = replace(raw, labels=[1], vocabulary_logits=logits)
    assert judge(prompt, raw, Evidence(**{"certainty": 0.9, "inside": 0.9} | evidence)) == (fits, reason)


def test_a_generated_unit_of_no_label_says_none_of_these() -> None:
    prompt = asked()
    ((raw,),) = PromptedLM(make_lm(), [prompt]).answer([[1, 2, 3]])
    idle = next(unit for unit in range(N_UNITS) if prompt.unit_label(unit) is None)
    logits = np.zeros_like(raw.vocabulary_logits)
    logits[0, UNIT_OFFSET + idle] = 9.0
    answer = make_answer(prompt, replace(raw, vocabulary_logits=logits), Units.from_frames([1, 2, 3]), {})
    assert (answer.fits, answer.reason, answer.generated) == ("no", "This is none of the 3 labels.", [idle])
    assert answer.steps[0].unit_label is None and answer.inside < 0.01 and answer.flagged
    mine = [prompt.label_units[0][0], prompt.label_units[1][0]]
    logits[0, [UNIT_OFFSET + unit for unit in mine]] = 8.8  # together likelier, each alone is not
    answer = make_answer(prompt, replace(raw, vocabulary_logits=logits), Units.from_frames([1, 2, 3]), {})
    assert answer.generated == [idle] and answer.inside > 0.5
    assert (answer.fits, answer.reason) == (
        "unsure",
        "The unit that the language model generated belongs to no label.",
    )


def test_with_negatives_thresholds_flag_most_of_them_and_few_that_belong() -> None:
    rng = np.random.default_rng(0)

    def signals(certainty: float, speech: float, n: int = 500) -> Signals:
        def around(mean: float) -> np.ndarray:
            return 1 / (1 + np.exp(-rng.normal(mean, 1.0, n)))

        of = {"certainty": around(certainty), "speech": around(speech), "language": around(0.0)}
        return Signals(of, np.zeros(n, bool))

    belonging, right = signals(4.0, 4.0), np.ones(500, bool)
    # Half of these are other words, half are sounds: no threshold alone finds them all; the language tells nothing.
    words, sounds = signals(0.0, 4.0), signals(4.0, -1.0)
    negatives = Signals(
        {name: np.concatenate([words.of[name], sounds.of[name]]) for name in words.of}, np.zeros(1000, bool)
    )
    chosen = choose_thresholds(belonging, right, negatives)
    assert belonging.flagged(chosen).mean() <= RIGHT_SHARE
    assert negatives.flagged(chosen).mean() > 0.85
    assert chosen["speech"] > 0 == chosen["language"]  # who finds nothing is not asked
    plain = choose_thresholds(belonging, right, None)
    assert belonging.flagged(plain).mean() <= 0.05


def test_wrong_answers_are_to_be_doubted_like_negatives() -> None:
    """They take nothing from the share of the right answers that may be flagged."""
    rng = np.random.default_rng(0)
    right = np.arange(1000) >= 400  # the others are answered wrongly, and uncertain
    odds = np.where(right, rng.normal(2.0, 1.0, 1000), rng.normal(-1.0, 1.0, 1000))
    belonging = Signals({"certainty": 1 / (1 + np.exp(-odds))}, np.zeros(1000, bool))
    negatives = Signals({"certainty": rng.uniform(0, 0.1, 50)}, np.zeros(50, bool))
    flags = belonging.flagged(choose_thresholds(belonging, right, negatives))
    assert 0.02 < flags[right].mean() <= RIGHT_SHARE and flags[~right].mean() > 0.8


def test_calibration_with_negatives_says_how_many_are_flagged() -> None:
    lm, prompt = make_lm(), asked()
    judges = Judges.of({"voice_activity": voice(), "language_id": language()})
    prompted = PromptedLM(lm, [prompt], judges)
    truth = [raw.labels for ((raw, _),) in prompted.judged(UTTERANCES)]
    found = calibrate(lm, prompt, UTTERANCES, truth, "valid", UTTERANCES[:30], judges)
    assert {"speech", "language"} <= found.keys() and found["negatives"] == 30
    calibrated = replace(prompt, calibration=found)
    rows = PromptedLM(lm, [calibrated], judges).judged(UTTERANCES)
    flags = [judge(calibrated, raw, evidence)[0] != "yes" for ((raw, evidence),) in rows]
    assert found["belonging_flagged"] == pytest.approx(float(np.mean(flags)), abs=1e-4)
    assert found["negatives_flagged"] == pytest.approx(float(np.mean(flags[:30])), abs=1e-4)


def test_every_answer_below_a_score_can_be_doubted() -> None:
    lm, prompt = make_lm(), replace(asked(), languages=())
    truth = [raw.labels for ((raw, _),) in PromptedLM(lm, [prompt]).judged(UTTERANCES)]
    found = calibrate(lm, prompt, UTTERANCES, truth, "valid", doubt_below=0.999)
    assert found["threshold"] == 0.999 and found["right_flagged"] > 0.05  # more than its share
    assert calibrate(lm, prompt, UTTERANCES, truth, "valid")["threshold"] < 0.999


def test_without_judges_or_an_outside_the_score_alone_decides() -> None:
    lm, prompt = make_lm(), make_prompt()
    truth = [raw.labels for (raw,) in PromptedLM(lm, [prompt]).answer(UTTERANCES)]
    found = calibrate(lm, prompt, UTTERANCES, truth, "valid")
    assert "speech" not in found and "negatives" not in found
    calibrated = replace(prompt, calibration=found)
    for utterance, (raw,) in zip(UTTERANCES, PromptedLM(lm, [calibrated]).answer(UTTERANCES), strict=True):
        answer = make_answer(calibrated, raw, Units.from_frames(utterance), {})
        assert answer.flagged == (answer.score < found["threshold"]) and answer.inside == 1
    assert torch.is_tensor(prompt.verbalizer_weight)
