"""Units of a corpus kept for a backbone, so that its encoder runs once on each recording: written and read back.

A parquet file with the columns id, split, those of the data, units (ids), starts and lengths (frames) and, of a
backbone that needs it, f0 (Hz) and log_f0. Its schema says which encoder made them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import replaced_file
from speechprompt.units import Units

KEY = b"speechprompt.units"
ROWS_AT_ONCE = 2000


class UnitWriter:
    """A file of units, there when it is whole. `with UnitWriter(...) as writer: writer.add(rows)`.

    encoder: sha256 of the encoder. columns: names of the text columns beside id and split.
    """

    def __init__(self, out: Path, backbone: str, encoder: str, columns: Iterable[str], melody: bool) -> None:
        import pyarrow

        self.out, self.melody = out, melody
        text = [(name, pyarrow.string()) for name in ("id", "split", *columns)]
        whole = [(name, pyarrow.list_(pyarrow.int32())) for name in ("units", "starts", "lengths")]
        pitch = [(name, pyarrow.list_(pyarrow.float32())) for name in ("f0", "log_f0")] if melody else []
        note = json.dumps({"format_version": 1, "backbone": backbone, "encoder_sha256": encoder})
        self.schema = pyarrow.schema([*text, *whole, *pitch], {KEY: note.encode()})

    def __enter__(self) -> UnitWriter:
        import pyarrow.parquet

        with ExitStack() as exits:
            aside = exits.enter_context(replaced_file(self.out))
            made = pyarrow.parquet.ParquetWriter(aside, self.schema, compression="zstd")
            self.writer = exits.enter_context(made)
            self.exits = exits.pop_all()
        return self

    def add(self, rows: Iterable[tuple[Mapping[str, str], Units]]) -> None:
        """Write rows: their text columns and their units."""
        import pyarrow

        made = []
        for row, units in rows:
            cells: dict[str, Any] = {
                **row,
                "units": units.ids,
                "starts": units.starts,
                "lengths": units.lengths,
            }
            if self.melody:
                cells |= {"f0": units.f0, "log_f0": units.log_f0}
            made.append(cells)
        for at in range(0, len(made), ROWS_AT_ONCE):
            self.writer.write_table(pyarrow.Table.from_pylist(made[at : at + ROWS_AT_ONCE], self.schema))

    def __exit__(self, *error: Any) -> None:
        self.exits.__exit__(*error)


def encoder_of(metadata: Mapping[bytes, bytes]) -> str:
    """The sha256 of the encoder that made the units of a file, "" where it is none of ours."""
    if KEY not in metadata:
        return ""
    try:
        note = json.loads(metadata[KEY])
        found = note["encoder_sha256"]
        if note["format_version"] != 1 or not re.fullmatch("[0-9a-f]{64}", found):
            raise ValueError(found)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SpeechPromptError(
            "The file of units does not say which encoder made them: make it again with the command units."
        ) from error
    return str(found)


def units_in(row: Mapping[str, Any]) -> Units:
    """The units of a row; SpeechPromptError when its lists do not fit each other."""
    try:
        ids, starts, lengths = (
            np.asarray(row[name], dtype=np.int64) for name in ("units", "starts", "lengths")
        )
        fits = len(ids) and ids.shape == starts.shape == lengths.shape and ids.ndim == 1
        if not fits or (lengths < 1).any() or (starts < 0).any() or (np.diff(starts) < 1).any():
            raise ValueError(row.get("id"))
        f0, log_f0 = (
            None if row.get(name) is None else np.asarray(row[name], dtype=np.float32)
            for name in ("f0", "log_f0")
        )
        for pitch in (f0, log_f0):
            if pitch is not None and (pitch.shape != ids.shape or not np.isfinite(pitch).all()):
                raise ValueError(row.get("id"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SpeechPromptError(
            f"The units of {str(row.get('id'))[:80]!r} are damaged: make the file again with the command units."
        ) from error
    return Units(ids, starts, lengths, log_f0, f0)
