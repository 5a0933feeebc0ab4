"""Measure a prompt on labelled data.

FILE is a parquet file with the columns split, audio (bytes) or units (list), and those that the prompt's
label rule reads; rows for which the rule has no label are left out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from speechprompt.commands import add_data_argument, add_model_arguments, load_backbone, portable_command

if TYPE_CHECKING:  # torch takes seconds to import
    from speechprompt.prompts.config import Metrics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--task", required=True, metavar="T")
    add_data_argument(parser)
    parser.add_argument("--split", help="default: test, or valid where there is no test")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument(
        "--record", action="store_true", help="write the figures into the prompt and its card"
    )


def run(args: argparse.Namespace) -> int:
    from speechprompt.data.task_data import read_task
    from speechprompt.evaluation.evaluate import evaluate as measure
    from speechprompt.prompts.card import prompt_card
    from speechprompt.prompts.card_texts import accuracy_line
    from speechprompt.tasks.catalogue import task_of

    backbone = load_backbone(args)
    prompt = backbone.prompt(args.task)
    examples = read_task(args.data, task_of(prompt.task, prompt.label_rule, prompt.labels), args.split)
    if args.split is None:
        splits = {example.split for example in examples}
        args.split = next((split for split in ("test", "valid") if split in splits), examples[0].split)
        examples = [example for example in examples if example.split == args.split]
    figures: Metrics = {**measure(backbone, prompt, examples), "split": args.split}
    if args.record:
        if "tuning" in prompt.metrics:  # stays true
            figures["tuning"] = prompt.metrics["tuning"]
        commands = prompt.commands | {"measured": portable_command(args.argv)}
        prompt = replace(prompt, metrics=figures, commands=commands)
        prompt.save(backbone.prompt_folder(args.task), prompt_card(prompt))
    if args.json:
        print(json.dumps({"task": prompt.task, **figures}))
        return 0
    print(f"{prompt.title}: {accuracy_line(figures).replace('**', '')}")
    for label, row in figures["per_class"].items():
        if row["n"]:
            print(f"  {label:24} {row['n']:5}  recall {row['recall']:.1%}")
    return 0
