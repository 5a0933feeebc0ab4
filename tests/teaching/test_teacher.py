"""Teaching learns from a few clips, is the same for the same seed, can be stopped, and takes any input."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from speechprompt.audio import augment
from speechprompt.audio import load as audio
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.archive import pack, unpack
from speechprompt.teaching.closed_form import fit_verbalizer
from speechprompt.teaching.lesson import gather
from speechprompt.teaching.teacher import Moment, TeachConfig, task_name, teach
from tests import tiny

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = TeachConfig(copies=2)


def takes(word: str, n: int, seed: int = 0) -> list[np.ndarray]:
    """A clip of examples/ as it is, and as other rooms and speakers' tempi would have it."""
    clip = audio.load(EXAMPLES / f"{word}.flac")
    rngs = [np.random.default_rng([seed, i]) for i in range(n)]
    return [augment.another_recording(clip, rng) if i or seed else clip for i, rng in enumerate(rngs)]


def tones(seed: int, n: int = 3) -> list[np.ndarray]:
    """Clips of one pitch, for the tiny backbone."""
    t = np.arange(8000) / 16_000
    noise = np.random.default_rng(seed).standard_normal((n, len(t)))
    return [(0.4 * np.sin(6.28 * 300 * (1 + seed) * t) + 0.02 * x).astype(np.float32) for x in noise]


