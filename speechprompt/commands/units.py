"""Show the units that recordings become, or keep those of a whole corpus.

With FILEs their units are printed. With --data the units of every recording go into --out, a parquet file that tune,
evaluate and calibrate take as --data in place of the recordings, so that the encoder runs once. It says which
encoder made them, and another backbone refuses it. With --augment the train split is encoded again in simulated
rooms, and `tune` learns from those rows as from any others: they take the place of its own --augment. A recording that
cannot be read has no row and is counted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from speechprompt.commands import add_model_arguments, complain, load_backbone
from speechprompt.errors import SpeechPromptError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object per file: ids, starts, lengths (frames)"
    )
    parser.add_argument("--data", nargs="+", type=Path, metavar="SOURCE", help="a corpus, as tune takes it")
    parser.add_argument("--out", type=Path, metavar="UNITS.parquet")
    parser.add_argument(
        "--augment", type=int, default=0, metavar="N", help="simulated recordings per train clip"
    )
    parser.add_argument(
        "--pauses", type=float, default=0.5, metavar="X", help="share of them that has pauses"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated recordings")
    parser.add_argument(
        "--channel",
        choices=("any", "controlled"),
        default="any",
        help="controlled: as of tune; train has no other",
    )


def run(args: argparse.Namespace) -> int:
    if args.data:
        return keep(args)
    if not args.files:
        raise SpeechPromptError("units takes recordings, or --data and --out.")
    return show(args)


def keep(args: argparse.Namespace) -> int:
    from speechprompt.audio.augment import Simulation
    from speechprompt.evaluation.kept_units import keep_units
    from speechprompt.storage.folders import check_apart

    if args.files or args.out is None or args.out.suffix.lower() != ".parquet":
        raise SpeechPromptError("--data needs --out UNITS.parquet, and no other FILE.")
    if not args.out.parent.is_dir():
        raise SpeechPromptError(f"The folder of {args.out.name} does not exist: make it first.")
    for source in args.data:
        check_apart(args.out, source)
    if not 0 <= args.augment <= 100 or not 0 <= args.pauses <= 1 or not 0 <= args.seed < 2**31:
        raise SpeechPromptError("--augment must be 0 to 100, --pauses 0 to 1 and --seed 0 to 2,147,483,647.")
    simulation = Simulation(args.seed, args.pauses, controlled=args.channel == "controlled")
    done = keep_units(load_backbone(args), args.data, args.out, args.augment, simulation)
    print(f"{done.rows} rows of units in {args.out}")
    if done.failed:
        print(f"{done.failed} recordings could not be read and have no row; the first: {done.reason}")
    return 0


def show(args: argparse.Namespace) -> int:
    from speechprompt.pipeline import SpeechPrompt

    sp = SpeechPrompt(load_backbone(args))
    failed = 0
    for file in args.files:
        try:
            found = sp.units(file)
        except SpeechPromptError as error:
            failed += 1
            complain(f"{file}: {error}" if len(args.files) > 1 else str(error))
            continue
        if args.json:
            print(json.dumps({"file": file, **found.to_dict()}))
        else:
            print(" ".join(map(str, found.ids)))
    return 2 if failed else 0
