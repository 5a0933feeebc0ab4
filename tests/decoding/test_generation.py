"""Answers: a batch says what single rows say, slots and ends constrain it, beams search, specials never win."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import N_UNITS, make_lm, make_prompt

from speechprompt.decoding import generation
from speechprompt.decoding.forward import forward_prompted, label_logits, to_batch
from speechprompt.decoding.generation import PromptedLM, stream
from speechprompt.decoding.prefix import Prefix
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET, Units, stretches

FLAGS = {"threshold": 0.1, "error_before": 0.1, "error_after": 0.1, "split": "valid", "n": 9}
FLAGS |= {"right_flagged": None, "wrong_flagged": None}
UTTERANCES = [[3, 1, 4], [15, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9], [0], [19, 18], [2, 7, 1, 8, 2, 8]]


@pytest.fixture(scope="module")
def lm():
    return make_lm()


@pytest.fixture(scope="module")
def prompts():
    """Every kind: deep and input, both verbalizers, three lengths."""
    return [
        make_prompt("a", length=1, seed=1),
        make_prompt("b", labels=("x", "y"), length=5, verbalizer="fixed", seed=2),
        make_prompt("c", length=2, deep=False, seed=3),
        make_prompt("d", labels=tuple("pqrstu"), length=4, deep=False, verbalizer="fixed", seed=4),
    ]


@pytest.fixture(scope="module")
def long_answers():
    """Slots and sequences, deep and input, both verbalizers, greedy and beam."""
    slots = {"kind": "slots", "slots": {"colour": 3, "fruit": 2}}
    spelled = {"kind": "sequence", "max_steps": 6}
    return [
        make_prompt("e", labels=("red", "none", "blue", "none", "plum"), seed=5, **slots),
        make_prompt("f", labels=tuple("abcde"), deep=False, verbalizer="fixed", seed=6, **slots),
        make_prompt("g", labels=tuple("pqrstu"), length=5, seed=7, **spelled),
        make_prompt("i", labels=tuple("uvwxyz"), seed=9, with_label_embeddings=True, **spelled),
        make_prompt("h", labels=tuple("xyz"), verbalizer="fixed", seed=8, **spelled, beams=3),
    ]


def assert_same(one, other):
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    np.testing.assert_allclose(one.vocabulary_logits, other.vocabulary_logits, atol=1e-4)


def test_one_batch_answers_as_single_rows(lm, prompts):
    together = PromptedLM(lm, prompts).answer(UTTERANCES)
    for ids, per_prompt in zip(UTTERANCES, together, strict=True):
        for prompt, answer in zip(prompts, per_prompt, strict=True):
            assert_same(answer, PromptedLM(lm, [prompt]).answer([ids])[0][0])


def test_answers_come_in_the_order_asked(lm, prompts):
    prompted = PromptedLM(lm, prompts)
    asked = [prompts[0], prompts[1], prompts[3]]
    straight, turned = prompted.answer(UTTERANCES, asked), prompted.answer(UTTERANCES[::-1], asked[::-1])
    for row, other in zip(straight, turned[::-1], strict=True):
        for answer, same in zip(row, other[::-1], strict=True):
            assert_same(answer, same)


def watched_steps(monkeypatch) -> list[int]:
    """How many rows every step from the cache has, as steps are made."""
    step, rows = generation.forward_step, []
    monkeypatch.setattr(generation, "forward_step", lambda *args: rows.append(len(args[2])) or step(*args))
    return rows


def assert_all_same(some, others):
    for row, other in zip(some, others, strict=True):
        for answer, same in zip(row, other, strict=True):
            assert_same(answer, same)


def test_small_passes_give_the_same_answers(lm, prompts, long_answers, monkeypatch):
    asked = [*prompts, *long_answers]
    prompted = PromptedLM(lm, asked)
    steps = watched_steps(monkeypatch)
    whole = prompted.answer(UTTERANCES)
    together = steps.copy()
    sizes = []
    forward = generation.forward_prompted
    monkeypatch.setattr(generation, "MAX_TOKENS", 40)
    monkeypatch.setattr(
        generation,
        "forward_prompted",
        lambda *args, **more: sizes.append(args[1].tokens.numel()) or forward(*args, **more),
    )
    assert_all_same(whole, prompted.answer(UTTERANCES))
    assert len(sizes) > 5
    assert max(sizes) <= 40
    assert steps == [*together, *together]  # all rows go on together, however many passes they came in


def test_small_caches_give_the_same_answers(lm, long_answers, monkeypatch):
    steps = watched_steps(monkeypatch)
    whole = PromptedLM(lm, long_answers).answer(UTTERANCES)
    largest = max(steps)
    steps.clear()
    monkeypatch.setattr(generation, "MAX_TOKENS", 40)
    monkeypatch.setattr(generation, "CACHE_BYTES", 1)
    assert_all_same(whole, PromptedLM(lm, long_answers).answer(UTTERANCES))
    assert max(steps) < largest


def test_nothing_of_an_earlier_answer_is_left_in_the_cache(lm, prompts, long_answers, monkeypatch):
    """A prompt of somebody else's may have filled it with what is not a number."""
    monkeypatch.setattr(generation, "MAX_TOKENS", 40)  # passes of several lengths
    asked = [*prompts, *long_answers]
    prompted = PromptedLM(lm, asked)
    first = prompted.answer(UTTERANCES)
    (cache,) = prompted.caches
    with torch.inference_mode():
        cache.memory.fill_(torch.nan)
    assert_all_same(first, prompted.answer(UTTERANCES))
    assert prompted.caches == [cache]


