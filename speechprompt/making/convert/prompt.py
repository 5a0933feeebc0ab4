"""Turn a prompt checkpoint of the papers' code (SpeechPrompt, SpeechPrompt v2) into a prompt folder of ours.

The command `convert prompt` says how and why.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint as checkpoints
from speechprompt.making.convert.unit_lm import check_out, read_dict, token_order
from speechprompt.making.convert.verbalizer import name_labels
from speechprompt.models import lm_config
from speechprompt.prompts.fit import check_fits
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.units import UNIT_OFFSET

MAX_CHECKPOINT_BYTES = 1 << 30  # prompts of the papers take a few MB; the optimizer's state is in there too
MAX_LABELS_BYTES = 1 << 20

SEPARATOR = "decoder.sep_embed.weight"
INPUT = "decoder.prefix_embed_prompts.weight"
DEEP = re.compile(r"decoder\.deep_(?:key|value)_embed_prompts\.(\d{1,3})\.weight")
VERBALIZER = "decoder.prompt_linear_verbalizer.weight"


def to_tensors(model: dict[str, Tensor], symbols: list[int | None] | None, label: str) -> dict[str, Tensor]:
    """The checkpoint's tensors -> those of Prompt: separator, prompts and, if learned, verbalizer_weight.

    Deep prompts are there in any length; the input prompts stored with them are dead weight, which the
    reference gives a gradient of exactly zero. `symbols` are those of a dictionary that is not in
    numeric order: the verbalizer's columns are then put in the order of our token ids, and its rows in
    that of the classes, whose symbols were looked up in the same dictionary.
    """
    layers = {int(found[1]) for name in model if (found := DEEP.fullmatch(name))}
    leading = model.get(INPUT)
    if leading is None or leading.ndim != 2:
        raise SpeechPromptError(f"{label} lacks the prompts {INPUT!r}, so it is no prompt checkpoint.")
    length, d = leading.shape
    expected: dict[str, tuple[int, ...]] = {SEPARATOR: (1, d), INPUT: (length, d)}
    for layer in range(len(layers)):
        for part in ("key", "value"):
            expected[f"decoder.deep_{part}_embed_prompts.{layer}.weight"] = (length, d)
    if VERBALIZER in model:
        shape = tuple(model[VERBALIZER].shape)
        if len(shape) != 2 or shape[0] < UNIT_OFFSET + 2:
            raise SpeechPromptError(
                f"{label}: {VERBALIZER} has the shape {list(shape)}, expected [C + 4, V]."
            )
        expected[VERBALIZER] = shape
    checkpoints.check_tensors(model, expected, label)

    tensors = {"separator": model[SEPARATOR][0]}
    if layers:
        for part in ("key", "value"):
            stack = [
                model[f"decoder.deep_{part}_embed_prompts.{layer}.weight"] for layer in range(len(layers))
            ]
            tensors[f"{part}_prompts"] = torch.stack(stack)
    else:
        tensors["input_prompts"] = leading
    if VERBALIZER in model:
        tensors["verbalizer_weight"] = _in_our_order(model[VERBALIZER], symbols, label)
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}


def _in_our_order(weight: Tensor, symbols: list[int | None] | None, label: str) -> Tensor:
    """The verbalizer [C + 4, V] of a model with this dictionary, in the order of classes and token ids."""
    if symbols is None:
        return weight
    if None in symbols:
        raise SpeechPromptError(
            f"{label}: its verbalizer also reads the symbols that only pad the dictionary, which our unit LM lacks."
        )
    order = token_order(symbols)
    if len(order) != weight.shape[1]:
        raise SpeechPromptError(
            f"{label}: {VERBALIZER} reads {weight.shape[1]} symbols, but the dictionary has {len(order)}, "
            "the four specials included: give the dict.txt that belongs to the checkpoint."
        )
    n_rows = len(weight)
    rows = torch.cat([order[:n_rows], torch.arange(len(order), max(len(order), n_rows))])
    if int(rows.max()) >= n_rows:
        raise SpeechPromptError(
            f"{label}: with this dictionary its classes would lie outside of the {n_rows} outputs of its "
            "verbalizer; give the dict.txt that its data was prepared with."
        )
    return weight[rows][:, order]


def convert(
    checkpoint: Path,
    unit_lm_folder: Path,
    out: Path,
    *,
    task: str | None = None,
    labels: list[str] | None = None,
    mapping: dict[str, int] | None = None,
    units: list[int] | None = None,
    dictionary: Path | None = None,
    form: AnswerForm | None = None,
    **facts: Any,
) -> Prompt:
    """Prompt checkpoint -> prompt folder `out`; SpeechPromptError before anything is written.

    task: default, the name of `out`. labels in the order of the classes (or of `units`); mapping: what
    read_verbalizer gives; units: the unit of each label. form: but for its labels. facts: further fields of
    Prompt, such as title and backbone.
    """
    label = f"Prompt: {Path(checkpoint).name}"
    check_out(out)
    lm = lm_config.read_config(unit_lm_folder)
    sha256 = lm_config.sha256(unit_lm_folder)
    symbols = None if dictionary is None else read_dict(dictionary)
    loaded = checkpoints.load(checkpoint, "Prompt", MAX_CHECKPOINT_BYTES)
    tensors: dict[str, Any] = {**to_tensors(loaded["model"], symbols, label)}
    weight = tensors.get("verbalizer_weight")
    n_classes = None if weight is None else len(weight) - UNIT_OFFSET
    named, label_units = name_labels(n_classes, labels, mapping, units)
    if label_units is not None:
        tensors["verbalizer_units"] = torch.tensor(label_units)
    task = out.absolute().name if task is None else task
    folder = unit_lm_folder.absolute()
    defaults = {"title": task, "backbone": (folder.parent if folder.name == "unit_lm" else folder).name}
    defaults |= {"data": f"not stated; converted from {Path(checkpoint).name}", "licence": "not stated"}
    form = replace(form or AnswerForm(), labels=tuple(named))
    prompt = Prompt(task=task, form=form, unit_lm_sha256=sha256, **{**defaults, **facts}, **tensors)
    check_fits(prompt, sha256, lm.d_model, lm.num_layers, lm.vocab_size)
    prompt.save(out, dtype=torch.float32)
    return prompt


def read_labels(path: Path) -> list[str]:
    """The labels of a text file, one on each line; SpeechPromptError where it is none."""
    if not path.is_file() or path.stat().st_size > MAX_LABELS_BYTES:
        raise SpeechPromptError(f"{path.name} is not there, or is no list of labels.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SpeechPromptError(f"{path.name} is not text: write one label on each line.") from error
