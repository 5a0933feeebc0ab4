"""A teacher: a prompt of the same unit LM and labels that another one learns from.

A learned verbalizer weighs all units for each label; `weighed_units` makes a fixed verbalizer of it. `distributions` is
what the teacher answers about each training utterance, and `teacher_loss` how far the prompt that is tuned is from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from speechprompt.decoding.forward import label_logits
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.runs import batches_by_length
from speechprompt.tuning.trainable import Labelled, TrainablePrompt
from speechprompt.units import UNIT_OFFSET

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

TEMPERATURE = 1.5  # that the teacher's logits are divided by, so that its second thoughts count too
WEIGHED_UNITS = 64  # of a label at most, where nothing else is asked for
TOKENS = 8192  # of a batch that is only read


def check_teacher(teacher: Prompt | None, form: AnswerForm, config: TuneConfig) -> None:
    """Raise SpeechPromptError unless a prompt of this form can learn from the teacher what the settings ask for."""
    weighed = config.verbalizer == "weighed"
    if teacher is None:
        if weighed:
            raise SpeechPromptError(
                "--verbalizer weighed takes its units from a --teacher: name a prompt with a learned verbalizer."
            )
        return
    if teacher.labels != form.labels:
        raise SpeechPromptError(
            f"The teacher answers {len(teacher.labels)} labels that are not the {len(form.labels)} of the train split "
            "in their order: choose a --teacher that was tuned on the same labels."
        )
    if weighed and teacher.verbalizer_weight is None:
        raise SpeechPromptError(
            "The teacher has a fixed verbalizer, which weighs no units: choose a --teacher with a learned one, or "
            "another --verbalizer."
        )
    if config.teacher_share and not teacher.form.kind == form.kind == "label":
        raise SpeechPromptError(
            "A teacher's distribution is learnt in tasks of one label alone: give --teacher-share 0, and --verbalizer "
            "weighed for its units."
        )
    if not config.teacher_share and not weighed:
        raise SpeechPromptError(
            "Nothing is learnt from the teacher: give a --teacher-share above 0, or --verbalizer weighed."
        )


def weighed_units(teacher: Prompt, each: int) -> Tensor:
    """The units that a learned verbalizer weighs for a label most: int64 [C, K], K ≤ each, -1 where one has fewer.

    Every unit belongs to the label that has the highest weight of it, and tells the more of that label the further
    this is above the mean over the labels; the most telling come first. SpeechPromptError where a label has none.
    """
    if teacher.verbalizer_weight is None:
        raise ValueError("a fixed verbalizer weighs no units")
    weight = teacher.verbalizer_weight[UNIT_OFFSET:, UNIT_OFFSET:].double()
    above, label = (weight - weight.mean(0)).max(0)
    order = above.argsort(descending=True, stable=True)
    rows = [order[label[order] == own][:each] for own in range(len(weight))]
    for name, row in zip(teacher.labels, rows, strict=True):
        if not len(row):
            raise SpeechPromptError(
                f"No unit is weighed for the label {name!r} most by the teacher: choose another --verbalizer."
            )
    return pad_sequence(rows, batch_first=True, padding_value=-1)


@torch.no_grad()
def distributions(lm: UnitLM, teacher: Prompt, train: Sequence[Labelled]) -> Tensor:
    """The teacher's probabilities of the labels for each utterance, float32 [N, C] on the LM's device."""
    config = TuneConfig(
        prompt_length=teacher.length,
        input_prompts=not teacher.deep,
        positions=teacher.positions,
        projected=teacher.projected,
        absolute_pitch=teacher.absolute_pitch,
    )
    prompt = TrainablePrompt(lm, config, teacher.verbalizer_units, teacher.form).eval()
    prompt.load_state_dict({name: getattr(teacher, name) for name in prompt.state_dict()})
    found = torch.empty(len(train), len(teacher.labels), device=lm.device)
    for group in batches_by_length([len(ids) + 1 for ids, _ in train], TOKENS, None):
        logits = prompt(lm, [train[i][0] for i in group], [prompt.any_answer] * len(group))
        found[group] = (prompt.answer_logits(logits)[:, 0] / TEMPERATURE).softmax(-1)
    return found


def teacher_loss(prompt: TrainablePrompt, vocabulary: Tensor, taught: Tensor) -> Tensor:
    """Mean cross-entropy of a teacher's distributions [B, C] against the prompt's own probabilities of the labels.

    vocabulary: what the prompt's forward gives. With the loss "labels" they are those among the labels, else among
    all that the LM, or a learned verbalizer, could answer.
    """
    if prompt.config.loss == "labels":
        odds = prompt.answer_logits(vocabulary)[:, 0].log_softmax(-1)
    else:
        among_all = prompt.outputs(vocabulary)[:, prompt.lead].log_softmax(-1)
        odds = label_logits(among_all, units=prompt.label_units)
    return -(taught * odds).sum(-1).mean()


def teacher_digest(teacher: Prompt) -> str:
    """sha256 of the teacher's tensors: what says whether a run that was stopped had the same."""
    found = hashlib.sha256()
    for name, tensor in sorted(teacher.tensors().items()):
        found.update(f"{name} {tuple(tensor.shape)} ".encode())
        found.update(tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