def test_more_units_than_the_position_table_holds():
    lm = make_lm()
    long = [i % N_UNITS for i in range(3000)]  # 60 s of units that all differ from their neighbours
    prompted = PromptedLM(lm, [make_prompt()])
    answer = prompted.answer([long])[0][0]
    assert np.isfinite(answer.vocabulary_logits).all()
    assert answer.probabilities.sum() == pytest.approx(1)
    separator = prompted.prompts[0].separator.clone().requires_grad_()
    forward_prompted(
        lm, to_batch(lm, [[1]]), Prefix(separator[None])
    ).sum().backward()  # training still works
    assert separator.grad is not None


def test_probabilities_cover_the_labels_only(lm):
    prompt = make_prompt(labels=("yes", "no"))
    prompt.verbalizer_weight[:UNIT_OFFSET] += 1e3  # the specials' outputs would win any argmax
    (answer,) = PromptedLM(lm, [prompt]).answer([[1, 2, 3]])[0]
    assert answer.probabilities.shape == (1, 2)
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.vocabulary_logits.shape == (1, N_UNITS + UNIT_OFFSET)


def test_long_recordings_are_answered_in_stretches(lm, prompts):
    """The mean of the stretches' logits, verbalized: for both verbalizers, and only where there is a window."""
    rng = np.random.default_rng(3)
    long, short = (Units.from_frames(rng.integers(0, N_UNITS, n)) for n in (70, 20))
    windowed = [
        replace(p, form=replace(p.form, window=0.6), calibration={"temperature": 2.0, **FLAGS})
        for p in prompts
    ]
    for row, prompt in enumerate(windowed):
        (found,), (brief,) = PromptedLM(lm, [prompt]).answer([long, short])
        cut = stretches(long, 30)
        assert len(cut) > 2
        plain = PromptedLM(lm, [replace(prompt, form=replace(prompt.form, window=None))])
        logits = np.mean([raw.vocabulary_logits for (raw,) in plain.answer(cut)], 0)
        np.testing.assert_allclose(found.vocabulary_logits, logits, atol=1e-5)
        labels = label_logits(torch.from_numpy(logits), prompt.verbalizer_weight, prompt.verbalizer_units)
        expected = (labels / prompt.temperature).softmax(-1)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        assert found.labels == [int(expected.argmax())]
        assert_same(brief, plain.answer([short])[0][0])
        together = PromptedLM(lm, [*windowed, *prompts]).answer([short, long])[1]
        assert_same(together[row], found)
        assert_same(together[4 + row], PromptedLM(lm, [prompts[row]]).answer([long])[0][0])


def test_a_stream_answers_in_order_however_many_at_a_time(lm, long_answers, monkeypatch):
    for prompt in long_answers[1:3]:
        whole = [raw for (raw,) in PromptedLM(lm, [prompt]).answer(UTTERANCES)]
        monkeypatch.setattr(generation, "STREAMED", 2)
        for raw, expected in zip(stream(lm, prompt, UTTERANCES), whole, strict=True):
            assert raw.labels == expected.labels
            assert_same(raw, expected)


def test_no_utterances_give_no_answers(lm, prompts):
    assert list(stream(lm, prompts[0], [])) == []
    assert PromptedLM(lm, prompts).answer([]) == []


def log_probabilities(lm, prompt: Prompt, ids: list[int], labels: list[int]) -> torch.Tensor:
    """What may be said at the separator and after each label, by one pass without a cache: [S + 1, C (+ 1)]."""
    units = prompt.verbalizer_units
    fed = [UNIT_OFFSET + (c if units is None else int(units[c])) for c in labels]
    if prompt.label_embeddings is not None:
        fed = [lm.config.vocab_size + c for c in labels]
    batch = to_batch(lm, [ids], answers=[fed])
    at = batch.lengths[:, None] - 1 + torch.arange(len(labels) + 1)
    prefix = replace(Prefix.of(lm, [prompt]), label_embeddings=prompt.label_embeddings)
    logits = forward_prompted(lm, batch, prefix, at)[0]
    found = label_logits(logits, prompt.verbalizer_weight, units, end=prompt.form.kind == "sequence")
    for row, (_, first, end) in zip(found, prompt.form.spans if prompt.form.slots else [], strict=False):
        row[:first] = row[end:] = -torch.inf
    return found.log_softmax(-1)


