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
from pathlib import Path

from speechprompt.errors import SpeechPromptError


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
    from speechprompt.making.convert.prompt import convert, read_labels
    from speechprompt.making.convert.verbalizer import read_verbalizer
    from speechprompt.tasks.answer_form import AnswerForm

    if (args.answer == "sequence") != (args.max_steps is not None):
        raise SpeechPromptError("Give --max-steps with --answer sequence, and only then.")
    form = AnswerForm(kind=args.answer, slots=args.slots or {}, max_steps=args.max_steps or 1)
    prompt = convert(
        args.checkpoint,
        args.unit_lm,
        args.out,
        task=args.task,
        labels=read_labels(args.labels_file) if args.labels_file else args.labels,
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
