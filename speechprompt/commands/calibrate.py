"""Calibrate the scores of a prompt on labelled data.

Fits one temperature, so that a score of 0.8 is right about 8 times in 10, and the score below which an
answer is flagged as perhaps none of the labels: 95 % of the right answers stay unflagged. The figures
go into the prompt and its card; labels and accuracy stay as they are. FILE is what `tune` reads.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from speechprompt.commands import add_data_argument, add_model_arguments, load_backbone, spoken_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, only_answers=False)
    parser.add_argument("--task", required=True, metavar="T")
    add_data_argument(parser)
    parser.add_argument("--split", default="valid", help="default: valid")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")


def run(args: argparse.Namespace) -> int:
    from speechprompt.data import dataset
    from speechprompt.evaluation.calibration import calibrate
    from speechprompt.evaluation.evaluate import check_answers, to_units
    from speechprompt.prompts.card import calibration_text, prompt_card
    from speechprompt.tasks import rule_of

    backbone = load_backbone(args)
    prompt = backbone.prompt(args.task)
    examples = dataset.read(args.data, rule_of(prompt.task, prompt.label_rule), args.split)
    check_answers(prompt, examples)
    truth = [prompt.form.indices(example.labels) for example in examples]
    utterances = to_units(backbone, examples)
    found = calibrate(backbone.lm, prompt, utterances, truth, args.split)
    commands = prompt.commands | {"calibrated": spoken_command(args.argv)}
    prompt = replace(prompt, calibration=found, commands=commands)
    prompt.save(backbone.prompt_folder(args.task), prompt_card(prompt))
    print(json.dumps(prompt.calibration) if args.json else f"{prompt.title}: {calibration_text(prompt)}")
    return 0
