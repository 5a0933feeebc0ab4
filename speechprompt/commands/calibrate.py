"""Calibrate the scores of a prompt on labelled data.

Fits one temperature (of sequences, two numbers), so that a score of 0.8 is right about 8 times in 10, and from
where on a recording is doubted to fit the task: 95 % of the right answers stay unflagged, with --negatives 96 %,
while most of the negatives and of the wrong answers are flagged. --doubt-below 0.5 doubts every answer that is more
likely wrong than right, too; --doubt-label child=0.5 does so where the answer is that label. The figures go into the
prompt and its card; labels and accuracy stay as they are. FILE is what `tune` reads.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from speechprompt.commands import (
    add_data_argument,
    add_model_arguments,
    add_negatives_argument,
    load_backbone,
    portable_command,
)
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, only_answers=False)
    parser.add_argument("--task", required=True, metavar="T")
    add_data_argument(parser)
    add_negatives_argument(
        parser,
        "the thresholds are chosen so that most of these are flagged; at most as many as the data has are drawn, "
        "evenly from the files",
    )
    parser.add_argument(
        "--doubt-below",
        type=probability,
        default=0.0,
        metavar="SCORE",
        help="doubt every answer with a lower score, 0 to 1, whatever share of the right ones that is; "
        "for a task that is often wrong (default: 0)",
    )
    parser.add_argument(
        "--doubt-label",
        type=label_and_score,
        action="append",
        default=[],
        metavar="LABEL=SCORE",
        help="the same for answers with this label, which others are too often taken for; repeatable",
    )
    parser.add_argument("--split", default="valid", help="default: valid")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")


def probability(text: str) -> float:
    """A number from 0 to 1, as an option gives it."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def label_and_score(text: str) -> tuple[str, float]:
    """A label and a number from 0 to 1, as an option gives them: the label may hold = itself."""
    label, equals, score = text.rpartition("=")
    try:
        return label, probability(score) if equals else probability("")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not LABEL=SCORE, such as child=0.5") from error


def run(args: argparse.Namespace) -> int:
    from speechprompt.data import dataset
    from speechprompt.data.dataset import at_most
    from speechprompt.data.task_data import read_task
    from speechprompt.evaluation.calibration import calibrate
    from speechprompt.evaluation.evaluate import check_answers, to_units
    from speechprompt.pipeline import judges_of
    from speechprompt.prompts.card import prompt_card
    from speechprompt.prompts.card_texts import calibration_text
    from speechprompt.tasks.catalogue import rule_of, task_of

    backbone = load_backbone(args)
    prompt = backbone.prompt(args.task)
    if unknown := [label for label, _ in args.doubt_label if label not in prompt.labels]:
        raise SpeechPromptError(f"The prompt {prompt.task} has no label {unknown[0]!r}: name one of its own.")
    examples = read_task(args.data, task_of(prompt.task, prompt.label_rule, prompt.labels), args.split)
    check_answers(prompt, examples)
    truth = [prompt.form.indices(example.labels) for example in examples]
    utterances = to_units(backbone, examples)
    others = dataset.read_others(
        args.negatives, rule_of(prompt.task, prompt.label_rule), prompt.labels, args.split
    )
    drawn = at_most(others, len(examples), 0)
    negatives = to_units(backbone, drawn) if drawn else []
    found = calibrate(
        backbone.lm,
        prompt,
        utterances,
        truth,
        args.split,
        negatives,
        judges_of(backbone),
        doubt_below=args.doubt_below,
        doubt_labels=dict(args.doubt_label),
    )
    commands = prompt.commands | {"calibrated": portable_command(args.argv)}
    prompt = replace(prompt, calibration=found, commands=commands)
    prompt.save(backbone.prompt_folder(args.task), prompt_card(prompt))
    print(json.dumps(prompt.calibration) if args.json else f"{prompt.title}: {calibration_text(prompt)}")
    return 0
