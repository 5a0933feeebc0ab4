"""A Ray cluster: which one, what its workers take, whether it has room for them, and the connection to it."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from speechprompt.errors import SpeechPromptError

OBJECTS = 256 << 20  # bytes that a Ray started here keeps for results; rows are small
KNOCK_SECONDS = 10.0  # that a cluster may take to answer
LOCAL = "local"  # the address of a Ray that is started here for this run alone


@dataclass(frozen=True)
class Cluster:
    """Where the workers are, and what each of them takes.

    address: of a Ray cluster, "auto" for the one that this machine belongs to, "local" for one that is started here for
    this run. workers: None takes as many as the cluster has room for. gpus: of each worker, such as 0.25; None is 1
    where the cluster has a GPU, else 0. decoders: processes of each worker that decode.
    """

    address: str = "auto"
    workers: int | None = None
    gpus: float | None = None
    decoders: int = 1

    def check(self) -> None:
        """Raise SpeechPromptError for numbers that make no cluster."""
        if self.workers is not None and self.workers < 1:
            raise SpeechPromptError("The number of Ray's workers must be 1 or more.")
        gpus = self.gpus or 0.0
        if not math.isfinite(gpus) or gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            raise SpeechPromptError("A worker takes no GPU (0), a part of one such as 0.25, or whole ones.")


def last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200].rstrip(".")


def room(resources: dict[str, float], cluster: Cluster) -> tuple[int, float]:
    """How many workers there are to be, and how much of a GPU each takes; SpeechPromptError where none has room."""
    cpus, all_gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    gpus = (1.0 if all_gpus else 0.0) if cluster.gpus is None else cluster.gpus
    most = int(min(cpus, all_gpus / gpus if gpus else cpus))
    if most < 1:
        lacks = f"{all_gpus:g} GPUs" if gpus and all_gpus < gpus else f"{cpus:g} CPUs"
        raise SpeechPromptError(
            f"The cluster has {lacks}, too few for a worker: add a node, or give less to each."
        )
    return (most if cluster.workers is None else min(cluster.workers, most)), gpus


@contextmanager
def connected(address: str, workers: int | None) -> Iterator[Any]:
    """The module ray, connected to a cluster until the block ends; SpeechPromptError where there is none.

    workers: processors of a Ray that is started here; None takes all.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SpeechPromptError("Ray is not installed here: pip install 'speechprompt[ray]'.") from error
    if ray.is_initialized():  # the caller's, who ends it
        yield ray
        return
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        here: dict[str, Any] = {
            "object_store_memory": OBJECTS,
            "include_dashboard": False,
            "num_cpus": workers or os.cpu_count(),
        }
        here |= {"_node_ip_address": "127.0.0.1", "_temp_dir": folder}
        try:
            knock(address)
            ray.init(address=address, **quiet, **(here if address == LOCAL else {}))
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            raise SpeechPromptError(
                f"There is no Ray cluster at {address[:80]!r} ({last_line(error)}): check the address, start one with "
                "`ray start --head`, or take local."
            ) from error
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield ray
        finally:
            ray.shutdown()


def knock(address: str) -> None:
    """Raise OSError or ValueError where nobody listens at an address: Ray's client would try for ten minutes."""
    if address == LOCAL:
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    if address == "auto":  # written by `ray start` on every node
        current = Path(gettempdir(), "ray", "ray_current_cluster")
        if not current.is_file():
            raise ValueError("this machine belongs to none")
        address = current.read_text().strip()
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("it must be HOST:PORT, ray://HOST:PORT, auto or local")
    socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
