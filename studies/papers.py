"""The papers' table made again: prepare, tune and evaluate every corpus that is found, and write what came out.

ROOT holds a folder for each corpus as it is distributed, named as `python -m speechprompt prepare --list` names it,
or a file NAME.parquet of its recordings, or the packed files of units that a task names. What is missing is passed
over, and its cell says what to run. Everything made lies in --work: the data, the units, which are made once, a
prompt for each recipe; what is there is not made again, so a stopped run goes on when it is started again.
--work/BACKBONE/RECIPE is a folder of prompts, as a Space takes it (docs/spaces.md says how).

On one GPU all of it takes about a day, most of it VoxCeleb1, LibriSpeech and ASVspoof, and 150 GB of disk beside the
corpora themselves; Speech Commands, Fluent Speech Commands, Grabo and the small ones take some hours and 20 GB.
(Estimates from the sizes of the corpora; not measured.)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.data.corpora.catalogue import CORPORA
from speechprompt.errors import SpeechPromptError
from speechprompt.tuning.papers import RECIPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, metavar="ROOT", help="holds the corpora")
    parser.add_argument("--backbone", default="gslm", help="bundled name or folder (default: gslm)")
    parser.add_argument("--work", type=Path, default=Path("papers"), help="what is made (default: papers)")
    parser.add_argument(
        "--corpus", action="append", default=[], choices=list(CORPORA), help="default: all found"
    )
    parser.add_argument("--recipe", action="append", default=[], choices=RECIPES, help="default: v2 and ours")
    parser.add_argument("--out", type=Path, default=Path("docs/reproduction.md"), metavar="FILE.md")
    parser.add_argument("--table", action="store_true", help="only write the document from what is there")
    parser.add_argument("--steps", type=int, metavar="N", help="of each tuning, at most; for a trial")


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from studies.measures.papers import SHOWN, cells, data_of, figure_of, make, table

    if not args.root.is_dir() and not args.table:
        raise SpeechPromptError("ROOT is no folder: give the one that holds the corpora.")
    if not args.out.parent.is_dir():
        raise SpeechPromptError("The folder of --out is not there: make it first.")
    backbone = Backbone.load(args.backbone)
    if not args.table:
        args.work.mkdir(parents=True, exist_ok=True)
        more = [] if args.steps is None else ["--steps", str(args.steps)]
        for cell in cells():
            if args.corpus and cell.corpus not in args.corpus:
                continue
            for recipe in args.recipe or SHOWN:
                data = data_of(cell, args.root, args.work, backbone, recipe)
                if data is None:
                    print(f"{cell.corpus}: not found in {args.root.name}, passed over", flush=True)
                    break
                made = make(cell, data, args.work, backbone, recipe, more)
                print(f"{cell.corpus}, {cell.task}, {recipe}: {figure_of(made, True)}", flush=True)
            args.out.write_text(table(args.work, backbone.name), encoding="utf-8")
    args.out.write_text(table(args.work, backbone.name), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.papers", sys.modules[__name__]))
