"""Measure a prompt on labelled data.

FILE is a parquet file with the columns split, audio (bytes) or units (list), and those that the prompt's
label rule reads; rows for which the rule has no label are left out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from speechprompt.commands import add_data_argument, add_model_arguments, load_backbone, spoken_command


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
    from speechprompt.data import dataset
    from speechprompt.evaluation.evaluate import evaluate as measure
    from speechprompt.prompts.card import accuracy_line, how_made, prompt_card

    backbone = load_backbone(args)
    prompt = backbone.prompt(args.task)
    examples = dataset.read(args.data, prompt.label_rule, args.split)
    if args.split is None:
        there = {example.split for example in examples}
        args.split = next((split for split in ("test", "valid") if split in there), examples[0].split)
        examples = [example for example in examples if example.split == args.split]
    figures = measure(backbone, prompt, examples) | {"split": args.split}
    if args.record:
        folder = backbone.prompt_folder(args.task)
        tuning = {name: value for name, value in prompt.metrics.items() if name == "tuning"}  # stays true
        metrics = {name: value for name, value in figures.items() if name != "task"} | tuning
        prompt = replace(prompt, metrics=metrics)
        prompt.save(folder, prompt_card(prompt, how_made(folder, "measured", spoken_command(args.argv))))
    if args.json:
        print(json.dumps(figures))
        return 0
    print(f"{prompt.title}: {accuracy_line(figures).replace('**', '')}")
    for label, row in figures["per_class"].items():
        if row["n"]:
            print(f"  {label:24} {row['n']:5}  recall {row['recall']:.1%}")
    return 0
