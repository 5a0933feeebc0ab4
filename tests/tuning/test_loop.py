"""Tuning learns, freezes the LM, follows its seed, resumes, and keeps the best when it is stopped."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.checks import accuracy
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import Progress, latest_most, schedule_of, tune
from speechprompt.tuning.order import balanced, epoch_steps, epochs, with_noise
from speechprompt.tuning.papers import settings
from speechprompt.tuning.runs import batches_by_length
from speechprompt.tuning.trainable import (
    Labelled,
    TrainablePrompt,
)
from tests.tiny import N_UNITS, make_lm

FORM = AnswerForm(tuple("abc"))
SLOTS = AnswerForm(tuple("abcde"), "slots", {"x": 3, "y": 2})
QUICK = TuneConfig(prompt_length=4, steps=120, tokens_per_batch=512, check_every=40, unit_noise=0.0)


def utterances(n: int, seed: int) -> list[Labelled]:
    """Label c is an utterance that ends in unit c: something that one prompt can learn."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        label = rng.randrange(3)
        made.append(([rng.randrange(N_UNITS) for _ in range(rng.randint(3, 8))] + [label], (label,)))
    return made


TRAIN, VALID = utterances(300, 1), utterances(90, 2)


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("verbalizer", ["learned", "frequency", "random"])
def test_learns_with_the_lm_frozen(deep: bool, verbalizer: str) -> None:
    lm = make_lm()
    before = {name: value.clone() for name, value in lm.state_dict().items()}
    seen: list[Progress] = []
    config = replace(QUICK, steps=240, check_every=80, input_prompts=not deep, verbalizer=verbalizer)
    tensors, best = tune(lm, TRAIN, VALID, FORM, config, report=seen.append)
    chance = 1 / 3
    assert best > chance + (0.25 if deep else 0.12)  # input prompts learn more slowly
    assert best == max(p.valid_accuracy for p in seen)
    assert [p.step for p in seen] == [80, 160, 240] and seen[-1].loss < seen[0].loss
    assert all(torch.equal(before[name], value) for name, value in lm.state_dict().items())
    assert ("key_prompts" in tensors) == deep and ("verbalizer_weight" in tensors) == (
        verbalizer == "learned"
    )


def test_same_seed_same_prompt() -> None:
    first, again, other = (
        tune(make_lm(), TRAIN, VALID, FORM, replace(QUICK, steps=20, check_every=20, seed=s))[0]
        for s in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["separator"], other["separator"])


@pytest.mark.parametrize("average, optimizer", [(False, "adam"), (True, "adam"), (False, "muon")])
def test_resuming_equals_never_having_stopped(tmp_path, average: bool, optimizer: Any) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == 40:
            raise Stopped

    config = replace(QUICK, unit_noise=0.1, average=average, optimizer=optimizer)
    whole, _ = tune(make_lm(), TRAIN, VALID, FORM, config)
    with pytest.raises(Stopped):
        tune(make_lm(), TRAIN, VALID, FORM, config, tmp_path, stop)
    resumed: list[Progress] = []
    parts, _ = tune(make_lm(), TRAIN, VALID, FORM, config, tmp_path, resumed.append)
    assert [p.step for p in resumed] == [80, 120]
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-5, rtol=1e-4)
    with pytest.raises(SpeechPromptError, match="holds another tuning"):
        tune(make_lm(), TRAIN, VALID, FORM, replace(config, lr=0.01), tmp_path)


def test_a_mean_over_the_steps_is_what_is_kept() -> None:
    def after(steps: int, average: bool = False) -> dict[str, torch.Tensor]:
        asked = iter(range(1000))
        config = replace(QUICK, average=average)
        stop = lambda: next(asked) == steps  # noqa: E731
        return tune(make_lm(), TRAIN, VALID, FORM, config, keep="last", should_stop=stop)[0]

    ways = [after(steps)["separator"] for steps in (1, 2, 3)]
    mean = after(3, average=True)["separator"]
    expected = latest_most(latest_most(ways[0], ways[1], 1), ways[2], 2)
    torch.testing.assert_close(mean, expected)
    assert (mean - ways[2]).norm() < (mean - ways[0]).norm()


