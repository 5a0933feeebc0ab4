"""The recipe: labelled recordings (or units) of a task -> a measured prompt for a backbone.

Puts together what the other modules do: recordings become units, once as they are and again as other
rooms and microphones would have delivered them; a prompt is tuned; the valid split measures it
and calibrates its scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example, at_most
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.calibration import calibrate
from speechprompt.evaluation.evaluate import evaluate, to_units
from speechprompt.pipeline import judges_of
from speechprompt.prompts.config import MAX_SEEDS, Tuning
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.catalogue import Task
from speechprompt.tasks.labels import LETTERS
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.labelled import labelled, negative_units, simulation_for
from speechprompt.tuning.loop import NO_NEGATIVES, Negatives, tune
from speechprompt.tuning.sampling import cut, evened
from speechprompt.tuning.teacher import check_teacher


def labels_in_order(task: Task, examples: Sequence[Example]) -> list[str]:
    """The labels that a prompt answers with: those of the data, as the task orders them, others after these."""
    form, found = task.form, {label for example in examples for label in example.labels}
    if form.kind == "slots" and form.labels:
        return list(form.labels)
    known = form.labels or (tuple(LETTERS) if form.kind == "sequence" else ())
    return [label for label in known if label in found] + sorted(found - {*known})


def form_of(task: Task, examples: Sequence[Example]) -> AnswerForm:
    """The answer form of a task with the labels of its data; slots without labels have each its column's, sorted."""
    labels = tuple(labels_in_order(task, examples))
    silence = task.form.silence_label if task.form.silence_label in labels else None
    form = replace(task.form, labels=(), silence_label=silence)
    if form.kind != "slots" or task.form.labels:
        return replace(form, labels=labels)
    columns = [sorted(set(column)) for column in zip(*(e.labels for e in examples), strict=True)]
    slots = dict(zip(form.slots, map(len, columns), strict=True))
    return replace(form, labels=tuple(label for column in columns for label in column), slots=slots)


def check_learnt(labels: Sequence[str], valid: Sequence[Example]) -> None:
    """Raise SpeechPromptError when valid has a label that is not among those learnt."""
    if missing := sorted({label for e in valid for label in e.labels} - set(labels)):
        raise SpeechPromptError(f"The valid split has the label {missing[0]!r}, which the train split lacks.")


