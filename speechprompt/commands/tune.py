"""Tune a prompt for a task.

The train split is learnt, the valid split chooses the best step. Recordings become units once,
and once more per --augment under simulated rooms, microphones and noise. Ctrl-C keeps the best
prompt so far; with --run, a stopped run goes on. Several files are learnt as one: where a label comes
from files of its own, their microphones and rooms would give it away, which --channel controlled is
against; --per-label and --balance are for labels of which there is far more than of others.

A fixed verbalizer, by which the unit that the LM generates decides, is right less often than a learned one, and less so
where it learns from it: tune the learned one first into a folder of its own, then a second prompt with --teacher FOLDER
--verbalizer weighed --loss vocabulary.

With --fine-tune, the papers' baseline, all weights of the unit LM learn the task instead of a prompt. They become a
backbone of their own with its encoder, OUT/backbones/NAME and OUT/prompts/NAME/TASK, NAME being OUT's last part;
evaluate, classify and app.py take it as --backbone OUT/backbones/NAME. The backbone that it began with stays as it is.
With --run, the checkpoint holds the weights four times (gslm: 2.4 GB).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechprompt.commands import (
    add_data_argument,
    add_model_arguments,
    add_negatives_argument,
    complain,
    load_backbone,
    portable_command,
)
from speechprompt.commands.tune_settings import LM_LR, add_settings, config_of, lm_lr_of
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.catalogue import TASKS, Task
from speechprompt.tuning.papers import RECIPES

if TYPE_CHECKING:  # torch takes seconds to import
    from speechprompt.prompts.prompt import Prompt

MAX_LETTERS = 1000  # of a spelled answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, only_answers=False)
    parser.add_argument("--task", required=True, metavar="T", help="name of a-z, 0-9 and _")
    add_data_argument(parser)
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.parquet",
        help="more train rows; repeatable",
    )
    add_negatives_argument(
        parser,
        "the train split is learnt as none of these, by a fixed --verbalizer with --loss vocabulary, and valid says "
        "how well",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="default: prompts/BACKBONE/TASK, with --fine-tune fine_tuned/BACKBONE-TASK",
    )
    parser.add_argument("--title", help="shown to people; default: the task's own")
    parser.add_argument("--group", help="heading in the task list")
    parser.add_argument("--label-column", help="one label per recording (default: label)")
    parser.add_argument(
        "--letters",
        "--text-column",
        dest="text_column",
        nargs="?",
        const="text",
        metavar="COLUMN",
        help="spell the text in this column (text), letter by letter, instead",
    )
    parser.add_argument(
        "--max-steps",
        type=int,
        metavar="N",
        help=f"the most labels that a sequence can have (default: the task's own, of a text {MAX_LETTERS})",
    )
    parser.add_argument(
        "--slots",
        "--slot-columns",
        dest="slot_columns",
        type=lambda names: names.split(","),
        metavar="A,B,C",
        help="one label from each of these columns instead, a slot each",
    )
    parser.add_argument("--silence-label", help="label that a recording of nothing deserves")
    parser.add_argument(
        "--channel",
        choices=("any", "controlled"),
        help="controlled: learn from no clip as it is, only from stretches of speech in other rooms, bands and "
        "noises drawn alike for all labels (default: the task's own, else any)",
    )
    parser.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="answer longer recordings in stretches of this length and take the mean, for one label from what "
        "was learnt on short ones (default: the task's own, else none)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="tune with N seeds from --seed on, keep the best on valid; Ctrl-C goes on to the next",
    )
    parser.add_argument(
        "--run", type=Path, help="folder for the log, and for a checkpoint that a stopped run resumes from"
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="ours",
        help="v1, v2: the settings of the papers' code for what is not given (default ours)",
    )
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="PROMPT",
        help="folder of a prompt of the same LM whose vectors the tuning begins with (never its verbalizer)",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="PROMPT",
        help="folder of a prompt of the same LM, best with a learned verbalizer, whose answers about train are learnt "
        "too (--teacher-share), and whose units --verbalizer weighed takes; of the same labels in the same order",
    )
    parser.add_argument(
        "--fine-tune",
        action="store_true",
        help="learn the task with all weights of the unit LM instead of a prompt, into a backbone of its own",
    )
    parser.add_argument(
        "--lm-lr",
        type=float,
        metavar="X",
        help=f"with --fine-tune, the learning rate that the LM's own weights peak at (default {LM_LR}; v1 and v2: "
        "5e-4)",
    )
    add_settings(parser)


def task_of(args: argparse.Namespace) -> Task:
    """The task of this name, or a new one, with what the options change of it."""
    data = f"{', '.join(path.stem for path in args.data)[:1900]}, tuned by the user"
    task = TASKS.get(args.task) or Task(
        args.task, args.task, "Other", data, "not stated", expects="any sound"
    )
    changes: dict[str, Any] = {"title": args.title, "group": args.group, "channel": args.channel}
    form: dict[str, Any] = {"silence_label": args.silence_label, "window": args.window}
    if args.label_column:
        changes["label_rule"] = {"column": args.label_column}
    elif args.text_column:
        changes["label_rule"] = {"text": args.text_column}
        form |= {"kind": "sequence", "joiner": "", "max_steps": MAX_LETTERS}
    elif args.slot_columns:
        changes["label_rule"] = {"slots": args.slot_columns}
        # How many labels a slot has, the data says.
        form |= {"kind": "slots", "labels": (), "slots": dict.fromkeys(args.slot_columns, 1)}
    if args.max_steps is not None:
        form["max_steps"] = args.max_steps
    changes["form"] = replace(task.form, **{name: value for name, value in form.items() if value is not None})
    return replace(task, **{name: value for name, value in changes.items() if value})


def alike(labels: set[str]) -> list[tuple[str, str]]:
    """Labels that are the same but for their capitals, in pairs."""
    ordered = sorted(labels, key=lambda label: (label.casefold(), label))
    return [(one, other) for one, other in pairwise(ordered) if one.casefold() == other.casefold()]


def run(args: argparse.Namespace) -> int:
    from speechprompt.data import dataset
    from speechprompt.data.task_data import read_task
    from speechprompt.prompts.card import prompt_card
    from speechprompt.prompts.card_texts import seeds_line
    from speechprompt.tuning.fine_tuning import check_place, keep_lm
    from speechprompt.tuning.recipe import tune_task

    config, task = config_of(args), task_of(args)
    backbone = load_backbone(args)
    if args.fine_tune:
        args.out = check_place(args.out or Path("fine_tuned") / f"{backbone.name}-{task.name}", backbone)
        backbone.lm.requires_grad_(True)
    train, valid = (read_task(args.data, task, split) for split in ("train", "valid"))
    train += [row for path in args.extra for row in dataset.read(path, task.label_rule, "train")]

    known = {label for row in train for label in row.labels}
    for one, other in alike(known):
        complain(f"the labels {one!r} and {other!r} differ in their capitals alone, and are learnt as two.")
    negatives, valid_negatives = (
        dataset.read_others(args.negatives, task.label_rule, known, split) for split in ("train", "valid")
    )
    if args.negatives and not negatives:
        raise SpeechPromptError("The --negatives have no row in a train split that is none of the labels.")

    def report(seed: int, prompt: Prompt) -> None:
        if args.seeds > 1:
            found = prompt.metrics
            print(f"seed {seed}: valid accuracy {found['accuracy']:.1%} of {found['n']}", flush=True)

    prompt = tune_task(
        backbone,
        task,
        train,
        valid,
        config,
        args.seeds,
        args.run,
        report,
        negatives,
        valid_negatives,
        args.init_from and backbone.load_prompt(args.init_from),
        lm_lr_of(args, config),
        args.teacher and backbone.load_prompt(args.teacher),
    )
    prompt = replace(prompt, commands={"tuned": portable_command(args.argv)})
    if args.fine_tune:
        folder = keep_lm(backbone, prompt, args.out)
        n = sum(parameter.numel() for parameter in backbone.lm.parameters())
        found = prompt.metrics
        print(
            f"valid accuracy {found['accuracy']:.1%} of {found['n']}; {n:,} parameters in --backbone {folder}"
        )
        return 0
    out = args.out or backbone.prompt_folder(task.name)
    prompt.save(out, prompt_card(prompt))
    figures = prompt.metrics
    if "tuning" in figures:
        print(seeds_line(figures["tuning"]))
    print(
        f"valid accuracy {figures['accuracy']:.1%} of {figures['n']}; {prompt.n_parameters:,} parameters in {out}"
    )
    return 0
