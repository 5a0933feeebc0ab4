"""A crowd at the running app: many clients at once ask about good and bad files, and every answer is checked.

    python -m benchmarks.load                              # 50 clients, 1000 requests
    python -m benchmarks.load --clients 8 --requests 40

Starts app.py as a user would. One client first asks every question alone; then each answer to the crowd must
equal the one given to it. Prints one table: requests, wrong, lost, waiting times, memory, files left behind.
Takes about 2 minutes on four cores.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.running_app import ROOT, client_of, memory, n_files, running_app
from speechprompt.cli import run_command

CLIPS = ("yes", "stop", "seven", "nine", "right", "arabic_seven")
TASKS = ("keyword_spotting", "spoken_digits", "arabic_commands", "spelled_words")
SAME = 1e-4  # how far a probability may be off: other threads sum in another order
WARM_UP = 3  # tenths of the requests until all threads and sessions are there
STAY = 120.0  # s that recordings may stay after their session

Question = tuple[str, str]  # file, task
Came = dict[str, Any] | str  # an answer, or the sentence that refuses


@dataclass
class Load:
    """What came of it. seconds: of every request, from sending the file to having the answer."""

    clients: int
    requests: int
    answers: int = 0
    refusals: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    slowest_client: float = 0.0  # its median, in s
    fastest_client: float = 0.0
    wall: float = 0.0
    memory_idle: int = 0  # bytes
    memory_each_tenth: list[int] = field(default_factory=list)  # of the requests
    files_most: int = 0
    files_left: int = 0

    @property
    def growth(self) -> float:
        """Of the memory from the warm-up's end to the last request."""
        return self.memory_each_tenth[-1] / self.memory_each_tenth[WARM_UP - 1] - 1

    def table(self) -> str:
        ordered = sorted(self.seconds)
        p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
        rows = [
            ("requests", f"{self.requests} by {self.clients} clients at once, in {self.wall:.0f} s"),
            ("answers, refusals", f"{self.answers}, {self.refusals}"),
            ("wrong (unlike the answer to one client alone)", len(self.wrong)),
            ("lost", len(self.lost)),
            ("waiting, median", f"{statistics.median(ordered):.2f} s"),
            ("waiting, 95 %", f"{p95:.2f} s"),
            ("waiting, longest", f"{ordered[-1]:.2f} s"),
            (
                "median of the luckiest and unluckiest client",
                f"{self.fastest_client:.2f} s, {self.slowest_client:.2f} s",
            ),
            ("memory, idle", f"{self.memory_idle / 2**20:.0f} MB"),
            ("memory after each tenth", " ".join(f"{n / 2**20:.0f}" for n in self.memory_each_tenth) + " MB"),
            ("growth after warm-up", f"{self.growth:+.1%}"),
            (
                "recordings on the server: at most, after the sessions",
                f"{self.files_most}, {self.files_left}",
            ),
        ]
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def make_files(folder: Path) -> list[Path]:
    """The example clips, and files of which each is bad in its own way."""
    bad = {
        "text.wav": b"not a sound\n" * 50,
        "empty.wav": b"",
        "zeros.wav": bytes(5_000),
        "page.html": b"<!doctype html><script>alert(1)</script>",
        "cut.flac": (ROOT / "examples" / "yes.flac").read_bytes()[:60],
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    return [ROOT / "examples" / f"{clip}.flac" for clip in CLIPS] + [folder / name for name in bad]


def ask(client: Any, question: Question) -> Came:
    """One request; what the app refuses is told as its sentence. Other exceptions are lost requests."""
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    try:
        return client.predict(handle_file(question[0]), question[1], api_name="/classify")
    except AppError as error:
        return str(error)


def same(one: Came, other: Came) -> bool:
    """Equal but for the time it took and the last digits of the probabilities."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    plain = [json.dumps(without_numbers(answer), sort_keys=True) for answer in (one, other)]
    scores = [answer["scores"] for answer in (one, other)]
    return plain[0] == plain[1] and all(abs(scores[0][k] - scores[1][k]) < SAME for k in scores[0])


def without_numbers(value: Any) -> Any:
    """Whole numbers and texts only, and no order among labels that are equally likely."""
    if isinstance(value, dict):
        return {key: without_numbers(item) for key, item in value.items() if key != "timing"}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float) else value


def load(n_clients: int, n_requests: int, seed: int = 0, wait: bool = True) -> Load:
    """Start the app, ask alone, ask as a crowd, and wait until the recordings are gone."""
    found = Load(n_clients, n_requests)
    with tempfile.TemporaryDirectory() as folder:
        files, uploads = make_files(Path(folder)), Path(folder) / "uploads"
        questions = [(str(file), task) for file in files for task in TASKS]
        with running_app(uploads) as (url, pid):
            alone = client_of(url)
            alone.predict(*first_question(), api_name="/classify")
            found.memory_idle = memory(pid)
            expected = {question: ask(alone, question) for question in questions}
            alone.close()
            rng = random.Random(seed)
            asked = [rng.choice(questions) for _ in range(n_requests)]
            crowd(url, pid, uploads, asked, expected, found)
            ends = time.monotonic() + (STAY if wait else 0)
            while n_files(uploads) and time.monotonic() < ends:
                time.sleep(0.5)
            found.files_left = n_files(uploads)
    return found


def first_question() -> tuple[Any, str]:
    from gradio_client import handle_file

    return handle_file(str(ROOT / "examples" / "yes.flac")), TASKS[0]


def crowd(
    url: str, pid: int, uploads: Path, asked: list[Question], expected: dict[Question, Came], found: Load
) -> None:
    """Every client asks its share, one request after another; all at the same time."""
    with ThreadPoolExecutor(found.clients) as pool:
        clients = list(pool.map(lambda _: client_of(url), range(found.clients)))
    lock = threading.Lock()
    waited: list[list[float]] = [[] for _ in clients]
    tenths = {round(len(asked) * tenth / 10) for tenth in range(1, 11)}

    def work(number: int) -> None:
        for question in asked[number :: len(clients)]:
            began = time.perf_counter()
            try:
                came = ask(clients[number], question)
            except Exception as error:  # whatever it was, this request got no answer
                with lock:
                    found.lost.append(f"{question}: {error!r}")
                continue
            seconds = time.perf_counter() - began
            with lock:
                waited[number].append(seconds)
                found.seconds.append(seconds)
                found.answers += isinstance(came, dict)
                found.refusals += isinstance(came, str)
                if not same(came, expected[question]):
                    found.wrong.append(f"{question}: {came!r}")
                if (came_back := len(found.seconds) + len(found.lost)) in tenths:
                    print(f"{came_back} of {len(asked)} requests", file=sys.stderr, flush=True)
                    found.memory_each_tenth.append(memory(pid))
                    found.files_most = max(found.files_most, n_files(uploads))

    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.wall = time.perf_counter() - began
    found.files_most = max(found.files_most, n_files(uploads))
    medians = [statistics.median(waits) for waits in waited if waits]
    found.fastest_client, found.slowest_client = min(medians), max(medians)
    with ThreadPoolExecutor(found.clients) as pool:
        list(pool.map(lambda client: client.close(), clients))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    found = load(args.clients, args.requests, args.seed)
    print(found.table())
    for kind in ("wrong", "lost"):
        for line, times in Counter(getattr(found, kind)).most_common(5):
            print(f"{kind}, {times} times: {line[:300]}")
    if found.wrong or found.lost or found.files_left:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(run_command("python -m benchmarks.load", sys.modules[__name__]))
