"""A comparison as a table to take away: CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechprompt.ui.comparison import Row

FORMULA = "=+-@＝＋－＠"  # what a spreadsheet calculates when a cell begins with it
COLUMNS = (
    "task", "title", "backbone", "label", "score", "fits", "reason", "accuracy", "n", "split", "parameters",
    "generated_units", "encode_ms", "lm_ms", "error",
)  # fmt: skip


def table(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One record for every row, with the names in COLUMNS; what is not known is None."""
    records = []
    for row in rows:
        prompt, answer = row.prompt, row.answer
        values: list[Any] = [prompt.task, prompt.title, row.backbone.name]
        values += (
            [None] * 4
            if answer is None
            else [answer.label, round(answer.score, 6), answer.fits, answer.reason]
        )
        values += [prompt.metrics.get(name) for name in ("accuracy", "n", "split")] + [prompt.n_parameters]
        if answer is None:
            values += [None, None, None]
        else:
            values += [answer.generated, *(round(1000 * answer.timing[t], 3) for t in ("encode_s", "lm_s"))]
        records.append(dict(zip(COLUMNS, [*values, row.error or None], strict=True)))
    return records


def to_csv(records: Iterable[dict[str, Any]]) -> bytes:
    """The table for spreadsheets: UTF-8 with its mark, and no cell that one of them would calculate."""
    text = io.StringIO()
    writer = csv.writer(text)
    rows = list(records)
    names = (*(["file"] if rows and "file" in rows[0] else []), *COLUMNS)
    writer.writerow(names)
    writer.writerows([cell(record[name]) for name in names] for record in rows)
    return text.getvalue().encode("utf-8-sig")


def cell(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.lstrip()[:1] in tuple(FORMULA) or text[:1] in ("\t", "\r", "\n") else text


def to_json(records: Iterable[dict[str, Any]]) -> bytes:
    return json.dumps(list(records), ensure_ascii=False, indent=2).encode()
