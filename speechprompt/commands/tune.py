"""Tune a prompt for a task.

The train split is learnt, the valid split chooses the best step. Recordings become units once,
and once more per --augment under simulated rooms, microphones and noise. Ctrl-C keeps the best
prompt so far; with --run, a stopped run goes on. Several files are learnt as one: where a label comes
from files of its own, their microphones and rooms would give it away, which --channel controlled is
against; --per-label and --balance are for labels of which there is far more than of others.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechprompt.commands import add_model_arguments, load_backbone

if TYPE_CHECKING:  # torch takes seconds to import
    from speechprompt.prompts.prompt import Prompt

MAX_LETTERS = 200  # of a spelled answer
PATH_OPTIONS = ("--data", "--extra", "--out", "--run", "--backbone")


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
    parser.add_argument("--out", type=Path, help="default: prompts/BACKBONE/TASK")
    parser.add_argument("--title", help="shown to people; default: the task's own")
    parser.add_argument("--group", help="heading in the task list")
    parser.add_argument("--label-column", help="one label per recording (default: label)")
    parser.add_argument("--text-column", help="spell the text in this column, letter by letter, instead")
    parser.add_argument("--silence-label", help="label that a recording of nothing deserves")
    parser.add_argument(
        "--augment", dest="copies", type=int, default=4, help="simulated recordings per clip (default 4)"
    )
    parser.add_argument(
        "--pauses",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of the simulated recordings that begin and end with pauses of their own, as from a microphone, "
        "where the corpus cuts its clips all alike (default 0.5); none of silence does, nor of a controlled channel, "
        "which has its own",
    )
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
        "--per-label",
        type=int,
        default=0,
        metavar="N",
        help="learn at most N train clips of each label, drawn by the seed and evenly from the files; "
        "all of valid is measured (default 0: all)",
    )
    parser.add_argument(
        "--balance",
        action="store_true",
        help="draw every label equally often, and let valid choose by the mean of the labels' accuracies; "
        "of several labels in one answer, whole answers count",
    )
    parser.add_argument("--prompt-length", type=int, default=20, help="vectors per layer (default 20)")
    parser.add_argument(
        "--input-prompts", action="store_true", help="prompt the input instead of every layer"
    )
    parser.add_argument(
        "--verbalizer",
        choices=("learned", "frequency", "random"),
        default="learned",
        help="learned, or one unit per label: the most frequent ones, or drawn at random",
    )
    parser.add_argument(
        "--start",
        choices=("normal", "units"),
        default="normal",
        help="random prompts, or embeddings of units",
    )
    parser.add_argument(
        "--feedback",
        choices=("trained", "units"),
        default="trained",
        help="answers of several labels: feed them back through trained embeddings, or as units (the papers)",
    )
    parser.add_argument(
        "--loss", choices=("labels", "reference"), default="labels", help="reference: as the papers' code"
    )
    parser.add_argument(
        "--optimizer",
        choices=("adam", "muon"),
        default="adam",
        help="muon: learns many labels in fewer steps, with --lr 0.05 or so",
    )
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--lr", type=float, default=0.06)
    parser.add_argument(
        "--tokens-per-batch",
        type=int,
        default=2048,
        metavar="N",
        help="units and labels of a step (default 2048)",
    )
    parser.add_argument(
        "--unit-noise", type=float, default=0.05, help="share of units disturbed (default 0.05)"
    )
    parser.add_argument("--prompt-dropout", type=float, default=0.0, help="the papers' code has 0.1")
    parser.add_argument(
        "--average",
        action="store_true",
        help="measure and keep a mean over the steps, the latest counting most: steadier than the last one",
    )
    parser.add_argument(
        "--absolute-pitch",
        action="store_true",
        help="hear each voice at the pitch it has, not against its own mean: for what tells speakers apart; "
        "of backbones that hear the melody",
    )
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--check-every", type=int, default=100, help="steps between looks at the valid split")
    parser.add_argument(
        "--patience", type=int, default=8, help="checks in a row worse than the best before stopping"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="tune with N seeds from --seed on, keep the best on valid; Ctrl-C goes on to the next",
    )
    parser.add_argument("--run", type=Path, help="folder for a checkpoint that a stopped run resumes from")


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE.parquet",
        help="one file or several, read as one; not all of several need the split",
    )


def run(args: argparse.Namespace) -> int:
    from dataclasses import fields, replace

    from speechprompt.data import dataset
    from speechprompt.prompts.card import prompt_card, seeds_line
    from speechprompt.tasks import TASKS, Task
    from speechprompt.tuning.recipe import tune_seeds
    from speechprompt.tuning.trainable import TuneConfig

    own = f"{', '.join(path.stem for path in args.data)[:1900]}, tuned by the user"
    task = TASKS.get(args.task) or Task(args.task, args.task, "Other", own, "not stated")
    changes: dict[str, Any] = {"title": args.title, "group": args.group, "silence_label": args.silence_label}
    changes |= {"channel": args.channel, "window": args.window}
    if args.label_column:
        changes["label_rule"] = {"column": args.label_column}
    elif args.text_column:
        changes |= {"label_rule": {"text": args.text_column}, "answer": "sequence", "joiner": ""}
        changes["max_steps"] = MAX_LETTERS
    task = replace(task, **{name: value for name, value in changes.items() if value})
    chosen = {f.name: getattr(args, f.name) for f in fields(TuneConfig) if hasattr(args, f.name)}
    config = TuneConfig(deep=not args.input_prompts, **chosen)
    backbone = load_backbone(args)
    train, valid = (dataset.read(args.data, task.label_rule, split) for split in ("train", "valid"))
    train += [row for path in args.extra for row in dataset.read(path, task.label_rule, "train")]

    def tell(seed: int, prompt: Prompt) -> None:
        if args.seeds > 1:
            found = prompt.metrics
            print(f"seed {seed}: valid accuracy {found['accuracy']:.1%} of {found['n']}", flush=True)

    prompt = tune_seeds(backbone, task, train, valid, config, args.seeds, args.run, tell=tell)
    out = args.out or backbone.prompt_folder(task.name)
    prompt.save(out, prompt_card(prompt, spoken_command(args.argv)))
    figures = prompt.metrics
    if "tuning" in figures:
        print(seeds_line(figures["tuning"]))
    print(
        f"valid accuracy {figures['accuracy']:.1%} of {figures['n']}; {prompt.n_parameters:,} parameters in {out}"
    )
    return 0


def spoken_command(argv: list[str]) -> str:
    """The command as anyone may type it: without the folders of one machine."""
    spoken = []
    option = ""
    for argument in argv:
        head, value = "", argument
        if argument.startswith("--"):
            option, equals, value = argument.partition("=")
            head = option + equals
        spoken.append(head + (Path(value).name if option in PATH_OPTIONS else value))
    return "python -m speechprompt " + shlex.join(spoken)
