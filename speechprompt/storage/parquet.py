"""Parquet files from anywhere: judged by their footer before a row is read, and read a few rows at a time.

A file of some kilobytes may unpack to gigabytes: a value that stands once in it is repeated for each row.
So what the footer declares, and what the rows then take, is bounded by the size of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError

ROWS_AT_ONCE = 32  # fewer where a single one may be large
BATCH_BYTES = 256 << 20  # of the rows that are in memory at once, unless one row has more
BUFFER_BYTES = 1 << 20  # of the file read at once, where a row group may hold all of it
FREE_BYTES = 256 << 20  # that any file may unpack to,
RATIO = 100  # or so many for each of its own bytes
VALUE_BYTES, ROW_BYTES = 8, 100  # the least that a value and a row take as Python's objects

Row = dict[str, Any]


class ParquetRows:
    """An open parquet file: `names` of its columns, `types` by name (pyarrow's), and as many rows as len() says.

    metadata: what else its schema says, bytes by bytes.

    needed: columns that must be there. SpeechPromptError when one is missing, two have the same name, the file
    is no parquet file or declares more than one of its size can honestly hold.
    """

    def __init__(self, path: Path, needed: Sequence[str] = ()) -> None:
        import pyarrow
        import pyarrow.parquet

        self.path = Path(path)
        try:
            self.file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES)
            self.allowed = max(FREE_BYTES, RATIO * self.path.stat().st_size)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise SpeechPromptError(
                f"{self.path.name} cannot be read as a parquet file: check the path{instead(self.path)}."
            ) from error
        schema, metadata = self.file.schema_arrow, self.file.metadata
        self.names: list[str] = schema.names
        self.metadata: dict[bytes, bytes] = schema.metadata or {}
        if doubled := [name for name, n in Counter(self.names).items() if n > 1]:
            raise SpeechPromptError(
                f"{self.path.name} has more than one column {doubled[0][:80]!r}: leave one of them."
            )
        if missing := [name for name in needed if name not in self.names]:
            raise SpeechPromptError(
                f"{self.path.name} has no column {missing[0]!r}; it needs {', '.join(needed)}."
            )
        self.types = {name: schema.field(name).type for name in self.names}
        self._groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        declared = ROW_BYTES * len(self)
        for group in self._groups:
            for i in range(group.num_columns):
                column = group.column(i)
                declared += column.total_uncompressed_size + VALUE_BYTES * column.num_values
        self.check_size(declared)

    def __len__(self) -> int:
        return int(self.file.metadata.num_rows)

    def check_size(self, n_bytes: int) -> None:
        if n_bytes > self.allowed:
            raise SpeechPromptError(
                f"{self.path.name} would unpack to more than {self.allowed >> 20} MB, which no honest file of its size "
                "does: use another file."
            )

    def rows(self, start: int = 0, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """The rows from number `start` on, as name -> value; of all columns where none are named."""
        import pyarrow

        names = self.names if columns is None else list(columns)
        number = 0
        for index, group in enumerate(self._groups):
            if number + group.num_rows <= start:
                number += group.num_rows
                continue
            # No single value can be larger than the column it stands in.
            largest = max(
                (group.column(i).total_uncompressed_size for i in range(group.num_columns)), default=1
            )
            at_once = min(max(BATCH_BYTES // max(largest, 1), 1), ROWS_AT_ONCE)
            try:
                for batch in self.file.iter_batches(at_once, row_groups=[index], columns=names):
                    for row in batch.to_pylist():
                        if number >= start:
                            yield row
                        number += 1
            except (OSError, ValueError, pyarrow.ArrowException) as error:
                raise SpeechPromptError(
                    f"{self.path.name} is damaged after row {number}: copy it again."
                ) from error


def instead(path: Path) -> str:
    """What to do with a file that is none, by the ending of its name."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return ", or copy it again"
    if suffix in (".xlsx", ".xls", ".ods"):
        return ", or save the table as CSV"
    if suffix in (".zip", ".gz", ".tgz", ".tar"):
        return ", or unpack it"
    return ", or give the folder or the list of the recordings"


def read_parquet(path: Path, columns: Sequence[str], others: bool = False) -> Iterator[Row]:
    """All rows, of these columns, which must be there, or with the `others` of the file as well.

    SpeechPromptError as ParquetRows, and when the rows take more memory than a file of its size can hold.
    """
    file, n_bytes = ParquetRows(path, columns), 0
    for row in file.rows(columns=None if others else columns):
        n_bytes += ROW_BYTES + sum(_size(value) for value in row.values())
        file.check_size(n_bytes)
        yield row


def _size(value: Any) -> int:
    return (
        len(value)
        if isinstance(value, bytes | str)
        else VALUE_BYTES * len(value)
        if isinstance(value, list)
        else sum(map(_size, value.values()))
        if isinstance(value, dict)
        else 0
    )
