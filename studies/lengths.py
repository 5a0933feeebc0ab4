"""Does an answer go by the length? Recordings cut to lengths, and how often each length is given a wrong label.

    python -m studies.lengths DATA_FOLDER --backbone whisper-voice --task voice --truth woman man --wrong child
    python -m studies.lengths DATA_FOLDER --backbone whisper-mini --task voice_activity --truth speech --wrong noise

Recordings of the splits valid and test that have a label of --truth, and those of field.parquet, are answered in
stretches from their middle through the same path as the app. Those that last as long as the longest stretch are the
same at every length; of shorter ones, each is measured in the lengths that it has. At most --per-label of either kind
are drawn of each label of a split, evenly from the files. Counted are
answers that have the label --wrong and are not flagged, those that have it and are, all that are flagged (or refused,
as no speech), and those that are right, flagged or not. An answer takes 0.02 s to 0.1 s on one idle thread, so that a
task takes two to ten minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError

SECONDS = (0.4, 0.6, 1.0, 2.0, 3.0, 4.5)
PER_LABEL = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument("--backbone", default="whisper-voice")
    parser.add_argument("--task", default="voice")
    parser.add_argument("--truth", nargs="+", default=["woman", "man"], metavar="LABEL")
    parser.add_argument("--wrong", default="child", metavar="LABEL")
    parser.add_argument("--per-label", type=int, default=PER_LABEL, metavar="N", help=f"default: {PER_LABEL}")


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from speechprompt.pipeline import SpeechPrompt
    from studies.measures.lengths import answered_by_length, recordings, table

    pipeline = SpeechPrompt(Backbone.load(args.backbone))
    labels = pipeline.prompt(args.task).labels
    if unknown := [label for label in (*args.truth, args.wrong) if label not in labels]:
        raise SpeechPromptError(f"{args.task} has no label {unknown[0]!r}; it has {', '.join(labels)}.")
    found = {
        split: answered_by_length(pipeline, args.task, some, SECONDS)
        for split, some in recordings(
            args.folder, pipeline.prompt(args.task), args.truth, args.per_label, max(SECONDS)
        )
    }
    print(table(found, args.wrong, SECONDS))


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.lengths", sys.modules[__name__]))