def start_from(prompt: Prompt, backbone: Backbone, form: AnswerForm, config: TuneConfig) -> dict[str, Tensor]:
    """The tensors of a prompt that another one of the same LM can begin with: its vectors, never its verbalizer.

    Embeddings of the labels go along where the labels are the same. SpeechPromptError where the LM or the sizes differ.
    """
    backbone.check_fits(prompt)
    vectors = prompt.key_prompts[0] if prompt.key_prompts is not None else prompt.input_prompts
    if vectors is None or len(vectors) != config.prompt_length or prompt.deep == config.input_prompts:
        where = "every layer" if prompt.deep else "the input"
        raise SpeechPromptError(
            f"The prompt to begin with has {0 if vectors is None else len(vectors)} vectors for {where}: "
            "give --prompt-length and --input-prompts to fit it."
        )
    names = ["separator", "key_prompts", "value_prompts", "input_prompts"]
    trained = config.feedback == "trained" and (form.kind == "sequence" or len(form.slots) > 1)
    if trained and prompt.labels == form.labels:
        names.append("label_embeddings")
    found = {name: getattr(prompt, name) for name in names}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def tune_task(
    backbone: Backbone,
    task: Task,
    train: Sequence[Example],
    valid: Sequence[Example],
    config: TuneConfig,
    seeds: int = 1,
    run: Path | None = None,
    report: Callable[[int, Prompt], None] = lambda seed, prompt: None,
    negatives: Sequence[Example] = (),
    valid_negatives: Sequence[Example] = (),
    start: Prompt | None = None,
    lm_lr: float | None = None,
    teacher: Prompt | None = None,
) -> Prompt:
    """Tune a prompt for a task, measure it on valid (prompt.metrics) and calibrate it there.

    With several seeds (config.seed, config.seed + 1, …) it is the prompt that is best on valid, of equals the
    first; with config.balance the mean recall decides. Its metrics["tuning"] then holds {"seeds": how many,
    "mean" and "deviation" of their accuracies on valid, 0..1}. Clips are drawn and become units once, by the
    first seed. run: folder of the checkpoint that a stopped run resumes from; has one for each of several seeds.
    negatives, valid_negatives: recordings of none of the labels; of the former as many are learnt from as
    config.negatives_share says, of the latter at most as many as valid has are measured.
    start: the prompt whose vectors the tuning begins with, see start_from. lm_lr: learning rate of the LM's own
    weights, which then change in memory (fine_tuning.keep_lm writes them); None: the LM is frozen.
    teacher: a prompt of this backbone with the same labels to learn from, see teacher.py.
    report is given each seed and its prompt, measured but not calibrated. SpeechPromptError when the data does not
    fit the task, before anything is tuned.
    """
    if not 1 <= seeds <= MAX_SEEDS:
        raise SpeechPromptError(f"seeds must be between 1 and {MAX_SEEDS}.")
    if config.absolute_pitch and not backbone.needs_f0:
        raise SpeechPromptError(f"The backbone {backbone.name} hears no pitch that could be absolute.")
    configs = [replace(config, seed=config.seed + i) for i in range(seeds)]
    if config.per_label:
        train = at_most(train, config.per_label, config.seed)
    if config.valid_per_label:
        valid = at_most(valid, config.valid_per_label, 0)
    form = form_of(task, train)
    if len(form.labels) < 2:
        raise SpeechPromptError(
            f"The train split has only the label {form.labels[0]!r}: a task needs at least two."
        )
    check_learnt(form.labels, valid)
    if teacher is not None:
        backbone.check_fits(teacher)
    check_teacher(teacher, form, config)
    facts: dict[str, Any] = {
        "task": task.name,
        "title": task.title,
        "form": form,
        "backbone": backbone.name,
        "unit_lm_sha256": backbone.unit_lm_sha256,
        "group": task.group,
        "about": task.about,
        "expects": task.expects,
        "languages": task.languages,
        "limits": task.limits,
        "label_rule": task.label_rule if isinstance(task.label_rule, Mapping) else None,
        "absolute_pitch": config.absolute_pitch,
        "positions": config.positions,
        "projected": (config.projected or not backbone.lm_config.projects) and not config.input_prompts,
        "data": task.data,
        "licence": task.licence,
    }
    # A name or label that no prompt may have is said now, not after minutes of tuning.
    Prompt(
        **facts,
        separator=torch.zeros(4),
        input_prompts=torch.zeros(1, 4),
        verbalizer_units=torch.arange(len(form.labels)),
    )
    for n in {len(example.labels) for example in (*train, *valid)}:
        if n > form.n_steps or (n < form.n_steps and form.kind != "sequence"):
            raise SpeechPromptError(
                f"An answer of the data has {n} labels, the task {form.n_steps} slots or steps."
            )

    fed_back = config.feedback == "units" and (form.kind == "sequence" or len(form.slots) > 1)
    if fed_back and config.verbalizer == "learned" and len(form.labels) > backbone.n_units:
        raise SpeechPromptError(
            f"{len(form.labels)} labels cannot each be fed back as one of {backbone.n_units} units: tune with "
            "--feedback trained."
        )

    begin = {} if start is None else start_from(start, backbone, form, config)
    answers = [form.indices(example.labels) for example in train]
    simulation = simulation_for(task, config.seed, config.pauses)
    quiet = None if form.silence_label is None else form.labels.index(form.silence_label)
    stretched = [task.stretch_of(example.source) for example in train]
    known = cut(labelled(backbone, train, answers, config.augment, simulation, quiet), stretched, config.seed)
    if config.balance:
        known = evened(known, [example.source for example in train], config.seed)
    held_out = labelled(backbone, valid, [form.indices(example.labels) for example in valid])
    held_out = cut(held_out, [task.stretch_of(example.source) for example in valid], 0)
    utterances = [ids for ids, _ in held_out]
    others = NO_NEGATIVES
    if negatives:
        share = config.negatives_share
        others = Negatives(
            negative_units(backbone, negatives, round(len(known) * share / (1 - share)), config, simulation),
            to_units(backbone, at_most([replace(e, labels=()) for e in valid_negatives], len(valid), 0)),
        )
    moved = () if lm_lr is None else [{"params": list(backbone.lm.parameters()), "peak": lm_lr}]
    prompts = []
    for seeded in configs:
        run_folder = run / f"seed-{seeded.seed}" if run and seeds > 1 else run
        tensors, _ = tune(
            backbone.lm,
            known,
            held_out,
            form,
            seeded,
            run_folder,
            start=begin,
            extra=moved,
            negatives=others,
            teacher=teacher,
        )
        stored = {name: t.half().float() if t.is_floating_point() else t for name, t in tensors.items()}
        prompt = Prompt(**{**facts, **stored})  # measured as it will be read from its folder
        metrics = evaluate(backbone, prompt, valid, utterances)
        prompt = replace(prompt, metrics={**metrics, "split": "valid"})
        report(seeded.seed, prompt)
        prompts.append(prompt)
    balanced = config.balance and form.kind == "label"
    best = max(prompts, key=lambda p: p.metrics["unweighted_recall" if balanced else "accuracy"])
    if seeds > 1:
        found = [prompt.metrics["accuracy"] for prompt in prompts]
        spread: Tuning = {
            "seeds": seeds,
            "mean": round(mean(found), 4),
            "deviation": round(stdev(found), 4),
        }
        best = replace(best, metrics={**best.metrics, "tuning": spread})
    truth = [tuple(answer) for _, answer in held_out]
    found_out = calibrate(backbone.lm, best, utterances, truth, "valid", others.valid, judges_of(backbone))
    return replace(best, calibration=found_out)
