"""requirements.lock names what the requirements name, with hashes, for every system, and no host."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PIN = r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([\w.]+)"


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_pins_what_the_requirements_pin() -> None:
    locked = {plain(name): version for name, version in re.findall(PIN, LOCK, re.MULTILINE)}
    asked = [
        found
        for file in ("requirements.txt", "requirements-dev.txt")
        for found in re.findall(PIN, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(asked) > 15
    command = re.search(r"uv pip compile .*", LOCK)
    assert command is not None
    assert {n: v for n, v in asked if locked.get(plain(n)) != v} == {}, f"make it again: {command[0]}"


def test_every_file_has_its_hash_and_no_host_is_named() -> None:
    entries = re.split(r"\n(?=[a-z])", LOCK.split("requirements.lock\n", 1)[1])
    assert len(entries) > 100
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert not re.search(r"://|^-", LOCK, re.MULTILINE)
