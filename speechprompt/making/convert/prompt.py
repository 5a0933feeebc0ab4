"""Turn a prompt checkpoint of the papers' code (SpeechPrompt, SpeechPrompt v2) into a prompt folder of ours.

  python -m speechprompt convert prompt checkpoint_best.pt --unit-lm backbones/gslm/unit_lm \\
      prompts/gslm/keyword_spotting --title "Keyword spotting" --labels yes,no,up,down

A prompt works with one unit LM only, so convert that first and name its folder. What the labels are
called the checkpoint does not know; without --labels they are 0, 1, 2, ...

A learned verbalizer (v2) is in the checkpoint. With a fixed one, by frequency or at random, the labels
are units, and which unit stands for which label is in the verbalizer.json that the papers' code wrote
next to its data: give it with --verbalizer, or list the units with --verbalizer-units. A verbalizer.json
also names the classes of a learned verbalizer. Values are kept to the bit (float32).
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint as checkpoints
from speechprompt.making.convert.unit_lm import check_out, read_dict, token_order
from speechprompt.making.convert.verbalizer import name_labels, read_verbalizer
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


def numbers(text: str) -> list[int]:
    """`4,9,1` -> [4, 9, 1], for argparse."""
    if not re.fullmatch(r"\d{1,6}(,\d{1,6})*", text):
        raise argparse.ArgumentTypeError("must be whole numbers with commas between, such as 4,9,1")
    return [int(number) for number in text.split(",")]


def sizes(text: str) -> dict[str, int]:
    """`action=6,object=14` -> {"action": 6, "object": 14}, for argparse."""
    parts = [part.rpartition("=") for part in text.split(",")]
    if not all(name and re.fullmatch(r"\d{1,4}", size) for name, _, size in parts):
        raise argparse.ArgumentTypeError(
            "must be name=number with commas between, such as action=6,object=14"
        )
    return {name: int(size) for name, _, size in parts}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT.pt", help="written by the papers' trainer"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write: prompts/BACKBONE/TASK")
    parser.add_argument("--unit-lm", type=Path, required=True, metavar="DIR", help="made by convert unit-lm")
    parser.add_argument("--dict", type=Path, metavar="dict.txt", help="needed if its units are not in order")
    parser.add_argument("--task", metavar="T", help="name of a-z, 0-9 and _; default: the name of OUT")
    parser.add_argument("--title", help="shown to people; default: the task's name")
    parser.add_argument("--backbone", metavar="NAME", help="default: the folder that holds DIR")
    named = parser.add_mutually_exclusive_group()
    named.add_argument("--labels", type=lambda text: text.split(","), metavar="A,B,C", help="in class order")
    named.add_argument("--labels-file", type=Path, metavar="FILE", help="one label per line")
    parser.add_argument("--verbalizer", type=Path, metavar="verbalizer.json", help="label -> unit or class")
    parser.add_argument(
        "--verbalizer-units", type=numbers, metavar="U,U,U", help="one for each label, in order"
    )
    parser.add_argument("--answer", choices=("label", "slots", "sequence"), default="label")
    parser.add_argument(
        "--slots", type=sizes, metavar="NAME=N,...", help="labels of each slot, in class order"
    )
    parser.add_argument("--max-steps", type=int, metavar="N", help="most labels in a sequence")


def run(args: argparse.Namespace) -> None:
    if (args.answer == "sequence") != (args.max_steps is not None):
        raise SpeechPromptError("Give --max-steps with --answer sequence, and only then.")
    form = AnswerForm(kind=args.answer, slots=args.slots or {}, max_steps=args.max_steps or 1)
    prompt = convert(
        args.checkpoint,
        args.unit_lm,
        args.out,
        task=args.task,
        labels=_read_labels(args.labels_file) if args.labels_file else args.labels,
        mapping=read_verbalizer(args.verbalizer) if args.verbalizer else None,
        units=args.verbalizer_units,
        dictionary=args.dict,
        form=form,
        **{name: value for name in ("title", "backbone") if (value := getattr(args, name)) is not None},
    )
    print(
        f"{args.out}: task {prompt.task}, {len(prompt.labels)} labels, {'deep' if prompt.deep else 'input'} prompt "
        f"of length {prompt.length}, {prompt.verbalizer} verbalizer, {prompt.n_parameters:,} parameters, "
        f"for the unit LM {prompt.unit_lm_sha256[:12]}"
    )


def _read_labels(path: Path) -> list[str]:
    if not path.is_file() or path.stat().st_size > MAX_LABELS_BYTES:
        raise SpeechPromptError(f"{path.name} is not there, or is no list of labels.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SpeechPromptError(f"{path.name} is not text: write one label on each line.") from error
