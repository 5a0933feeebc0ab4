"""Which split a recording is of, where the data does not say it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Row = dict[str, Any]


def drawn(rows: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    """The rows in their order, a tenth of each label valid and a tenth test, from three recordings of a label on.

    By a hash of the ids, so that it stays about the same when others come in. Rows with the same id stay together.
    rows: gives them; asked twice, so that not all of them need be in memory.
    """
    by_label: dict[str, set[str]] = {}
    for row in rows():
        by_label.setdefault(str(row.get("label", "")), set()).add(str(row["id"]))
    splits: dict[str, str] = {}
    for names in by_label.values():
        ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "replace")).digest())
        tenth = max(1, len(ordered) // 10) if len(ordered) > 2 else 0
        for i, name in enumerate(ordered):
            splits.setdefault(name, "valid" if i < tenth else "test" if i < 2 * tenth else "train")
    for row in rows():
        yield {**row, "split": splits[str(row["id"])]}
