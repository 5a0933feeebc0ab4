"""Do answers say when a recording does not fit the task, and does the generated unit decide? Two tables.

    python -m studies.belongs DATA_FOLDER --split test --units UNITS_FOLDER

The set of what does not belong is drawn from the packed files in DATA_FOLDER: other words, other languages, other
sounds, music and noise, each judged for a prompt by its languages, its labels and what it expects. The first table
has for every prompt and kind the share that is answered `no` or `unsure` (or by a label that means none of the
others, such as unknown or silence; or refused, as no speech), beside that share of the recordings that belong. The
second says of those how many of the right and of the wrong answers are flagged, how often the generated unit belongs to
the answered label (fixed verbalizers), its median probability where the answer is right, and the expected calibration
error.

Each backbone encodes each recording once and keeps its units in UNITS_FOLDER. That takes about 0.2 s for each of some
2,000 recordings on one thread, so 7 minutes a backbone, and 2 minutes once they are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError

PER_KIND = 120  # recordings of a kind at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument("--split", default="test", help="default: test, or valid where a task has none")
    parser.add_argument("--units", type=Path, metavar="FOLDER", help="keeps units; default: nothing is kept")
    parser.add_argument("--backbone", action="append", default=[], help="default: all bundled; repeatable")
    parser.add_argument("--task", action="append", default=[], help="default: all; repeatable")
    parser.add_argument("--per-kind", type=int, default=PER_KIND, metavar="N", help=f"default: {PER_KIND}")
    parser.add_argument("--json", action="store_true", help="print one JSON array on the last line instead")


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from speechprompt.storage.bundled import list_backbones
    from studies.measures.belongs import BELONGING, drawn, measured, recordings, tables
    from studies.measures.kept_units import KeptUnits

    if not args.folder.is_dir():
        raise SpeechPromptError("DATA_FOLDER is no folder: give the one that holds the parquet files.")
    backbones = [b for b in map(Backbone.load, args.backbone or list_backbones()) if b.complete]
    found = recordings(args.folder, args.split)
    if not found:
        raise SpeechPromptError("DATA_FOLDER holds none of the files that this study draws from.")
    rows = []
    for backbone in backbones:
        kept = KeptUnits(backbone, args.units)
        prompts = [p for p in backbone.prompts.values() if not args.task or p.task in args.task]
        others = {e.id for p in prompts for _, some in drawn(p, found, args.per_kind) for e in some}
        minutes = (len(others) + BELONGING * len(prompts)) * 0.2 / 60
        print(
            f"{backbone.name}: {len(others)} recordings that do not belong to some of {len(prompts)} tasks; about "
            f"{minutes:.0f} minutes where no units are kept", file=sys.stderr, flush=True,
        )  # fmt: skip
        rows += [measured(p, kept, found, args.folder, args.split, args.per_kind) for p in prompts]
    print(json.dumps([vars(row) for row in rows]) if args.json else tables(rows))


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.belongs", sys.modules[__name__]))
