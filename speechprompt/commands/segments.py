"""Answer tasks about every stretch of speech in a recording of any length.

The recording is read in blocks, so hours take no more memory than a minute. A stretch ends with a pause of 0.2 s, and
after 8 s without one. Without --out each is printed as it is answered; --out takes .csv, .json, .rttm, .TextGrid, .srt
or .txt (Audacity's label track) and is written whole at the end. A run that was stopped goes on when the same command
is given again. A file that was cut off is answered as far as it goes, and the last line says where that is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechprompt.commands import add_model_arguments, complain, load_backbone

if TYPE_CHECKING:
    from speechprompt.labelling.segments import Segments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--task", action="append", dest="tasks", metavar="T", help="repeatable; default: all")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=".csv, .json, .rttm, .TextGrid, .srt or .txt (Audacity)"
    )


def run(args: argparse.Namespace) -> int:
    from speechprompt.labelling.segment_files import check_kind
    from speechprompt.labelling.segments import Segments
    from speechprompt.pipeline import SpeechPrompt

    sp = SpeechPrompt(load_backbone(args))
    tasks = [sp.prompt(task).task for task in dict.fromkeys(args.tasks or sp.tasks)]
    if args.out is not None:
        check_kind(args.out, tasks)
        return keep(args, sp, tasks)
    found = Segments(sp, args.file, tasks)
    n = 0
    try:
        for one in found:
            n += 1
            said = "  ".join(
                f"{answer.label or '(nothing)'} {answer.score:.0%}{'' if answer.fits == 'yes' else ' ?'}"
                for answer in one.answers.values()
            )
            print(f"{one.start:9.2f} {one.end:9.2f}  {said}", flush=True)
    except KeyboardInterrupt:
        complain(f"stopped after {found.seconds:.0f} s of the recording.")
        return 130
    return ended(found, n)


def keep(args: argparse.Namespace, sp: Any, tasks: list[str]) -> int:
    """Answer into --out, over a file beside it that holds what was answered until then."""
    from tqdm import tqdm

    from speechprompt.labelling.kept_segments import KeptSegments
    from speechprompt.labelling.segment_files import Timeline, row_of, write
    from speechprompt.labelling.segments import Segments

    try:
        with KeptSegments(args.out, sp.backbone, [sp.prompt(task) for task in tasks], args.file) as kept:
            since = kept.resume_at()
            found = Segments(sp, args.file, tasks, since=since)
            total = None if found.total is None else round(found.total)
            with tqdm(total=total, unit=" s", desc="segments") as bar:
                for batch in found.batches():
                    kept.append_batch(found.answered, [row_of(one) for one in batch])
                    bar.update(round(found.seconds) - bar.n)
            n = sum(1 for _ in kept.segments())
            write(args.out, Timeline(args.file.name, tasks, kept.segments, found.seconds, found.notice))
        kept.path.unlink(missing_ok=True)
    except KeyboardInterrupt:
        complain("stopped; the same command goes on from here.")
        return 130
    print(f"{n} segments in {args.out}")
    return ended(found, n)


def ended(found: Segments, n: int) -> int:
    """How the recording ended; code 2 where it was cut off."""
    if not n:
        complain(f"no speech was found in {found.seconds:.0f} s.")
    if found.notice:
        complain(found.notice)
    return 2 if found.notice else 0
