"""The command line. Exit code 2 for what a user can put right.

classify, units, tasks, evaluate and tune are here; pretrain, convert and fetch hand on to the module
that does the work, which explains itself.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechprompt.errors import SpeechPromptError

if TYPE_CHECKING:  # everything heavy is imported by the command that needs it, so that --help is instant
    from speechprompt.backbone import Backbone
    from speechprompt.pipeline import Answer
    from speechprompt.prompt import Prompt

# Command -> summary, and its kinds with the module that does each.
HANDED_ON: dict[str, tuple[str, dict[str, str]]] = {
    "pretrain": (
        "Make the weights of a backbone:",
        {
            "encoder": "pretrain.encoder",
            "centroids": "pretrain.centroids",
            "unit-lm": "pretrain.unit_lm",
            "prosody-lm": "pretrain.prosody_lm",
        },
    ),
    "convert": (
        "Turn the papers' files into folders of this package:",
        {
            "unit-lm": "convert.unit_lm",
            "prompt": "convert.prompt",
            "kmeans": "convert.kmeans",
            "prosody-lm": "convert.prosody_lm",
        },
    ),
    "fetch": ("Get the original models of a backbone from the network", {"": "fetch"}),
}
HELP = (["-h"], ["--help"])
MAX_LETTERS = 200  # of a spelled answer

EPILOG = """examples:
  python -m speechprompt tasks
  python -m speechprompt classify clip.wav --task keyword_spotting
  python -m speechprompt classify *.wav --task keyword_spotting --task spoken_digits --json
  python -m speechprompt units clip.wav
  python -m speechprompt evaluate --task keyword_spotting --data speech_commands.parquet --split test
  python -m speechprompt tune --task my_words --title "My words" --data my_words.parquet