@pytest.fixture(autouse=True)
def without_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether espeak-ng is installed where the tests run makes no difference to them."""
    monkeypatch.setattr("speechprompt.teaching.speaking.can_speak", lambda: False)


@pytest.fixture(scope="module")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(tiny.make_backbone(tmp_path_factory.mktemp("root")))


def test_ridge_says_exactly_what_leaving_out_gives() -> None:
    rng = np.random.default_rng(0)
    labels = [i % 3 for i in range(12)] * 2
    features = rng.normal(size=(24, 30)) + 2 * np.eye(3, 30)[labels]
    groups = list(range(12)) * 2
    whole = fit_verbalizer(features, labels, groups, 3)
    right = 0
    for left in range(12):
        rows = [i for i, group in enumerate(groups) if group != left]
        others = [groups[i] - (groups[i] > left) for i in rows]
        fit = fit_verbalizer(features[rows], [labels[i] for i in rows], others, 3)
        right += int((fit.verbalizer_weight[4:] @ features[left]).argmax() == whole.held_out[left].argmax())
    assert right >= 11  # the penalty may be chosen otherwise
    assert (whole.held_out.argmax(1) == labels[:12]).mean() > 0.6
    noise = fit_verbalizer(rng.normal(size=(24, 30)), labels, groups, 3)
    assert noise.cross_entropy > 0.9 > whole.cross_entropy  # of noise nothing is learnt: about log 3


def test_words_are_learnt_on_mini_and_survive_their_zip() -> None:
    backbone = Backbone.load("mini")
    words = ("yes", "stop", "house")
    clips = {f"word {word}": takes(word, 3) for word in words}
    seen: list[Moment] = []
    taught = teach(backbone, "My words", clips, QUICK, seen.append)
    assert taught.prompt.metrics["n"] == 9 and taught.prompt.metrics["accuracy"] >= 0.7
    assert taught.prompt.metrics["split"] == "held-out" and sum(map(sum, taught.confusion)) == 9
    assert not taught.warnings
    assert [m.done for m in seen] == sorted(m.done for m in seen) and seen[-1].done == pytest.approx(1)
    back = unpack(pack(taught.prompt))
    backbone.check_fits(back)
    for word in words:
        new = takes(word, 2, seed=9)
        first, again = (
            [SpeechPrompt(backbone, [p]).classify((16_000, clip))[0] for clip in new]
            for p in (taught.prompt, back)
        )
        assert [a.label for a in first] == [f"word {word}"] * 2
        assert [a.scores for a in first] == [a.scores for a in again]


def test_what_is_none_of_the_words_is_flagged_more_often_than_the_words() -> None:
    backbone = Backbone.load("mini")
    words, others = ("yes", "stop", "house"), ("seven", "right", "nine")
    prompt = teach(backbone, "My words", {word: takes(word, 4) for word in words}, QUICK).prompt
    assert prompt.calibration["split"] == "held-out" and prompt.calibration["n"] == 12
    assert 0 < prompt.threshold < 1 and prompt.temperature > 1  # twelve clips are no reason to be certain
    pipeline = SpeechPrompt(backbone, [prompt])
    shares = []
    for asked in (words, others):
        answers = [pipeline.classify((16_000, clip))[0] for word in asked for clip in takes(word, 4, seed=9)]
        shares.append(sum(answer.flagged for answer in answers) / len(answers))
    assert shares[0] <= 0.25 and shares[1] >= shares[0] + 0.25


def test_same_seed_same_prompt(tiny_backbone: Backbone) -> None:
    clips = {"low": tones(0), "high": tones(1)}
    one, again, other = (
        teach(tiny_backbone, "Tones", clips, replace(QUICK, seed=s)).prompt for s in (1, 1, 2)
    )
    assert all(torch.equal(value, again.tensors()[name]) for name, value in one.tensors().items())
    assert any(not torch.equal(value, other.tensors()[name]) for name, value in one.tensors().items())


def test_a_bundled_prompt_gets_a_verbalizer_and_nothing_else_changes(
    tiny_backbone: Backbone,
) -> None:
    taught = teach(tiny_backbone, "Tones", {"low": tones(0), "high": tones(1)})
    keys = taught.prompt.key_prompts
    assert any(
        p.key_prompts is not None and torch.equal(keys, p.key_prompts.half().float())
        for p in tiny_backbone.prompts.values()
    )
    assert taught.prompt.metrics["n"] == 6 and "made without it" in taught.how


def test_a_backbone_without_prompts_can_be_taught_too(tmp_path: Path) -> None:
    backbone = Backbone(tiny.make_backbone(tmp_path), prompts_folder=tmp_path / "none")
    taught = teach(backbone, "Töne", {"low": tones(0), "high": tones(1)}, QUICK)
    assert taught.prompt.task == "taught_t_ne" and taught.prompt.metrics["n"] == 6
    assert (task_name("!"), task_name("Ünï")) == ("taught_task", "taught_n")


@pytest.mark.parametrize("when", ["Listening to the clips", "Looking for a start"])
def test_it_can_be_stopped_at_any_moment(tiny_backbone: Backbone, when: str) -> None:
    seen: list[Moment] = []

    def stop() -> bool:
        return any(m.doing == when for m in seen)

    with pytest.raises(SpeechPromptError, match="before there was a prompt"):
        teach(tiny_backbone, "Tones", {"low": tones(0), "high": tones(1)}, QUICK, seen.append, stop)
    assert seen[-1].doing == when and seen[-1].done < 1


def wav(waveform: np.ndarray) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, waveform, 16_000, format="WAV")
    return out.getvalue()


SILENCE = np.zeros(8000, np.float32)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ({}, "needs 2 to 10 labels; here are 0"),
        ({"low": tones(0)}, "needs 2 to 10 labels; here is 1"),
        ({str(i): tones(i, 1) for i in range(11)}, "here are 11"),
        ({"low": tones(0), "": tones(1)}, "printable characters"),
        ({"low": tones(0), "x" * 81: tones(1)}, "1 to 80 printable"),
        ({"low": tones(0), "high": []}, "'high' has no recordings"),
        ({"low": tones(0), "high": tones(0)}, "same recording is given for 'low' and 'high'"),
        (
            {"low": [SILENCE], "high": [SILENCE, SILENCE]},
            "Nothing can be heard in the recordings of 'low' and of",
        ),
        ({"low": [b"notes"], "high": tones(1)}, "cannot be read as sound"),
        ({"low": [wav(np.ones(16_000 * 21, np.float32) / 9)], "high": tones(1)}, "limit is 20 s"),
        ({"low": [SILENCE] * 400, "high": [SILENCE] * 101}, "At most 500 clips"),
    ],
)
def test_what_cannot_be_taught_is_one_sentence(clips: dict[str, Any], message: str) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        gather(clips)


def test_what_is_left_out_is_said() -> None:
    low, high = tones(0), tones(1)
    lesson = gather({"low": [*low, low[0], wav(low[1]), SILENCE], "high": high, "rest": [SILENCE]})
    assert lesson.counts()[1:] == [3, 1] and lesson.silence_label == "rest"
    warnings = " ".join(lesson.warnings)
    for part in (
        "low: 1 silent clip left out",
        "low: what was given more than once",
        "answer to silence",
        "rest: fewer",
    ):
        assert part in warnings


def test_one_clip_each_is_taught_but_not_measured(tiny_backbone: Backbone) -> None:
    taught = teach(tiny_backbone, "Tones", {"low": tones(0, 1), "high": tones(1, 1)}, QUICK)
    assert taught.prompt.metrics == {} and "not measured" in taught.how
    assert taught.prompt.calibration is None and taught.prompt.threshold == 0
    assert "fewer than 3 clips" in taught.warnings[0]
    with pytest.raises(SpeechPromptError, match="title of 1 to 80"):
        teach(tiny_backbone, " ", {"low": tones(0), "high": tones(1)})


def test_silence_is_answered_by_its_label(tiny_backbone: Backbone) -> None:
    taught = teach(tiny_backbone, "Tones", {"low": tones(0), "high": tones(1), "rest": [SILENCE]}, QUICK)
    assert taught.prompt.form.silence_label == "rest"
    answer = SpeechPrompt(tiny_backbone, [taught.prompt]).classify((16_000, SILENCE))[0]
    assert answer.label == "rest"
