"""How long a newcomer waits: import, help, start to page, first answer, later answers; and memory when idle.

    python -m benchmarks.first_answer            # on Linux, `taskset -c 0,1` in front for two cores

Starts app.py as a user would, asks /classify about one example clip, and prints one table. Beside the
end-to-end times it prints what the answer itself says the encoder and the LM took. Half a minute on two idle cores.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import trange

from speechprompt.cli import run_command

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_page(url: str, process: subprocess.Popen, limit: float = 120) -> float:
    began = time.perf_counter()
    while time.perf_counter() - began < limit:
        if process.poll() is not None:
            raise SystemExit(f"app.py ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                page.read()
            return time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit("the page did not come up")


def idle_megabytes(pid: int) -> float | None:
    """Resident memory of a process in MB; None where /proc does not say."""
    facts = Path(f"/proc/{pid}/status")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), None)


def seconds_of(*arguments: str) -> float:
    """Median time of five runs of Python."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", type=Path, default=ROOT / "examples" / "yes.flac")
    parser.add_argument("--task", default="keyword_spotting")
    parser.add_argument("--repeats", type=int, default=30)


def run(args: argparse.Namespace) -> None:
    imported, helped = seconds_of("-c", "import speechprompt"), seconds_of("-m", "speechprompt", "--help")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        page = wait_for_page(url, process)
        idle = idle_megabytes(process.pid)
        from gradio_client import Client, handle_file

        client = Client(url, verbose=False)
        seconds, answers = [], []
        for _ in trange(args.repeats + 1, desc="answers"):
            began = time.perf_counter()
            answers.append(client.predict(handle_file(str(args.clip)), args.task, api_name="/classify"))
            seconds.append(time.perf_counter() - began)
        busy = idle_megabytes(process.pid)
    finally:
        process.terminate()
        process.wait(10)
    later = seconds[1:]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"| on {cores} cores, {args.clip.name} | |\n|---|---|")
    print(
        f"| `import speechprompt` | {imported:.2f} s |\n| `python -m speechprompt --help` | {helped:.2f} s |"
    )
    print(f"| start to page | {page:.1f} s |")
    print(f"| first answer | {seconds[0]:.2f} s |")
    print(f"| later answers, median of {len(later)} | {1000 * statistics.median(later):.0f} ms |")
    for name in ("encode_s", "lm_s"):
        part = statistics.median(answer["timing"][name] for answer in answers[1:])
        print(f"| of that {name.removesuffix('_s')} | {1000 * part:.0f} ms |")
    if idle is not None and busy is not None:
        print(f"| memory, idle at the page | {idle:.0f} MB |\n| memory, after the answers | {busy:.0f} MB |")
    print(f"\nanswer: {answers[-1]['label']} {answers[-1]['score']:.2f}")


if __name__ == "__main__":
    sys.exit(run_command("python -m benchmarks.first_answer", sys.modules[__name__]))
