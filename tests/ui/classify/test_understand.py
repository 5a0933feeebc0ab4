"""What the page explains, without a browser: stages, contributions, odds, melody, the flag."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechprompt.decoding.answer import Answer
from speechprompt.decoding.contributions import SHOWN, contributions
from speechprompt.decoding.forward import label_logits
from speechprompt.decoding.generation import PromptedLM
from speechprompt.models.pitch import with_f0
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.ui.classify import answer as answers
from speechprompt.ui.classify.decision import STEPS_SHOWN, decision
from speechprompt.ui.classify.stages import short, stages
from speechprompt.ui.classify.timeline import melody_svg, timeline
from speechprompt.units import Units
from tests import tiny
from tests.ui.page_parts import Elements

EXAMPLES = Path(__file__).parents[3] / "examples"


def plain(html: str) -> str:
    return Elements(html).text.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.fixture(scope="module")
def sp() -> SpeechPrompt:
    return SpeechPrompt.from_pretrained("mini", "cpu")


# Contributions

KINDS: dict[str, dict[str, Any]] = {
    "label": {},
    "slots": {"kind": "slots", "slots": {"one": 2, "two": 2}, "with_label_embeddings": True},
    "sequence": {"kind": "sequence", "max_steps": 5, "with_label_embeddings": True},
}


@pytest.mark.parametrize("verbalizer", ["learned", "fixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_contributions_sum_to_the_logit_above_the_mean_of_the_labels(kind: str, verbalizer: str) -> None:
    prompt = tiny.make_prompt("t", ("a", "b", "c", "d"), verbalizer=verbalizer, **KINDS[kind])
    units = Units.from_frames([1, 2, 3, 9])
    prompted = PromptedLM(tiny.make_lm(), [prompt])
    ((raw,),) = prompted.answer([units])
    found = label_logits(
        prompted.lm.lm_head.weight.new_tensor(raw.vocabulary_logits),
        prompt.verbalizer_weight,
        prompt.verbalizer_units,
        end=kind == "sequence",
    ).numpy()
    for at, row in enumerate(found):
        first, end = prompt.form.spans[at][1:] if prompt.form.slots else (0, len(row))
        label = raw.labels[at] if at < len(raw.labels) else None
        part = contributions(prompt, raw.vocabulary_logits[at], label, first, end)
        index = len(prompt.labels) if label is None else label
        margin = float(row[index] - row[first:end].mean())
        assert part.margin == pytest.approx(margin, abs=1e-4)
        assert part.units.sum() + part.specials + part.level == pytest.approx(margin, abs=1e-4)
        told = part.to_dict()
        listed = sum(entry["value"] for entry in told["units"])
        assert listed + told["other_units"] + told["specials"] + told["level"] == pytest.approx(
            margin, abs=1e-4
        )
        if verbalizer == "fixed":  # a unit that stands for no label decides nothing
            idle = set(range(tiny.N_UNITS)) - set(prompt.verbalizer_units.tolist())  # type: ignore[union-attr]
            assert not part.units[list(idle)].any() and part.level == pytest.approx(0, abs=1e-9)


def test_raising_what_the_lm_says_of_a_unit_moves_its_contribution_alone() -> None:
    prompt = tiny.make_prompt("t", ("a", "b", "c"))
    logits = np.random.default_rng(0).normal(0, 1, tiny.N_UNITS + 4)
    more = logits.copy()
    more[4 + 7] += 2
    more[4 + 8] -= 2  # keeps the average unit where it is
    before, after = (contributions(prompt, x, 1, 0, 3) for x in (logits, more))
    moved = np.flatnonzero(~np.isclose(before.units, after.units, atol=1e-9))
    assert moved.tolist() == [7, 8]
    weight = prompt.verbalizer_weight[4:, 4 + 7].numpy()  # type: ignore[index]
    assert after.units[7] - before.units[7] == pytest.approx(2 * (weight[1] - weight.mean()), abs=1e-6)


def test_the_page_shows_the_odds_and_the_contributions_of_the_answer(sp: SpeechPrompt) -> None:
    (answer,) = sp.classify(EXAMPLES / "yes.flac", ["fake_speech"])
    (step,) = answer.to_dict()["steps"]
    page = Elements(decision(answer, ["real"]))
    chips = [int(str(a["title"]).split()[1]) for _, a in page.tags if a.get("class") == "sp-chip"]
    assert chips == [e["unit"] for e in step["units"]] + [e["unit"] for e in step["contributions"]["units"]]
    assert len(step["units"]) == len(step["contributions"]["units"]) == SHOWN == 12
    text = plain(decision(answer, ["real"]))
    for entry in step["contributions"]["units"]:
        assert f"{entry['unit']}{entry['value']:+.2f}".replace("-", "−") in text
    assert f"together{step['contributions']['margin']:+.2f}" in text
    rest = 1 - sum(entry["score"] for entry in step["units"])
    assert f"488 others{round(100 * rest)} %" in text
    assert step["units"][0]["unit"] == step["unit"] and step["units"][0]["score"] == pytest.approx(
        step["unit_score"]
    )


def test_every_step_can_be_opened_and_a_fixed_verbalizer_needs_no_contributions() -> None:
    tensors = {"verbalizer": "learned", **KINDS["sequence"]}
    prompt = tiny.make_prompt("t", ("<b>", "c"), **tensors | {"max_steps": 60})
    steps = [answers_step(prompt, i) for i in range(STEPS_SHOWN + 3)]
    answer = Answer(
        "t", "T", "x", 0.5, steps, {}, Units.from_frames([1]),
        np.full((len(steps), 20), 0.05, np.float32), "learned", {"encode_s": 0.0, "lm_s": 0.1},
    )  # fmt: skip
    page = Elements(decision(answer, ["<b>"] * len(steps)))
    folded = [attrs for tag, attrs in page.tags if tag == "details"]
    assert len(folded) == STEPS_SHOWN and ["open" in attrs for attrs in folded] == [True] + [False] * 23
    assert "And 3 more steps." in page.text and "Step 2: <b>" in page.text
    fixed = decision(replace(answer, verbalizer="fixed"), ["x"] * len(steps))
    assert "weighed most" not in fixed and "weighed most" in page.text


def answers_step(prompt: Prompt, seed: int) -> Any:
    from speechprompt.decoding.answer import Step

    logits = np.random.default_rng(seed).normal(0, 1, tiny.N_UNITS + 4)
    return Step("<b>", "", 0.5, {"<b>": 0.5}, 3, 0.2, contributions(prompt, logits, 0, 0, 3))


# Stages


def test_stages_tell_the_numbers_of_this_recording(sp: SpeechPrompt) -> None:
    (answer,) = sp.classify(EXAMPLES / "yes.flac", ["keyword_spotting"])
    frozen = sp.backbone.n_parameters
    prompt = sp.prompts["keyword_spotting"]
    text = plain(stages(answer, prompt, 16_000, frozen))
    units = answer.to_dict()["units"]
    frames, n = sum(units["lengths"]), len(units["ids"])
    assert frozen == sum(p.numel() for m in (sp.backbone.lm, sp.backbone.encoder) for p in m.parameters())
    assert f"1.00 s became {frames} frames" in text and f"{frames} frames became {n} units" in text
    assert f"{9 * n} bits; the sound took 256 000, " in text
    assert f"{round(256_000 / (9 * n)):,} times as many".replace(",", " ") in text
    assert f"123 k numbers, {100 * prompt.n_parameters / frozen:.1f} % of the {frozen / 1e6:.1f} M" in text
    assert "one of 12 labels" in text and "Answered in one step." in text
    assert len(re.findall("<li>", stages(answer, prompt, 16_000, frozen))) == 4


def test_stages_say_that_a_long_pause_was_not_listened_to(sp: SpeechPrompt) -> None:
    (answer,) = sp.classify(EXAMPLES / "yes.flac", ["keyword_spotting"])
    heard = answer.units.n_frames * 0.02
    text = plain(stages(answer, sp.prompts["keyword_spotting"], 48_000, 0))
    assert f"{heard:.2f} s of 3.00 s, all but a long pause before or after, became" in text
    assert f"the sound took {round(heard * 256):d} 000, " in text


def test_stages_of_given_units_leave_the_encoder_out(sp: SpeechPrompt) -> None:
    ((answer,),) = sp.classify_units([[7, 7, 9]], ["spelled_words"])
    text = plain(stages(answer, sp.prompts["spelled_words"], 0, 0))
    assert (
        "three stages" in text and "Encoder" not in text and "bits" not in text and "stay frozen" not in text
    )
    assert "3 given units became 2 units" in text
    assert f"Answered in {len(answer.steps) if len(answer.steps) > 1 else 'one'} step" in text


def test_stages_say_when_a_recording_was_answered_in_stretches(sp: SpeechPrompt) -> None:
    prompt = sp.prompts["language_id"]
    assert prompt.form.window == 2.4
    long, short_one = (
        sp.classify(EXAMPLES / f"{name}.flac", ["language_id"])[0] for name in ("read_by_a_man", "yes")
    )
    # 2.4 s are 120 frames, and each stretch begins at most 60 after the one before.
    n = math.ceil((long.units.n_frames - 120) / 60) + 1
    text = plain(stages(long, prompt, 16_000, 0))
    assert n > 2 and f"It read them in {n} overlapping stretches of 2.4 s" in text
    assert "stretches" not in plain(stages(short_one, prompt, 16_000, 0))


@pytest.mark.parametrize(
    ("n", "text"), [(999, "999"), (69_760, "70 k"), (999_400, "999 k"), (6_700_000, "6.7 M")]
)
def test_numbers_of_parameters_are_short(n: int, text: str) -> None:
    assert short(n).replace("\u00a0", " ") == text


# The flag


def test_a_flagged_answer_says_so_in_one_sentence_and_another_does_not(sp: SpeechPrompt) -> None:
    prompt = sp.prompts["keyword_spotting"]
    (answer,) = sp.classify(EXAMPLES / "yes.flac", ["keyword_spotting"])
    assert not answer.flagged and "may not fit" not in plain(answers.result(answer, prompt, None, []))
    doubted = replace(answer, fits="no", reason="This is <noise>, not speech.")
    assert plain(answers.result(doubted, prompt, None, [])).count("This is <noise>, not speech.") == 1


# Melody


def test_melody_draws_voiced_runs_alone_and_says_it_in_words() -> None:
    units = Units.from_frames([1, 1, 2, 3, 3])
    html = melody_svg(np.array([100.0, 0.0, 200.0], np.float32), units, 0.1)
    page = Elements(html)
    (path,) = (str(attrs["d"]) for tag, attrs in page.tags if tag == "path")
    assert path == "M0 0.900h2M3 0.100h2"
    assert page.having("aria-label", "Melody: 2 of 3 units have a pitch, 100 to 200 Hz")
    assert "no pitch was found" in melody_svg(np.zeros(3), units, 0.1)


def test_only_a_backbone_that_hears_the_melody_draws_it() -> None:
    t = np.arange(16_000) / 16_000
    voice = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 9)).astype(np.float32) * 0.2
    units = Units.from_frames(np.arange(50) // 5)
    assert "Melody" not in timeline(units, voice)
    heard = with_f0(units, voice)
    html = timeline(heard, voice)
    found = re.search(r"Melody: (\d+) of 10 units have a pitch, (\d+) to (\d+) Hz", html)
    assert found and int(found[1]) >= 8 and 145 <= int(found[2]) <= int(found[3]) <= 155
    spoken = [str(run["aria-label"]) for run in Elements(html).having("role", "option")]
    assert sum(text.endswith(" Hz") for text in spoken) == int(found[1])
    assert "Melody" not in timeline(heard, None)


def test_units_without_a_recording_are_not_to_be_played() -> None:
    units = Units.from_frames([1, 1, 2])
    assert "Enter plays" not in timeline(units, None) and "data-player" not in timeline(units, None)
    page = Elements(timeline(units, np.zeros(960, np.float32), player="other"))
    assert page.having("data-player", "other")[0]["data-seconds"] == "0.0600"
