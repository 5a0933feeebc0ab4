"""How much memory `label`, `units` or `tune` takes for a parquet file far larger than it, to the file's end.

    python -m benchmarks.label_memory                     # 10 GB of clips of 0.5 s; about 15 minutes on two idle cores
    python -m benchmarks.label_memory --command units --command tune
    python -m benchmarks.label_memory --gigabytes 0.2     # seconds, to try it
    python -m benchmarks.label_memory --folder /scratch   # the file lies there until the end

Writes a parquet file of short clips that are large in bytes, cut from the examples: WAV of two channels at 96 kHz in 32
bits, 384 kB for half a second. Starts the command on it and prints the memory of all its processes together, of `label`
for every so many rows: RSS, in which pages that they share count for each of them, and PSS, in which they count once.
`tune` learns 20 steps, without simulated recordings. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError

if TYPE_CHECKING:
    import subprocess

RATE, SECONDS, GROUP = 96_000, 0.5, 256  # the last: rows of a row group
ROW_BYTES = round(RATE * SECONDS) * 2 * 4
LOOK = 1.0  # seconds between two looks at the processes
COMMANDS = ("label", "units", "tune")
TUNE = ("--task", "memory", "--augment", "0", "--steps", "20")


def write_clips(path: Path, n: int) -> None:
    """n pieces of the examples, no two alike."""
    import io

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import soundfile

    from speechprompt.audio.load import SAMPLE_RATE, load

    rng = np.random.default_rng(0)
    root = Path(__file__).parent.parent
    sounds = [load(file) for file in sorted((root / "examples").glob("*.flac"))]
    schema = pa.schema([("id", pa.string()), ("label", pa.string()), ("audio", pa.binary())])
    length, finer = int(SAMPLE_RATE * SECONDS), RATE // SAMPLE_RATE
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, n, GROUP):
            rows = []
            for i in range(first, min(n, first + GROUP)):
                sound = sounds[i % len(sounds)]
                start = int(rng.integers(max(1, len(sound) - length)))
                clip = np.pad(sound[start : start + length], (0, length))[:length]
                times = np.arange(length * finer) / finer
                fine = np.interp(times, np.arange(length), clip).astype(np.float32)
                file = io.BytesIO()
                soundfile.write(file, np.stack([fine, fine], 1), RATE, format="WAV", subtype="FLOAT")
                rows.append({"id": str(i), "label": f"label {i % 2}", "audio": file.getvalue()})
            writer.write_table(pa.Table.from_pylist(rows, schema))


def tree(pid: int) -> Iterator[int]:
    """A process and those that it started, as /proc has them now."""
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in listed.read_text().split()]
        except OSError:  # it ended meanwhile
            continue
        for child in children:
            yield from tree(child)


def memory(pid: int) -> tuple[int, int]:
    """Bytes of RSS and of PSS of a process; zeros where it ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    facts = dict(line.split()[:2] for line in text.splitlines()[1:])
    return 1024 * int(facts["Rss:"]), 1024 * int(facts["Pss:"])


def watch(process: subprocess.Popen[bytes], kept: Path, rows: int) -> dict[int, tuple[int, int]]:
    """Rows done -> the most bytes (RSS, PSS) since so many `rows` before, until the command ends."""
    import time

    found: dict[int, tuple[int, int]] = {}
    done = at = 0
    while process.poll() is None:
        rss, pss = map(sum, zip(*map(memory, tree(process.pid)), strict=True))
        if kept.is_file():  # begun, and not ended
            with suppress(OSError), kept.open("rb") as file:
                file.seek(at)
                new = file.read()
                done, at = done + new.count(b"\n"), at + len(new)
        until = rows * -(-max(done - 1, 1) // rows)  # the first line has the settings
        before = found.get(until, (0, 0))
        found[until] = max(before[0], rss), max(before[1], pss)
        time.sleep(LOOK)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gigabytes", type=float, default=10.0, help="of the file (default: 10)")
    parser.add_argument("--command", action="append", choices=COMMANDS, help="repeatable (default: label)")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--task", default="keyword_spotting")
    parser.add_argument("--rows", type=int, default=1000, help="of each figure (default: 1000)")
    parser.add_argument("--folder", type=Path, help="where the file is written (default: the temporary one)")


def run(args: argparse.Namespace) -> int:
    import subprocess
    import time

    import pyarrow.parquet as pq

    if not Path("/proc/self/status").is_file():
        raise SpeechPromptError("Memory is read from /proc, which Linux alone has: run it there.")
    n = max(1, round(args.gigabytes * 1e9 / ROW_BYTES))
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        clips, out = Path(name, "clips.parquet"), Path(name, "out.parquet")
        write_clips(clips, n)
        print(f"{n} clips, {clips.stat().st_size / 1e9:.2f} GB", flush=True)
        given = {
            "label": [str(clips), "--out", str(out), "--task", args.task],
            "units": ["--data", str(clips), "--out", str(out)],
            "tune": ["--data", str(clips), "--out", str(Path(name, "prompt")), *TUNE],
        }
        for what in args.command or ["label"]:
            command = [sys.executable, "-m", "speechprompt", what, *given[what], "--backbone", args.backbone]
            began = time.perf_counter()
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            found = watch(process, out.with_name(f"{out.name}.part"), args.rows if what == "label" else n)
            if process.returncode:
                raise SpeechPromptError(
                    f"{what} ended with status {process.returncode}: run it alone to see why."
                )
            print(f"{what}, {time.perf_counter() - began:.0f} s\nrows  MB of RSS  MB of PSS, at most")
            for until, (rss, pss) in sorted(found.items()):
                print(f"{min(until, n)}  {rss / 1e6:.0f}  {pss / 1e6:.0f}", flush=True)
            if out.is_file() and pq.read_metadata(out).num_rows != n:
                raise SpeechPromptError(f"{what} wrote other rows than {n}: run it alone to see why.")
            out.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("python -m benchmarks.label_memory", sys.modules[__name__]))
