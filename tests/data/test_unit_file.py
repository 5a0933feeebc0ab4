"""A file of units, and a packed corpus, are there when they are whole: a writer that fails leaves what was there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechprompt.data import dataset
from speechprompt.data.corpora.source import Clip
from speechprompt.data.prepare import prepare
from speechprompt.data.unit_file import UnitWriter
from speechprompt.units import Units
from tests.tiny import NO_SHA256, make_waveform

ROW = {"id": "a", "split": "train"}
UNITS = Units(np.array([1, 2]), np.array([0, 3]), np.array([3, 1]))


def test_units_come_back_and_stay_where_another_writer_fails(tmp_path: Path) -> None:
    out = tmp_path / "units.parquet"
    with UnitWriter(out, "tiny", NO_SHA256, [], melody=False) as writer:
        writer.add([(ROW, UNITS)])
        assert not out.exists()
    with pytest.raises(KeyboardInterrupt), UnitWriter(out, "tiny", NO_SHA256, [], melody=False) as writer:
        writer.add([(ROW, UNITS), (ROW, UNITS)])
        raise KeyboardInterrupt
    (row,) = dataset.read_rows(out)
    assert row["units"].to_dict() == UNITS.to_dict() and row["encoder_sha256"] == NO_SHA256
    assert [path.name for path in tmp_path.iterdir()] == ["units.parquet"]


def test_a_corpus_stays_where_its_reader_fails(tmp_path: Path) -> None:
    wav, out = tmp_path / "a.wav", tmp_path / "corpus.parquet"
    soundfile.write(wav, make_waveform(0.3), 16_000)

    def clips(n: int) -> Iterator[Clip]:
        for i in range(n):
            yield Clip(str(i), wav, "train", {"label": "x"})
        if n > 1:
            raise KeyboardInterrupt

    assert prepare(clips(1), out, progress=False).rows == {"train": 1}
    with pytest.raises(KeyboardInterrupt):
        prepare(clips(3), out, progress=False)
    assert len(dataset.read_rows(out)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "corpus.parquet"]
