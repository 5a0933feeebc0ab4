"""Learning from another prompt: its units, its distributions, what is refused, and the command that asks for it."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.data.dataset import Example
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.config import Facts
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.catalogue import Task
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import Negatives, Progress, tune
from speechprompt.tuning.recipe import tune_task
from speechprompt.tuning.teacher import TEMPERATURE, distributions, teacher_loss, weighed_units
from speechprompt.tuning.trainable import Labelled, TrainablePrompt
from speechprompt.units import UNIT_OFFSET
from tests.tiny import N_UNITS, make_backbone, make_lm, make_prompt
from tests.tuning.test_fine_tuning import units_file

LABELS = ("a", "b", "c")
FORM = AnswerForm(LABELS)
QUICK = TuneConfig(prompt_length=4, steps=60, tokens_per_batch=512, check_every=60, unit_noise=0.0)
WEIGHED = replace(QUICK, verbalizer="weighed", loss="vocabulary")


def utterances(n: int, seed: int, turn: int = 0) -> list[Labelled]:
    """Utterances that end in the unit of their label, or of the label `turn` before it."""
    rng = random.Random(seed)
    made: list[Labelled] = []
    for _ in range(n):
        unit = rng.randrange(3)
        made.append(
            ([*(rng.randrange(N_UNITS) for _ in range(rng.randint(3, 8))), unit], ((unit + turn) % 3,))
        )
    return made


def prompt_of(tensors: dict[str, torch.Tensor]) -> Prompt:
    facts = {one.name: getattr(make_prompt(labels=LABELS), one.name) for one in fields(Facts)}
    return Prompt(**{**facts, **tensors})


def answers_of(prompt: Prompt, data: list[Labelled]) -> list[int]:
    raw = PromptedLM(make_lm(), [prompt]).answer([ids for ids, _ in data])
    return [int(one.probabilities[0].argmax()) for (one,) in raw]


def test_units_are_those_that_the_weights_are_above_the_mean_for_most_telling_first() -> None:
    teacher = make_prompt(labels=LABELS)
    weight = torch.zeros(3 + UNIT_OFFSET, 6 + UNIT_OFFSET)
    weight[:, :UNIT_OFFSET] = 9  # of the specials
    weight[:UNIT_OFFSET] = 9
    weight[UNIT_OFFSET:, UNIT_OFFSET:] = torch.tensor(
        [
            # Unit 1 weighs more than unit 0 for all, yet tells less of a.
            [1.0, 5.0, 0.0, 0.0, 0.0, 2.0],
            [0.0, 4.9, 3.0, 0.0, 0.0, 0.0],
            [0.0, 4.9, 0.0, 0.5, 1.5, 0.0],
        ]
    )
    teacher = replace(teacher, verbalizer_weight=weight)
    assert weighed_units(teacher, 64).tolist() == [[5, 0, 1], [2, -1, -1], [4, 3, -1]]
    assert weighed_units(teacher, 2).tolist() == [[5, 0], [2, -1], [4, 3]]
    weight = weight.clone()
    weight[UNIT_OFFSET + 1, UNIT_OFFSET:] = -1
    with pytest.raises(SpeechPromptError, match="No unit is weighed for the label 'b'"):
        weighed_units(replace(teacher, verbalizer_weight=weight), 64)


@pytest.mark.parametrize("how", [{}, {"deep": False}, {"verbalizer": "fixed"}])
def test_the_distributions_are_the_teachers_answers_at_a_higher_temperature(how: dict[str, Any]) -> None:
    teacher, data = make_prompt(labels=LABELS, **how), utterances(30, 1)
    raw = PromptedLM(make_lm(), [teacher]).answer([ids for ids, _ in data])
    answered = torch.tensor([one.probabilities[0].tolist() for (one,) in raw])
    flatter = answered ** (1 / TEMPERATURE)
    found = distributions(make_lm(), teacher, data)
    assert not found.requires_grad
    torch.testing.assert_close(found, flatter / flatter.sum(-1, keepdim=True), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("loss", ["labels", "vocabulary", "reference"])
@pytest.mark.parametrize("learned", [False, True])
def test_the_teachers_loss_is_the_cross_entropy_of_the_summed_units(loss: Any, learned: bool) -> None:
    lm, data = make_lm(), [([1, 2, 3], (0,)), ([4, 4], (2,))]
    several = torch.tensor([[7, 1], [2, -1], [5, 9]])
    prompt = TrainablePrompt(lm, replace(QUICK, loss=loss), None if learned else several, FORM)
    logits = prompt(lm, [ids for ids, _ in data], [labels for _, labels in data])
    taught = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    due = logits[:, int(loss == "reference")]  # which counts the separator before it
    if learned:
        odds = (due @ prompt.verbalizer_weight.T).softmax(-1)[:, UNIT_OFFSET:]
    else:
        of_units = due.softmax(-1)[:, UNIT_OFFSET:]
        odds = torch.stack([of_units[:, own].sum(-1) for own in ([7, 1], [2], [5, 9])], -1)
    if loss == "labels":
        odds = odds / odds.sum(-1, keepdim=True)
    torch.testing.assert_close(teacher_loss(prompt, logits, taught), -(taught * odds.log()).sum(-1).mean())


@pytest.fixture(scope="module")
def teacher() -> Prompt:
    """Answers the label after the one that the data of the tests has, so that following it can be told."""
    config = replace(QUICK, steps=150, check_every=75)
    return prompt_of(tune(make_lm(), utterances(300, 5, 1), utterances(60, 6, 1), FORM, config)[0])


@pytest.mark.parametrize(
    "how",
    [
        {"steps": 60},
        pytest.param({"verbalizer": "expected"}, marks=pytest.mark.long),
        pytest.param({"loss": "labels"}, marks=pytest.mark.long),
    ],
)
def test_a_larger_share_follows_the_teacher_more(teacher: Prompt, how: dict[str, Any]) -> None:
    train, valid, fresh = utterances(300, 1), utterances(60, 2), utterances(200, 3)
    due, agreed = answers_of(teacher, fresh), {}
    for share in (0.0, 1.0):
        config = replace(WEIGHED, teacher_share=share, **{"steps": 120, **how})
        given = teacher if share or config.verbalizer == "weighed" else None
        tensors, _ = tune(make_lm(), train, valid, FORM, config, keep="last", teacher=given)
        same = zip(answers_of(prompt_of(tensors), fresh), due, strict=True)
        agreed[share] = sum(own == other for own, other in same) / len(due)
        if config.verbalizer == "weighed":
            assert torch.equal(tensors["verbalizer_units"], weighed_units(teacher, 64))
    assert agreed[1.0] > agreed[0.0] + 0.1, agreed


def test_a_stopped_run_goes_on_with_the_same_teacher_alone(teacher: Prompt, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        raise Stopped

    config = replace(WEIGHED, steps=20, check_every=10, unit_noise=0.1)
    nothing = Negatives([ids for ids, _ in utterances(40, 7)])  # which the teacher is not asked about
    given = (make_lm(), utterances(90, 1), utterances(30, 2), FORM, config)
    whole, _ = tune(*given, negatives=nothing, teacher=teacher)
    with pytest.raises(Stopped):
        tune(*given, tmp_path, stop, negatives=nothing, teacher=teacher)
    other = replace(teacher, separator=teacher.separator + 1)
    with pytest.raises(SpeechPromptError, match="holds another tuning"):
        tune(*given, tmp_path, negatives=nothing, teacher=other)
    parts, _ = tune(*given, tmp_path, negatives=nothing, teacher=teacher)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-5, rtol=1e-4)


SEQUENCE = replace(FORM, kind="sequence", max_steps=3)


@pytest.mark.parametrize(
    ("made", "form", "changes", "message"),
    [
        (None, FORM, {}, "takes its units from a --teacher"),
        (
            {"labels": ("b", "a", "c")},
            FORM,
            {},
            "labels that are not the 3 of the train split in their order",
        ),
        ({"labels": ("a", "b")}, FORM, {}, "The teacher answers 2 labels"),
        ({"verbalizer": "fixed"}, FORM, {}, "has a fixed verbalizer, which weighs no units"),
        ({}, SEQUENCE, {}, "give --teacher-share 0"),
        ({"kind": "sequence", "max_steps": 3}, FORM, {}, "give --teacher-share 0"),
        ({}, FORM, {"verbalizer": "learned", "teacher_share": 0.0}, "Nothing is learnt from the teacher"),
    ],
)
def test_what_cannot_be_learnt_from_a_teacher_is_said(
    made: dict[str, Any] | None, form: AnswerForm, changes: dict[str, Any], message: str
) -> None:
    given = None if made is None else make_prompt(**{"labels": LABELS, **made})
    with pytest.raises(SpeechPromptError, match=message) as found:
        tune(make_lm(), utterances(9, 1), utterances(9, 2), form, replace(WEIGHED, **changes), teacher=given)
    assert str(found.value).count(". ") == 0


def test_sequences_can_have_a_teachers_units(teacher: Prompt) -> None:
    config = replace(WEIGHED, teacher_share=0.0, steps=2, units_per_label=3)
    train: list[Labelled] = [([1, 2], (0, 1)), ([2, 1], (1,)), ([3, 3, 1], (2,))]
    tensors, _ = tune(make_lm(), train, train, SEQUENCE, config, teacher=teacher)
    assert torch.equal(tensors["verbalizer_units"], weighed_units(teacher, 3))


def test_a_teacher_of_another_lm_is_refused(tmp_path: Path) -> None:
    backbone = Backbone(make_backbone(tmp_path))
    data = [Example(str(i), "train", (LABELS[i % 3],), None, [i % 3, 5]) for i in range(9)]
    task = Task("ends", "Ends", "Other", "random", "CC0-1.0")
    with pytest.raises(SpeechPromptError, match="was tuned for the unit LM 000000000000"):
        tune_task(backbone, task, data, data, WEIGHED, teacher=make_prompt(labels=LABELS))


def test_the_command_learns_from_a_prompt_of_a_folder(tmp_path: Path, capsys: Any) -> None:
    backbone, data = make_backbone(tmp_path), units_file(tmp_path / "ends.parquet")
    lessons = tmp_path / "learned" / "ends"

    def command(out: Path, *more: str | Path) -> int:
        given = ["--task", "ends", "--data", data, "--backbone", backbone, "--out", out, "--steps", "40"]
        return main(["tune", *map(str, [*given, "--check-every", "20", "--augment", "0", *more])])

    assert command(lessons) == 0
    taught = ["--teacher", lessons, "--verbalizer", "weighed", "--loss", "vocabulary"]
    assert command(tmp_path / "taught", *taught, "--units-per-label", "3") == 0
    made = Prompt.load(tmp_path / "taught")
    assert torch.equal(made.verbalizer_units, weighed_units(Prompt.load(lessons), 3))  # type: ignore[arg-type]
    assert "--teacher ends --verbalizer weighed" in made.commands["tuned"]
    capsys.readouterr()
    assert command(tmp_path / "none", "--verbalizer", "weighed") == 2
    assert "takes its units from a --teacher" in capsys.readouterr().err
    assert command(tmp_path / "none", *taught, "--teacher", tmp_path / "taught") == 2
    assert "choose a --teacher with a learned one" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
