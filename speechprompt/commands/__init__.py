"""What the command line does, a module for each command: its docstring is the help; what is heavy waits for `run`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import
    from speechprompt.backbone import Backbone


PATH_OPTIONS = (
    "--data",
    "--extra",
    "--negatives",
    "--out",
    "--run",
    "--backbone",
    "--init-from",
    "--teacher",
)


def complain(sentence: str) -> None:
    """Say what is wrong where it does not mix with the answers."""
    print(f"speechprompt: {sentence}", file=sys.stderr)


def add_model_arguments(parser: argparse.ArgumentParser, only_answers: bool = True) -> None:
    """Which models, and where they run; how exactly too, where they only answer."""
    parser.add_argument("--backbone", default="mini", help="bundled name or folder (default: mini)")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:1 (default: a GPU if there is one)"
    )
    if only_answers:
        parser.add_argument(
            "--dtype",
            choices=("float32", "bfloat16", "float16"),
            default="float32",
            help="what the models multiply in (default: float32); bfloat16 is faster on GPUs and "
            "processors with AMX, where it changes 1.5 %% of the answers; float16 is for GPUs alone",
        )


def load_backbone(args: argparse.Namespace) -> Backbone:
    """The backbone that `add_model_arguments` asked for; SpeechPromptError for what is not here."""
    from speechprompt.backbone import Backbone
    from speechprompt.machine.device import choose_device

    return Backbone.load(args.backbone, choose_device(args.device), getattr(args, "dtype", "float32"))


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        type=Path,
        metavar="SOURCE",
        help="parquet files (of recordings or of units), CSV, TSV or JSON-lines lists, folders (one for each label, "
        "metadata.csv, Kaldi, parquet files of `datasets`) or hf://datasets/OWNER/NAME; several are read as one, and "
        "not all of them need the split; of a bundled task also the folder of the packed files, of which it takes "
        "its own",
    )


def add_negatives_argument(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument(
        "--negatives",
        nargs="+",
        default=[],
        type=Path,
        metavar="FILE.parquet",
        help=f"recordings of none of the labels (rows that have one are left out): {use}",
    )


def portable_command(argv: list[str]) -> str:
    """The command as anyone may type it: without the folders of one machine; addresses on the Hub stay."""
    parts = []
    option = ""
    for argument in argv:
        head, value = "", argument
        if argument.startswith("--"):
            option, equals, value = argument.partition("=")
            head = option + equals
        local = option in PATH_OPTIONS and not value.startswith("hf://")
        parts.append(head + (Path(value).name if local else value))
    return "python -m speechprompt " + shlex.join(parts)