def test_the_latest_steps_count_most_in_a_mean() -> None:
    mean = torch.zeros(900)  # the share of each step
    for step in range(900):
        mean = latest_most(mean, torch.eye(900)[step], step) if step else torch.eye(900)[0]
    assert float(mean.sum()) == pytest.approx(1, rel=1e-3) and bool((mean.diff() > 0)[1:].all())
    assert float(mean[800:].sum()) > 0.6


def test_the_lm_may_be_fine_tuned_beside_the_prompt_and_resumes(tmp_path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == 40:
            raise Stopped

    config = replace(QUICK, prompt_length=1, input_prompts=True)
    before = make_lm().state_dict()

    def fine_tune(*run: Any, report: Any = None) -> tuple[dict[str, torch.Tensor], float, Any]:
        lm = make_lm().requires_grad_(True)
        extra = [{"params": list(lm.parameters()), "peak": 3e-3}]
        return *tune(lm, TRAIN, VALID, FORM, config, *run, report, keep="last", extra=extra), lm.state_dict()

    seen: list[Progress] = []
    tensors, found, changed = fine_tune(None, report=seen.append)
    assert all(not torch.equal(value, before[name]) for name, value in changed.items())
    _, frozen = tune(make_lm(), TRAIN, VALID, FORM, config, keep="last")
    assert found > frozen and seen[-1].loss < seen[0].loss
    assert set(tensors) == {"input_prompts", "separator", "verbalizer_weight"}
    with pytest.raises(Stopped):
        fine_tune(tmp_path, report=stop)
    _, _, resumed = fine_tune(tmp_path)
    for name, value in changed.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-5, rtol=1e-4)
    with pytest.raises(SpeechPromptError, match="holds another tuning"):  # of the prompt alone
        tune(make_lm(), TRAIN, VALID, FORM, config, tmp_path)


def test_the_lm_that_is_kept_is_the_one_of_the_best_check(tmp_path) -> None:
    lm, other = make_lm().requires_grad_(True), make_lm().requires_grad_(True)
    extra, same = ([{"params": list(one.parameters()), "peak": 0.3}] for one in (lm, other))  # far too much
    config = replace(QUICK, prompt_length=1, input_prompts=True, check_every=10, schedule="constant")
    seen: list[Progress] = []
    tensors, best = tune(lm, TRAIN, VALID, FORM, config, tmp_path, seen.append, extra=extra)
    assert best == max(p.valid_accuracy for p in seen) > seen[-1].valid_accuracy
    prompt = TrainablePrompt(lm, config, None, FORM)
    prompt.load_state_dict(tensors)
    assert accuracy(lm, prompt, VALID) == pytest.approx(best)
    tune(other, TRAIN, VALID, FORM, config, tmp_path, extra=same)  # was done: nothing is learnt any more
    for name, value in lm.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_ctrl_c_keeps_the_best_so_far() -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    tensors, best = tune(make_lm(), TRAIN, VALID, FORM, QUICK, report=interrupt)
    assert best > 0 and tensors["separator"].isfinite().all()


def test_stops_when_nothing_improves() -> None:
    seen: list[Progress] = []
    noise = [(ids, (random.Random(i).randrange(3),)) for i, (ids, _) in enumerate(VALID[:7])]
    tune(
        make_lm(),
        TRAIN,
        noise,
        FORM,
        replace(QUICK, steps=4000, check_every=5, patience=3),
        report=seen.append,
    )
    assert seen[-1].step < 4000


