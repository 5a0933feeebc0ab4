"""One recording, many prompts of many backbones: one pass each, and nothing taken from the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechprompt.audio import load as audio
from speechprompt.models.encoder import UnitEncoder
from speechprompt.pipeline import SpeechPrompt
from speechprompt.ui.comparison import NO_SILENCE, compare
from speechprompt.ui.desk import Desk
from tests import tiny
from tests.ui.several_backbones import several_backbones

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return several_backbones(tmp_path_factory.mktemp("root"))


def pairs(desk: Desk, *names: str) -> list[tuple[SpeechPrompt, str]]:
    return [(desk.pipeline(name), task) for name in names for task in desk.backbones[name].prompts]


def test_one_batch_gives_what_each_task_alone_gives(desk: Desk) -> None:
    waveform = tiny.make_waveform()
    rows = compare(waveform, pairs(desk, "tiny", "twin"))
    assert [row.backbone.name for row in rows] == ["tiny"] * 3 + ["twin"] * 2
    for row in rows:
        (alone,) = desk.pipeline(row.backbone.name).classify((16_000, waveform), [row.prompt.task])
        answer = row.answer
        assert answer is not None and (answer.task, answer.label) == (alone.task, alone.label)
        assert answer.score == pytest.approx(alone.score, abs=1e-5)
        assert answer.generated == alone.generated
        assert answer.units.ids.tolist() == alone.units.ids.tolist()
    tiny_rows = [row.answer.timing for row in rows[:3] if row.answer]
    assert tiny_rows[0] == tiny_rows[1] == tiny_rows[2] and min(tiny_rows[0].values()) > 0


def test_an_encoder_that_is_shared_listens_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    batch = UnitEncoder.batch

    def counted(self: UnitEncoder, waveforms: Any) -> Any:
        calls.append(len(waveforms))
        return batch(self, waveforms)

    monkeypatch.setattr(UnitEncoder, "batch", counted)
    assert all(row.answer for row in compare(tiny.make_waveform(), pairs(desk, "tiny", "twin")))
    assert calls == [1]


def test_a_real_clip_is_heard_once_for_the_units_and_for_their_melody() -> None:
    """mini-prosody shares mini's encoder; side by side they answer as each does alone."""
    desk = Desk("mini", EXAMPLES, "cpu")
    waveform = audio.load(EXAMPLES / "yes.flac")
    rows = compare(waveform, pairs(desk, "mini", "mini-prosody"))
    answers = {(row.backbone.name, row.prompt.task): row.answer for row in rows}
    assert (keyword := answers["mini", "keyword_spotting"]) and keyword.label == "yes"
    assert {name for name, _ in answers} == {"mini", "mini-prosody"}
    for (name, task), answer in answers.items():
        (alone,) = desk.pipeline(name).classify((audio.SAMPLE_RATE, waveform), [task])
        assert answer and answer.label == alone.label and answer.score == pytest.approx(alone.score, abs=1e-4)
        assert (answer.units.log_f0 is None) == (name == "mini")


def test_prompts_that_the_desk_does_not_know_can_be_compared_with_those_it_knows(desk: Desk) -> None:
    """Two prompts of one task, one of them the user's own."""
    known = desk.pipeline("tiny")
    prompt = tiny.make_prompt(seed=77, sha256=known.backbone.unit_lm_sha256)
    own = SpeechPrompt(known.backbone, [prompt])
    first, second = compare(tiny.make_waveform(), [(known, "colours"), (own, "colours")])
    (alone,) = compare(tiny.make_waveform(), [(own, "colours")])
    assert second.prompt is prompt
    assert first.answer and second.answer and alone.answer
    assert second.answer.score == pytest.approx(alone.answer.score, abs=1e-5)
    known_score = desk.pipeline("tiny").classify((16_000, tiny.make_waveform()), ["colours"])[0].score
    assert first.answer.score == pytest.approx(known_score, abs=1e-5) != second.answer.score


def test_silence_and_a_deaf_backbone_take_nothing_from_the_others(desk: Desk) -> None:
    rows = compare(np.zeros(16_000, np.float32), pairs(desk, "tiny", "deaf"))
    answers = {(row.backbone.name, row.prompt.task): row for row in rows}
    assert answers["tiny", "fruit"].answer and not answers["tiny", "fruit"].error
    assert answers["tiny", "colours"].error == answers["tiny", "steps"].error == NO_SILENCE
    rows = compare(tiny.make_waveform(), pairs(desk, "deaf", "tiny"))
    assert ["hubert-base" in row.error for row in rows] == [True, True, False, False, False]
    assert [row.answer is None for row in rows] == [True, True, False, False, False]
