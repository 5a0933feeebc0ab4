"""Twenty visitors beside one attacker at the running app: how long they wait, what it takes of memory and disk.

    python -m tests.robustness.attack                    # ten minutes
    python -m tests.robustness.attack --seconds 60 --visitors 20

The attacker has an address of his own (127.0.0.2, on Linux). He joins the queue under invented sessions as often
as he can, uploads, leaves connections half open, and sends what once stopped the server: addresses within addresses,
deep and large JSON, long file names. Exits with 1 where a visitor waited for longer than --longest or was refused.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import load, running_app

ATTACKER = "127.0.0.2"
JSON = {"Content-Type": "application/json"}
PAUSE = 1.0  # s between a visitor's answer and the next question
PROBE_EVERY = 0.25  # s
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PART = '--b\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'


class Attack:
    """What the attacker sends; `came` counts the answers by status."""

    def __init__(self, url: str) -> None:
        self.place = urlsplit(url)
        self.came: Counter[tuple[str, int]] = Counter()
        self.numbers = itertools.count()

    def send(self, what: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection(
            self.place.hostname or "", self.place.port, timeout=20, source_address=(ATTACKER, 0)
        )
        try:
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        except OSError:
            status = 0
        finally:
            connection.close()
        self.came[what, status] += 1

    def join(self) -> None:
        data: dict[str, Any] = {"data": [None, "keyword_spotting", "mini"], "fn_index": self.fn_index}
        body = {**data, "session_hash": f"invented{next(self.numbers)}"}
        self.send("queue", "/gradio_api/queue/join", json.dumps(body).encode(), JSON)

    fn_index = 0

    def address(self) -> None:
        file = {"path": "http://" + "/gradio_api/file=" * 8000 + "?", "meta": {"_type": "gradio.FileData"}}
        self.call([file, "keyword_spotting", "mini"])

    def deep(self) -> None:
        self.send("JSON", "/gradio_api/call/classify", b"[" * 250_000, JSON)

    def large(self) -> None:
        self.call([["a"] * 60_000, "keyword_spotting", "mini"])

    def call(self, data: list[Any]) -> None:
        self.send("call", "/gradio_api/call/classify", json.dumps({"data": data}).encode(), JSON)

    def names(self) -> None:
        body = (PART.format("n" * 4000) + "x\r\n") * 250 + "--b--\r\n"
        self.send("long names", "/gradio_api/upload", body.encode(), FORM)

    def upload(self) -> None:
        content = PART.format("a.wav").encode() + os.urandom(1 << 20) * 8
        self.send("upload", "/gradio_api/upload", content + b"\r\n--b--\r\n", FORM)

    def half_open(self) -> None:
        connection = http.client.HTTPConnection(
            self.place.hostname or "", self.place.port, timeout=20, source_address=(ATTACKER, 0)
        )
        connection.connect()
        connection.sock.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: ")
        with suppress(OSError):
            connection.sock.recv(1)  # until the server has had enough
        self.came["half a request", 0] += 1
        connection.close()


def visit(client: Any, ends: float, took: list[float], refused: list[str]) -> None:
    while time.monotonic() < ends:
        began = time.perf_counter()
        try:
            came = load.ask(client, (str(running_app.ROOT / "examples" / "yes.flac"), "keyword_spotting"))
        except Exception as error:  # whatever it was, this request got no answer
            came = repr(error)
        took.append(time.perf_counter() - began)
        if not isinstance(came, dict) or came["label"] != "yes":
            refused.append(str(came)[:200])
        time.sleep(PAUSE)
    client.close()


def kept_busy(what: Callable[[], None], ends: float) -> None:
    while time.monotonic() < ends:
        what()


def probe(url: str, ends: float, took: list[float]) -> None:
    place = urlsplit(url)
    while time.monotonic() < ends:
        began = time.perf_counter()
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        with suppress(OSError):
            connection.request("GET", "/gradio_api/app_id")
            connection.getresponse().read()
        connection.close()
        took.append(time.perf_counter() - began)
        time.sleep(PROBE_EVERY)


def disk(folder: Path) -> int:
    sizes = []
    for path in folder.rglob("*"):
        try:
            sizes.append(path.lstat().st_size)
        except OSError:
            continue
    return sum(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--longest", type=float, default=10.0, help="seconds that a visitor may wait")
    args = parser.parse_args()
    waited: list[float] = []
    refused: list[str] = []
    probed: list[float] = []
    memory, bytes_on_disk = [], []
    with tempfile.TemporaryDirectory() as folder, running_app.running_app(Path(folder)) as (url, pid):
        first = running_app.client_of(url)
        first.predict(*load.first_question(), api_name="/classify")
        attack = Attack(url)
        attack.fn_index = next(d["id"] for d in first.config["dependencies"] if d["api_name"] == "classify")
        first.close()
        idle = running_app.memory(pid)
        clients = [
            running_app.client_of(url) for _ in range(args.visitors)
        ]  # their pages are open before it begins
        ends = time.monotonic() + args.seconds
        kinds = [attack.join, attack.join, attack.address, attack.deep, attack.large, attack.names]
        kinds += [attack.upload, *[attack.half_open] * 20]
        threads = [threading.Thread(target=kept_busy, args=(kind, ends)) for kind in kinds]
        threads += [
            threading.Thread(target=visit, args=(client, ends, waited, refused)) for client in clients
        ]
        threads.append(threading.Thread(target=probe, args=(url, ends, probed)))
        for thread in threads:
            thread.start()
        while time.monotonic() < ends:
            time.sleep(2)
            memory.append(running_app.memory(pid))
            bytes_on_disk.append(disk(Path(folder)))
        for thread in threads:
            thread.join()
    rows = [
        (
            "seconds, visitors, load of the machine",
            f"{args.seconds:.0f}, {args.visitors}, {os.getloadavg()[0]:.1f}",
        ),
        ("visitors' requests, refused or wrong", f"{len(waited)}, {len(refused)}"),
        ("they waited, median, longest", f"{statistics.median(waited):.1f} s, {max(waited):.1f} s"),
        (
            "the server answered a bare request, median, longest",
            f"{statistics.median(probed):.2f} s, {max(probed):.2f} s",
        ),
        ("memory, idle, at most", f"{idle >> 20} MB, {max(memory) >> 20} MB"),
        ("disk, at most", f"{max(bytes_on_disk) >> 20} MB"),
        *((f"attacker: {what}, status {status}", n) for (what, status), n in sorted(attack.came.items())),
    ]
    print("| | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    for line, n in Counter(refused).most_common(3):
        print(f"{n} times: {line}")
    raise SystemExit(1 if refused or max(waited) > args.longest else 0)


if __name__ == "__main__":
    main()
