"""Labels for many recordings: decoded ahead, answered in batches, kept as they come, in the order given.

Every finished batch is appended to a file beside the output, so a stopped run goes on where it was; at the
end it becomes the output, a CSV, JSON-lines or parquet file. Memory does not grow with the number of clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from speechprompt.audio.clips import AHEAD, Decoders
from speechprompt.backbone import Backbone
from speechprompt.data.clips import clips_of
from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.kept import Kept, settings
from speechprompt.labelling.labeller import prompts_of
from speechprompt.labelling.rows import Answerer, batch_factor, failed, seconds
from speechprompt.labelling.table import SUFFIXES, columns_of, ordered, write
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import check_apart


@dataclass(frozen=True)
class Labelled:
    """What a run did: rows of the output, those among them without labels, seconds of sound answered now.

    left_out: other files in the folder, which have no row.
    """

    rows: int
    failed: int
    seconds: float
    left_out: int = 0


def label(
    backbone: Backbone,
    tasks: Sequence[str | Prompt],
    source: Path,
    out: Path,
    workers: int = 1,
    progress: bool = True,
) -> Labelled:
    """Answer tasks about every clip of a folder, parquet file or list; one row each, in their order, into `out`.

    tasks: names of the backbone's tasks, or prompts that fit it; without any all of its tasks.
    Columns: id, seconds, `TASK.label`, `TASK.score` and `TASK.fits` of every task, error (why a row has no labels, else
    empty). The suffix of `out` says the kind of file. The answers are those of SpeechPrompt.classify. workers:
    processes that decode. A run that was stopped goes on when it is asked for again. In a CSV file, text that a
    spreadsheet would run as a formula begins with an apostrophe. SpeechPromptError when a task, the source or
    the kind of file is unknown, the run that was stopped was another, another run is at work on `out`, or
    recordings take longer than REQUEST_SECONDS each.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise SpeechPromptError(f"{out.name} must end in {', '.join(SUFFIXES)}, which says the kind of file.")
    check_output(out, source, workers)
    prompts = prompts_of(backbone, tasks)
    clips = clips_of(source)
    about = settings(backbone.unit_lm_sha256, backbone.dtype, prompts, clips)
    kept = Kept(out.with_name(out.name + ".part"), about)
    ahead = AHEAD * batch_factor(backbone)
    with Decoders(workers, ahead=ahead) as decoders:  # they start while the models are read
        answerer = Answerer(backbone, prompts)
        with kept:
            done, without = kept.resume(clips.ids())
            bar = tqdm(initial=done, total=len(clips), unit=" clips", desc="label", disable=not progress)
            sound = 0.0
            with bar:
                for rows in answerer.rows(decoders.map(clips.clips(done))):
                    kept.append(rows)
                    done, without, sound = done + len(rows), without + failed(rows), sound + seconds(rows)
                    bar.update(len(rows))
            kept.check(len(clips))
            write(out, columns_of(prompts), map(ordered, kept.rows()))
    kept.path.unlink(missing_ok=True)
    return Labelled(done, without, sound, clips.left_out)


def check_output(out: Path, source: Path, workers: int) -> None:
    """Raise unless the output can be written without loss of the source, and processes can decode."""
    if not out.parent.is_dir():
        raise SpeechPromptError(f"The folder of {out.name} does not exist: make it first.")
    check_apart(out, source)
    if workers < 0:
        raise SpeechPromptError("The number of workers must be 0 or more.")