def test_answers_equal_a_full_pass_for_every_label(lm, prompts, long_answers):
    """As the reference answers: no cache, batch of one, the whole row again for every label."""
    mixed = [*prompts, *long_answers[:4]]
    together = PromptedLM(lm, mixed).answer(UTTERANCES)
    lengths = set()
    for ids, per_prompt in zip(UTTERANCES, together, strict=True):
        for prompt, answer in zip(mixed, per_prompt, strict=True):
            labels: list[int] = []
            while len(labels) < prompt.form.n_steps:
                expected = log_probabilities(lm, prompt, ids, labels)[len(labels)]
                found = answer.probabilities[len(labels)]
                np.testing.assert_allclose(found, expected.exp().numpy(), atol=1e-5)
                choice = int(expected.argmax())
                if choice == len(prompt.labels):
                    break
                labels.append(choice)
            assert answer.labels == labels
            lengths.add(len(labels))
    assert len(lengths) > 2  # sequences that end by themselves and such that are cut


def test_every_slot_gets_one_of_its_own_labels(lm, long_answers):
    for (answer,) in PromptedLM(lm, long_answers[:1]).answer(UTTERANCES):
        colour, fruit = answer.labels
        assert colour < 3 <= fruit
        np.testing.assert_allclose(answer.probabilities.sum(-1), 1, atol=1e-5)
        assert not answer.probabilities[0, 3:].any() and not answer.probabilities[1, :3].any()
        expected = answer.probabilities[0, colour] * answer.probabilities[1, fruit]
        assert answer.score == pytest.approx(float(expected))


def test_a_beam_as_wide_as_everything_finds_the_likeliest_answer(lm):
    prompt = make_prompt("b", labels=("x", "y"), kind="sequence", max_steps=2, beams=9, seed=11)
    (answer,) = PromptedLM(lm, [prompt]).answer([UTTERANCES[1]])[0]
    best = {}
    for labels in [(), *itertools.product(range(2)), *itertools.product(range(2), repeat=2)]:
        table = log_probabilities(lm, prompt, UTTERANCES[1], list(labels))
        steps = [float(table[i, label]) for i, label in enumerate(labels)]
        if len(labels) < 2:  # shorter ones must end
            steps.append(float(table[len(labels), 2]))
        best[labels] = sum(steps) / len(steps)
    assert tuple(answer.labels) == max(best, key=best.get)


def test_an_answer_all_but_certain_is_not_crowded_out_by_short_ones(lm):
    """Beams whose other places end early, one after the other, still follow the likely one to its end."""
    long_ones = 0
    for seed in range(12):
        prompt = make_prompt(
            "p", tuple("uvwxyz"), kind="sequence", max_steps=9, seed=seed, with_label_embeddings=True
        )
        prompt.verbalizer_weight.mul_(40)
        prompts = [prompt, replace(prompt, form=replace(prompt.form, beams=4))]
        for greedy, beam in PromptedLM(lm, prompts).answer(UTTERANCES):
            if greedy.score > 0.9:
                long_ones += len(greedy.labels) > 4
                assert beam.labels == greedy.labels
    assert long_ones > 5


def test_beams_do_not_mix_rows(lm, long_answers):
    together = PromptedLM(lm, long_answers).answer(UTTERANCES)
    for ids, per_prompt in zip(UTTERANCES, together, strict=True):
        for prompt, answer in zip(long_answers, per_prompt, strict=True):
            alone = PromptedLM(lm, [prompt]).answer([ids])[0][0]
            assert alone.labels == answer.labels
            assert_same(alone, answer)


def test_specials_are_never_answered(lm):
    prompt = make_prompt("s", labels=("a", "b"), kind="sequence", max_steps=5)
    prompt.verbalizer_weight[[0, 1, 3]] += 1e3  # separator, pad, unknown
    for (answer,) in PromptedLM(lm, [prompt]).answer(UTTERANCES):
        assert set(answer.labels) <= {0, 1} and answer.probabilities.shape[1] == 3
    prompt.verbalizer_weight[2] = 1e3 * lm.model.embed_tokens.weight.sum(1).sign()
    prompt.verbalizer_weight[2, :] = 0.0
    prompt.verbalizer_weight[UNIT_OFFSET:] = -1.0
    assert all(len(a.labels) <= 5 for (a,) in PromptedLM(lm, [prompt]).answer(UTTERANCES))