`python -m speechprompt COMMAND --help` explains each."""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="speechprompt",
        description="Answer many speech tasks with one frozen spoken unit language model and small prompts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, detail: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=summary,
            description=f"{summary}\n\n{detail}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.add_argument("--backbone", default="mini", help="bundled name or folder (default: mini)")
        return made

    classify = command(
        "classify",
        "Answer one or more tasks on recordings.",
        "The recording becomes units once; all tasks are answered in one batch.\n"
        "Reads WAV, FLAC, OGG, Opus and MP3 of 0.1 to 60 s.",
    )
    classify.add_argument("files", nargs="*", metavar="FILE")
    classify.add_argument(
        "--units",
        action="append",
        default=[],
        metavar="IDS",
        help='units instead of a file: "71 12 63"; repeatable',
    )
    classify.add_argument(
        "--task", action="append", dest="tasks", metavar="T", help="repeatable; default: all"
    )
    classify.add_argument("--json", action="store_true", help="one JSON object per file")

    units = command("units", "Show the units that recordings become.")
    units.add_argument("files", nargs="+", metavar="FILE")
    units.add_argument(
        "--json", action="store_true", help="one JSON object per file: ids, starts, lengths (frames)"
    )

    tasks = command("tasks", "List the tasks whose prompts fit a backbone, with their measured accuracy.")
    tasks.add_argument("--json", action="store_true")

    evaluate = command(
        "evaluate",
        "Measure a prompt on labelled data.",
        "FILE is a parquet file with the columns split, audio (bytes) or units (list), and the label column\n"
        "that the prompt was tuned on.",
    )
    evaluate.add_argument("--task", required=True, metavar="T")
    evaluate.add_argument("--data", required=True, type=Path, metavar="FILE.parquet")
    evaluate.add_argument("--split", help="default: test, or valid where there is no test")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    evaluate.add_argument(
        "--record", action="store_true", help="write the figures into the prompt and its card"
    )

    tune = command(
        "tune",
        "Tune a prompt for a task.",
        "The train split is learnt, the valid split chooses the best step. Recordings become units once,\n"
        "and once more per --augment under simulated rooms, microphones and noise. Ctrl-C keeps the best\n"
        "prompt so far; with --run, a stopped run goes on.",
    )
    tune.add_argument("--task", required=True, metavar="T", help="name of a-z, 0-9 and _")
    tune.add_argument("--data", required=True, type=Path, metavar="FILE.parquet")
    tune.add_argument("--out", type=Path, help="default: prompts/BACKBONE/TASK")
    tune.add_argument("--title", help="shown to people; default: the task's own")
    tune.add_argument("--group", help="heading in the task list")
    tune.add_argument("--label-column", help="one label per recording (default: label)")
    tune.add_argument("--text-column", help="spell the text in this column, letter by letter, instead")
    tune.add_argument("--silence-label", help="label that a recording of nothing deserves")
    tune.add_argument(
        "--augment", dest="copies", type=int, default=4, help="simulated recordings per clip (default 4)"
    )
    tune.add_argument("--prompt-length", type=int, default=20, help="vectors per layer (default 20)")
    tune.add_argument("--input-prompts", action="store_true", help="prompt the input instead of every layer")
    tune.add_argument(
        "--verbalizer",
        choices=("learned", "frequency", "random"),
        default="learned",
        help="learned, or one unit per label: the most frequent ones, or drawn at random",
    )
    tune.add_argument(
        "--start",
        choices=("normal", "units"),
        default="normal",
        help="random prompts, or embeddings of units",
    )
    tune.add_argument(
        "--feedback",
        choices=("trained", "units"),
        default="trained",
        help="answers of several labels: feed them back through trained embeddings, or as units (the papers)",
    )
    tune.add_argument(
        "--loss", choices=("labels", "reference"), default="labels", help="reference: as the papers' code"
    )
    tune.add_argument("--steps", type=int, default=2000)
    tune.add_argument("--lr", type=float, default=0.06)
    tune.add_argument(
        "--unit-noise", type=float, default=0.05, help="share of units disturbed (default 0.05)"
    )
    tune.add_argument("--prompt-dropout", type=float, default=0.0, help="the papers' code has 0.1")
    tune.add_argument("--label-smoothing", type=float, default=0.0)
    tune.add_argument("--check-every", type=int, default=100, help="steps between looks at the valid split")
    tune.add_argument(
        "--patience", type=int, default=8, help="checks in a row worse than the best before stopping"
    )
    tune.add_argument("--seed", type=int, default=0)
    tune.add_argument("--run", type=Path, help="folder for a checkpoint that a stopped run resumes from")

    for name, (summary, stages) in HANDED_ON.items():
        kinds = ", ".join(kind for kind in stages if kind)
        commands.add_parser(
            name,
            help=f"{summary} {kinds}".strip() + ".",
            description=f"{summary} {kinds}.\nEach explains itself: speechprompt {name} KIND --help",
            usage=f"speechprompt {name} KIND ...",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    return parser


def load_backbone(name: str) -> Backbone:
    from speechprompt.backbone import Backbone

    return Backbone.load(name)


def classify(args: argparse.Namespace) -> int:
    from speechprompt.pipeline import SpeechPrompt
    from speechprompt.units import parse_units

    if not args.files and not args.units:
        raise SpeechPromptError("Give a recording, or --units.")
    sp = SpeechPrompt.from_pretrained(args.backbone)
    failed = 0
    for name in (*args.files, *args.units):
        try:
            if name in args.files:
                answers = sp.classify(name, tasks=args.tasks)
            else:
                answers = sp.classify_units([parse_units(name)], tasks=args.tasks)[0]
        except SpeechPromptError as error:
            failed += 1
            complain(f"{name}: {error}" if len(args.files) + len(args.units) > 1 else str(error))
            continue
        if args.json:
            print(json.dumps({"file": name, "answers": [a.to_dict() for a in answers]}))
            continue
        for a in answers:
            print(f"{name}  {a.task}: {a.label or '(nothing)'} {a.score:.0%}  ({spoken_details(a)})")
    return 2 if failed else 0


def spoken_details(a: Answer) -> str:
    """What stood second, or the score of every step; and how the answer came about."""
    if len(a.steps) == 1:
        told = "then " + ", ".join(f"{label} {score:.0%}" for label, score in list(a.scores.items())[1:3])
    else:
        steps = [(f"{s.slot} " if a.slots else "") + f"{s.label or 'end'} {s.score:.0%}" for s in a.steps]
        told = "steps " + ", ".join(steps)
    return f"{told}; {len(a.units)} units heard, answered with {' '.join(map(str, a.generated)) or 'none'}"


def units(args: argparse.Namespace) -> int:
    from speechprompt.pipeline import SpeechPrompt

    sp = SpeechPrompt.from_pretrained(args.backbone)
    failed = 0
    for file in args.files:
        try:
            found = sp.units(file)
        except SpeechPromptError as error:
            failed += 1
            complain(f"{file}: {error}" if len(args.files) > 1 else str(error))
            continue
        if args.json:
            columns = {"ids": found.ids, "starts": found.starts, "lengths": found.lengths}
            print(json.dumps({"file": file, **{name: column.tolist() for name, column in columns.items()}}))
        else:
            print(" ".join(map(str, found.ids)))
    return 2 if failed else 0


def tasks(args: argparse.Namespace) -> int:
    backbone = load_backbone(args.backbone)
    if args.json:
        print(json.dumps([p.config() for p in backbone.prompts.values()]))
        return 0
    for prompt in backbone.prompts.values():
        m = prompt.metrics
        figure = f"{m['accuracy']:.1%} of {m['n']} ({m['split']})" if "accuracy" in m else "not measured"
        print(
            f"{prompt.task:24} {len(prompt.labels):4} labels  {prompt.n_parameters:7,} parameters  {figure}"
        )
    return 0


def evaluate(args: argparse.Namespace) -> int:
    from speechprompt import dataset
    from speechprompt.card import accuracy_line
    from speechprompt.evaluation import evaluate as measure

    backbone = load_backbone(args.backbone)
    prompt = backbone.prompt(args.task)
    examples = dataset.read(args.data, prompt.label_rule, args.split)
    if args.split is None:
        there = {example.split for example in examples}
        args.split = next((split for split in ("test", "valid") if split in there), examples[0].split)
        examples = [example for example in examples if example.split == args.split]
    figures = measure(backbone, prompt, examples) | {"split": args.split}
    if args.record:
        folder = backbone.prompt_folder(args.task)
        command = f"# measured by\n{spoken_command(args.argv)}"
        old = (folder / "README.md").read_text(encoding="utf-8") if (folder / "README.md").is_file() else ""
        made = (
            old.split("## How it was made", 1)[-1].split("```")[1].split("# measured by")[0].strip()
            if "```" in old
            else ""
        )
        record(prompt, figures, folder, f"{made}\n{command}".strip())
    if args.json:
        print(json.dumps(figures))
        return 0
    print(f"{prompt.title}: {accuracy_line(figures).replace('**', '')}")
    for label, row in figures["per_class"].items():
        if row["n"]:
            print(f"  {label:24} {row['n']:5}  recall {row['recall']:.1%}")
    return 0


def record(prompt: Prompt, figures: dict[str, Any], folder: Path, command: str) -> None:
    from speechprompt.card import prompt_card

    prompt.metrics = {name: value for name, value in figures.items() if name != "task"}
    prompt.save(folder, prompt_card(prompt, command))


PATH_OPTIONS = ("--data", "--out", "--run", "--backbone")


def spoken_command(argv: list[str]) -> str:
    """The command as anyone may type it: without the folders of one machine."""
    spoken = []
    for before, argument in zip(["", *argv], argv, strict=False):
        option, equals, value = (
            argument.partition("=") if argument.startswith("--") else (before, "", argument)
        )
        name = Path(value).name if option in PATH_OPTIONS else value
        spoken.append(option + equals + name if equals else name if before == option else argument)
    return "python -m speechprompt " + shlex.join(spoken)


def tune(args: argparse.Namespace) -> int:
    from dataclasses import fields, replace

    from speechprompt import dataset
    from speechprompt.card import prompt_card
    from speechprompt.recipe import tune_task
    from speechprompt.tasks import TASKS, Task
    from speechprompt.trainable import TuneConfig

    own = f"{args.data.stem}, tuned by the user"
    task = TASKS.get(args.task) or Task(args.task, args.task, "Other", own, "not stated")
    changes: dict[str, Any] = {"title": args.title, "group": args.group, "silence_label": args.silence_label}
    if args.label_column:
        changes["label_rule"] = {"column": args.label_column}
    elif args.text_column:
        changes |= {"label_rule": {"text": args.text_column}, "answer": "sequence", "joiner": ""}
        changes["max_steps"] = MAX_LETTERS
    task = replace(task, **{name: value for name, value in changes.items() if value})
    chosen = {f.name: getattr(args, f.name) for f in fields(TuneConfig) if hasattr(args, f.name)}
    config = TuneConfig(deep=not args.input_prompts, **chosen)
    backbone = load_backbone(args.backbone)
    train, valid = (dataset.read(args.data, task.label_rule, split) for split in ("train", "valid"))
    prompt = tune_task(backbone, task, train, valid, config, args.run)
    out = args.out or backbone.prompt_folder(task.name)
    prompt.save(out, prompt_card(prompt, spoken_command(args.argv)))
    figures = prompt.metrics
    print(
        f"valid accuracy {figures['accuracy']:.1%} of {figures['n']}; {prompt.n_parameters:,} parameters in {out}"
    )
    return 0


def hand_on(command: str, rest: list[str]) -> int:
    """Run the module that does a command's work, with a parser of its own."""
    stages = HANDED_ON[command][1]
    kind = "" if "" in stages else rest.pop(0) if rest else ""
    if kind not in stages:
        raise SpeechPromptError(f"Say what to {command}: {', '.join(stages)}.")
    module = importlib.import_module(f"speechprompt.{stages[kind]}")
    parser = argparse.ArgumentParser(
        prog=f"speechprompt {command} {kind}".strip(),
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    module.run(parser.parse_args(rest))
    return 0


def complain(sentence: str) -> None:
    print(f"speechprompt: {sentence}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    try:
        command, rest = argv[:1], argv[1:]
        if command and command[0] in HANDED_ON and ("" in HANDED_ON[command[0]][1] or rest[:1] not in HELP):
            return hand_on(command[0], rest)
        args = build_parser().parse_args(argv)
        args.argv = argv  # the card of a prompt quotes it
        return globals()[args.command](args)
    except SpeechPromptError as error:
        complain(str(error))
        return 2
    except OSError as error:  # a folder that cannot be written, a full disk
        complain(f"{Path(str(error.filename or 'A file')).name} cannot be used: {error.strerror or error}.")
        return 2
    except KeyboardInterrupt:
        complain("stopped before there was anything to keep.")
        return 130
