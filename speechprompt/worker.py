"""Processes that work for this one: one thread each, and no life after it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def worker_pool(workers: int, begin: Callable[..., None] | None = None, *given: Any) -> ProcessPoolExecutor:
    """A pool of so many; each calls begin(*given) first. Its scripts guard their start, as all of spawn must."""
    spawn = multiprocessing.get_context("spawn")  # a forked child would inherit torch's threads
    return ProcessPoolExecutor(workers, spawn, begin_worker, (begin, *given))


def begin_worker(begin: Callable[..., None] | None = None, *given: Any) -> None:
    """One thread, and no life after the parent's, which may be killed without a word."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, which not every worker needs
    threading.Thread(target=end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*given)


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
