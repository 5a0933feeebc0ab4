"""`label` on a cluster: Ray Data gives parts of the recordings to workers, each with its models; rows come back here.

A worker reads and decodes its part where it is, so that no sound passes through this machine. What a worker has not
given back when it dies, or its node leaves, is given to another one; what was given back is kept, a file for each part.
"""

from __future__ import annotations

import io
import pickle
import socket
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from speechprompt.data.clips import Clips, clips_of
from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.kept import settings
from speechprompt.labelling.label import Labelled, check_output
from speechprompt.labelling.labeller import Labeller
from speechprompt.labelling.parts import Parts
from speechprompt.labelling.ray_cluster import Cluster, connected, last_line, room
from speechprompt.labelling.rows import failed, seconds
from speechprompt.labelling.table import SUFFIXES, ordered, write, write_parquet
from speechprompt.machine.device import choose_dtype
from speechprompt.machine.memory import keep_few_kernels, keep_freed_memory

DEATHS = 5  # of workers on one part, after which the run ends: the part is at fault


def label_on_ray(
    backbone: str | Path,
    tasks: Sequence[str],
    source: Path,
    out: Path,
    cluster: Cluster,
    dtype: str = "float32",
    progress: bool = True,
) -> Labelled:
    """As `label`, by the workers of a cluster, with the same rows in the same order.

    out: a file as of `label`, or the name of a new folder, in which the parts then stay as parquet files, in order.
    Until the end they lie in a folder beside it, from which a stopped run goes on. The recordings, and a backbone
    that is a folder, must lie on a disk that every node has under the same path, and the package be installed there.
    SpeechPromptError as from `label`, and when Ray is not installed, the cluster does not answer or cannot hold a
    worker, a node does not see the recordings or has other models, or the same part ended DEATHS workers.
    """
    if out.suffix and out.suffix.lower() not in SUFFIXES:
        raise SpeechPromptError(
            f"{out.name} must end in {', '.join(SUFFIXES)}, or be the name of a new folder."
        )
    if out.is_dir():
        raise SpeechPromptError(f"{out.name} is a folder already: choose a new name.")
    check_output(out, source, cluster.decoders)
    cluster.check()
    labeller = Labeller(backbone, tasks, "cpu", workers=cluster.decoders)
    clips = clips_of(source if str(source).startswith("hf:") else source.absolute())
    with connected(cluster.address, cluster.workers) as ray:
        workers, gpus = room(ray.cluster_resources(), cluster)
        labeller.device, labeller.dtype = "cuda" if gpus else "cpu", dtype
        kind = choose_dtype(dtype, labeller.device)
        about = settings(labeller.unit_lm_sha256, kind, labeller.prompts, clips)
        with Parts(out.with_name(f"{out.name}.parts"), about, clips, workers) as parts:
            found = {number: parts.failed(number) for number in range(len(parts))}
            without, sound = sum(n or 0 for n in found.values()), 0.0
            missing = [number for number, n in found.items() if n is None]
            done = len(clips) - sum(len(parts.of(number)) for number in missing)
            bar = tqdm(initial=done, total=len(clips), unit=" clips", desc="label", disable=not progress)
            with bar:
                for number, table, rows, its_failed, its_seconds in results(
                    ray, labeller, parts, missing, workers, gpus
                ):
                    parts.keep(number, table)
                    without, sound = without + its_failed, sound + its_seconds
                    bar.update(rows)
            if out.suffix:
                write(out, labeller.columns, parts.cells())
                parts.remove()
            else:
                parts.become(out)
    return Labelled(len(clips), without, sound, clips.left_out)


class Worker:
    """One process of the cluster with its models: parts of the recordings -> their tables.

    What a user can put right goes back as a sentence, as an exception would come with the trace of Ray around it.
    """

    def __init__(self, labeller: Labeller) -> None:
        self.labeller, self.problem = labeller, ""
        keep_freed_memory()
        keep_few_kernels()
        try:
            labeller.models()
        except SpeechPromptError as error:
            self.problem = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """part: a number; clips: they, pickled. One of each in a batch."""
        table, n_failed, sound, n, problem = io.BytesIO(), 0, 0.0, 0, self.problem
        try:
            if not problem:
                clips: Clips = pickle.loads(batch["clips"][0])
                if not clips.place.exists():
                    raise SpeechPromptError(
                        f"{clips.place.name} is not there under the same path: put it on a disk that all nodes share."
                    )
                rows = [row for some in self.labeller.rows(clips.clips()) for row in some]
                write_parquet(table, self.labeller.columns, map(ordered, rows))
                n, n_failed, sound = len(rows), failed(rows), seconds(rows)
        except SpeechPromptError as error:
            problem = str(error)
        if problem:
            problem = f"On the node {socket.gethostname()}: {problem}"
        return {
            "part": [int(batch["part"][0])],
            "table": [table.getvalue()],
            "rows": [n],
            "failed": [n_failed],
            "seconds": [sound],
            "problem": [problem],
        }


def results(
    ray: Any, labeller: Labeller, parts: Parts, missing: list[int], workers: int, gpus: float
) -> Iterator[tuple[int, bytes, int, int, float]]:
    """Number, table, rows, failed rows and seconds of every missing part, in the order in which they are finished."""
    if not missing:
        return
    items = [{"part": number, "clips": pickle.dumps(parts.of(number))} for number in missing]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how often a task is tried again has no other name yet
        answered = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            Worker,
            fn_constructor_args=(labeller,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(items)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=1,
            num_gpus=gpus,
            max_task_retries=DEATHS,
        )
    try:
        for row in answered.iter_rows():
            if row["problem"]:
                raise SpeechPromptError(row["problem"])
            yield row["part"], row["table"], row["rows"], row["failed"], row["seconds"]
    except ray.exceptions.RayError as error:
        raise SpeechPromptError(
            f"The cluster stopped the run ({last_line(error)}): the same command goes on from here."
        ) from error
