"""Rows into a CSV, JSON-lines or parquet file, complete or not there."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from speechprompt.labelling.rows import COLUMNS, Row
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import replaced_file

SUFFIXES = (".parquet", ".csv", ".jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # beginnings of a cell that spreadsheets run
ROWS_AT_ONCE = 10_000  # of the output, in memory


def columns_of(prompts: Sequence[Prompt]) -> list[str]:
    """Names of the columns of a table, in order."""
    return ["id", "seconds", *(f"{prompt.task}.{what}" for prompt in prompts for what in COLUMNS), "error"]


def is_number(column: str) -> bool:
    """Whether a column holds numbers; all others hold text."""
    return column == "seconds" or column.endswith(".score")


def ordered(row: Row) -> list[Any]:
    """A row's cells in the order of columns_of: what is wrong comes last."""
    return [row[0], row[1], *row[3:], row[2]]


def write(out: Path, columns: Sequence[str], cells: Iterator[list[Any]]) -> None:
    """The output, complete or not there; cells: of each row, in the order of the columns."""
    with replaced_file(out) as aside:
        if out.suffix.lower() == ".parquet":
            write_parquet(aside, columns, cells)
            return
        with aside.open("w", encoding="utf-8", newline="") as file:
            if out.suffix.lower() == ".csv":
                table = csv.writer(file)
                table.writerow(columns)
                table.writerows([harmless(cell) for cell in row] for row in cells)
            else:
                for row in cells:
                    file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins as one gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def write_parquet(file: Path | IO[bytes], columns: Sequence[str], cells: Iterator[list[Any]]) -> None:
    """The cells of rows, in the order of the columns, into a parquet file."""
    import pyarrow
    import pyarrow.parquet

    kinds = [(name, pyarrow.float64() if is_number(name) else pyarrow.string()) for name in columns]
    schema = pyarrow.schema(kinds)
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while group := [row for _, row in zip(range(ROWS_AT_ONCE), cells, strict=False)]:
            writer.write_table(
                pyarrow.Table.from_pylist([dict(zip(columns, r, strict=True)) for r in group], schema)
            )
