"""Try everything once, and print what came out as the table of docs/robustness.md.

    python -m tests.robustness                                            # about a quarter of an hour
    python -m tests.robustness --clients 8 --requests 40 --kills 1 --fuzz 50

Exits with 1 when anything crashed, was wrong, was lost, or was not refused.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


class Tally:
    """A pytest plugin that counts the tests of each file by outcome, and what they recorded."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.recorded: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            file = report.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
            self.outcomes[file, report.outcome] += 1
            if report.passed:
                for name, number in report.user_properties:
                    self.recorded[name] += int(str(number))

    def row(self, file: str) -> str:
        return (
            f"{self.outcomes[file, 'passed']} of {sum(n for (f, _), n in self.outcomes.items() if f == file)}"
        )


def recordings() -> tuple[list[tuple[str, object]], bool]:
    from tests.robustness.test_recordings import run_corpus

    with tempfile.TemporaryDirectory() as folder:
        came = run_corpus(Path(folder))
    answered, as_said = sum(line["answered"] for line in came), sum(line["ok"] for line in came)
    slowest = max(came, key=lambda line: line["seconds"])
    hungriest = max(came, key=lambda line: line["memory"])
    rows: list[tuple[str, object]] = [
        ("recordings tried", len(came)),
        ("of these answered, refused with a sentence, crashed", f"{answered}, {len(came) - answered}, 0"),
        ("as the corpus says they must be", f"{as_said} of {len(came)}"),
        ("most memory above idle", f"{hungriest['memory'] / 2**20:.0f} MB ({hungriest['name']})"),
        ("longest", f"{slowest['seconds']:.1f} s ({slowest['name']})"),
    ]
    return rows, as_said == len(came)


def crowd(clients: int, requests: int) -> tuple[list[tuple[str, object]], bool]:
    from benchmarks import load

    found = load.load(clients, requests)
    rows = [tuple(part.strip() for part in line.split("|")[1:3]) for line in found.table().splitlines()[2:]]
    return list(rows), not (found.wrong or found.lost or found.files_left)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10, help="of each kind; six kinds (default 10)")
    parser.add_argument(
        "--fuzz", type=int, default=2000, help="inputs for each of three loaders (default 2000)"
    )
    args = parser.parse_args()
    began = time.monotonic()
    rows, fine = recordings()
    os.environ |= {"ACCIDENTS": str(args.kills), "FUZZ": str(args.fuzz)}
    tally = Tally()
    accidents = ("kills", "writers", "accidents")
    names = ("folders", "uploads", "gate", "fairness", "request_cost", "input_cost", *accidents, "fuzz")
    chosen = ["-m", "not slow and not gpu"]  # the long ones too, which `pytest` alone leaves out
    code = pytest.main(
        ["-q", "-W", "ignore", *chosen, *(str(FOLDER / f"test_{name}.py") for name in names)], [tally]
    )
    rows += [
        ("hostile prompts, backbones and names refused", tally.row("test_folders")),
        ("forged and oversized requests refused, recordings deleted", tally.row("test_uploads")),
        ("at the gate: routes, names, sites, sizes", tally.row("test_gate")),
        ("turns, sessions and room, as they must be", tally.row("test_fairness")),
        (
            "texts, files and requests that cost no more than their size",
            f"{tally.row('test_input_cost')}, {tally.row('test_request_cost')}",
        ),
        ("kill -9 survived, each in the midst of work", f"{tally.recorded['kills']} of {6 * args.kills}"),
        (
            "accidents (those, full disks, two writers, damage, no memory, Ctrl-C)",
            ", ".join(tally.row(f"test_{name}") for name in accidents),
        ),
        (
            "fuzzed inputs, other exceptions than ours",
            f"{3 * args.fuzz}, {tally.outcomes['test_fuzz', 'failed']}",
        ),
    ]
    more, served = crowd(args.clients, args.requests)
    print("\n| | |\n|---|---|")
    for name, value in (*rows, *more):
        print(f"| {name} | {value} |")
    print(f"\n{(time.monotonic() - began) / 60:.0f} minutes")
    raise SystemExit(0 if fine and served and code == 0 else 1)


if __name__ == "__main__":
    main()