def test_unit_noise_never_empties_an_utterance() -> None:
    rng = random.Random(0)
    assert with_noise([1, 2], 0.0, 9, rng) == [1, 2]
    noisy = [with_noise(list(range(100)), 0.2, 1000, rng) for _ in range(50)]
    kept = sum(unit < 100 for ids in noisy for unit in ids) / 5000
    assert 0.75 < kept < 0.87 and all(with_noise([1], 0.9, 9, rng) for _ in range(100))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_length": 0}, "prompt_length must be between 1 and 200"),
        ({"steps": 0}, "steps must be"),
        ({"lr": float("nan")}, "lr must be"),
        ({"seed": -1}, "seed must be"),
        ({"per_label": -1}, "per_label must be"),
        ({"verbalizer": "fixed"}, "verbalizer must be one of learned, frequency, random"),
    ],
)
def test_settings_are_checked(change, message) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        replace(QUICK, **change)


def test_data_is_checked() -> None:
    with pytest.raises(SpeechPromptError, match="at least two labels"):
        tune(make_lm(), [([1, 2], (0,))], VALID, FORM, QUICK)
    with pytest.raises(SpeechPromptError, match="one validation utterance"):
        tune(make_lm(), TRAIN, [], FORM, QUICK)


def sequences(n: int, seed: int) -> list[Labelled]:
    """The answer is the last two units, when they are among 0, 1, 2: their number varies."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        tail = [rng.randrange(3) for _ in range(rng.randint(0, 2))]
        made.append(([*(rng.randrange(3, N_UNITS) for _ in range(rng.randint(3, 6))), *tail], tuple(tail)))
    return made


def test_learns_sequences_with_their_end() -> None:
    seen: list[Progress] = []
    config = replace(QUICK, steps=240, start="units", prompt_dropout=0.05)
    tune(
        make_lm(),
        sequences(300, 1),
        sequences(90, 2),
        replace(FORM, kind="sequence"),
        config,
        report=seen.append,
    )
    assert seen[-1].loss < 0.75 * seen[0].loss
    assert max(p.valid_accuracy for p in seen) > 0.55  # four outcomes at each step


def test_learns_slots() -> None:
    train, valid = (
        [(ids, (label, 3 + ids[0] % 2)) for ids, (label,) in utterances(n, seed)]
        for n, seed in ((300, 1), (90, 2))
    )
    seen: list[Progress] = []
    tune(make_lm(), train, valid, SLOTS, QUICK, report=seen.append)
    assert seen[-1].loss < seen[0].loss and seen[-1].valid_accuracy > 0.28  # chance: 1 / 6


def test_accuracy_is_that_of_greedy_answers() -> None:
    """Right throughout, given the true labels before, is right when answered label by label."""
    from speechprompt.decoding.generation import PromptedLM
    from speechprompt.prompts.prompt import Prompt

    lm = make_lm()
    trained = TrainablePrompt(lm, QUICK, None, SLOTS)
    rng = random.Random(0)
    data = [
        ([rng.randrange(N_UNITS) for _ in range(5)], (rng.randrange(3), rng.randrange(3, 5)))
        for _ in range(60)
    ]
    prompt = Prompt(
        task="t", title="T", form=SLOTS, backbone="tiny", unit_lm_sha256="0" * 64, **trained.tensors()
    )
    answers = PromptedLM(lm, [prompt]).answer([ids for ids, _ in data])
    right = sum(tuple(a.labels) == labels for (a,), (_, labels) in zip(answers, data, strict=True))
    assert accuracy(lm, trained, data) == pytest.approx(right / 60)
    assert 0 < right < 60


def rare(n: int) -> list[Labelled]:
    """Label 2 is one utterance in so many."""
    data = [(ids, (label % 2,)) for ids, (label,) in utterances(n, 3)]
    return [*data, ([4, 5, 2], (2,)), ([6, 2], (2,))]


def test_balanced_epochs_draw_every_answer_equally_often() -> None:
    data = rare(100)
    config = replace(QUICK, balance=True, tokens_per_batch=64)
    batches = list(islice(epochs(data, config, 0), 40))
    drawn = Counter(data[i][1] for group in batches for i in group)
    assert max(drawn.values()) < 1.4 * min(drawn.values())
    plain = Counter(
        data[i][1] for g in islice(epochs(data, replace(config, balance=False), 0), 40) for i in g
    )
    assert plain[2,] < 0.1 * plain[0,]
    assert list(islice(epochs(data, config, 25), 15)) == batches[25:]  # as if it had never stopped
    other = islice(epochs(data, replace(config, seed=1), 0), 40)
    assert list(other) != batches


def test_one_epoch_uses_as_much_of_each_answer_as_there_is() -> None:
    groups = [list(range(10)), [10, 11], [12]]
    drawn = balanced(groups, random.Random(0))
    counts = Counter(drawn)
    assert [sum(counts[i] for i in group) for group in groups] == [5, 5, 5]
    assert max(counts[i] for i in groups[0]) == 1 and {counts[10], counts[11]} == {2, 3}


def test_balance_counts_every_answer_equally_on_valid() -> None:
    lm = make_lm()
    data = rare(60)
    for balance in (False, True):
        trained = TrainablePrompt(lm, replace(QUICK, balance=balance), None, FORM)
        right: dict[int, list[bool]] = {0: [], 1: [], 2: []}
        for ids, labels in data:
            right[labels[0]].append(accuracy(lm, trained, [(ids, labels)]) == 1)
        by_label = [sum(hits) / len(hits) for hits in right.values()]
        plain = sum(map(sum, right.values())) / len(data)
        expected = sum(by_label) / 3 if balance else plain
        assert accuracy(lm, trained, data) == pytest.approx(expected)
    assert plain != pytest.approx(sum(by_label) / 3)


@pytest.mark.parametrize("recipe", ["v1", "v2"])
def test_the_papers_recipes_learn_and_stop_by_epochs_without_gain(recipe: str) -> None:
    config = replace(TuneConfig(**settings(recipe, "accent")), steps=2000, lr=0.05)
    seen: list[Progress] = []
    tensors, best = tune(make_lm(), TRAIN, VALID, FORM, config, report=seen.append)
    assert tensors["key_prompts"].shape[1] == {"v1": 6, "v2": 5}[recipe]
    per_epoch = epoch_steps(TRAIN, config)
    assert per_epoch >= len(TRAIN) / 32 and [p.step for p in seen] == [
        per_epoch * (i + 1) for i in range(len(seen))
    ]
    assert best in [p.valid_accuracy for p in seen] and seen[-1].step < 2000
    seen.clear()
    tune(make_lm(), TRAIN, VALID, FORM, replace(config, epochs=2, patience=9), report=seen.append)
    assert [p.step for p in seen] == [per_epoch, 2 * per_epoch]


def test_the_papers_start_and_schedule() -> None:
    config = TuneConfig(**settings("v2", "accent"))
    prompt = TrainablePrompt(make_lm(), config, None, FORM)
    assert 0.4 < float(prompt.separator.std()) < 1.8  # of N(0, 1), 16 numbers
    weight = prompt.verbalizer_weight
    assert float(weight.abs().max()) <= 1 / math.sqrt(weight.shape[1])
    assert {schedule_of(replace(config, steps=9), 1).rate(step) for step in range(9)} == {1.0}
    assert schedule_of(config, 7).steps == 2100  # 300 epochs
    slow = schedule_of(TuneConfig(**settings("v1", "accent", fine_tune=True)), 100)
    assert [slow.rate(step) for step in (0, 1000, 4000, 16000)] == [0, 0.25, 1, 0.5]
    prompt.train()
    torch.manual_seed(0)
    logits = torch.randn(4, 3, weight.shape[1])
    losses = {float(prompt.loss(logits, [(0,)] * 4)) for _ in range(3)}
    assert len(losses) == 3  # dropout of the outputs
    prompt.eval()
    assert len({float(prompt.loss(logits, [(0,)] * 4)) for _ in range(3)}) == 1


def test_a_batch_has_at_most_so_many_sentences() -> None:
    assert sorted(map(len, batches_by_length([5] * 10, 1000, None, 4))) == [2, 4, 4]
    assert list(map(len, batches_by_length([5] * 10, 1000, None))) == [10]
