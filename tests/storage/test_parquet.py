"""Parquet files are judged before they are read: what a small file may unpack to, names, damage."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.audio.clips import ParquetClips
from speechprompt.data import dataset
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain import prosody_transcripts, unit_lm
from speechprompt.making.pretrain.corpus import read_files
from speechprompt.storage import parquet
from speechprompt.storage.parquet import ParquetRows, read_parquet
from studies.coffee.splice import read_orders

ROOT = Path(__file__).parents[2]
NO_HONEST = (
    r"x.parquet would unpack to more than 256 MB, which no honest file of its size does: use another file\."
)


def write(path: Path, columns: dict[str, pa.Array], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, compression="zstd", **options)
    return path


def repeated(value: bytes, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int16()), pa.array([value], pa.binary()))


def bombs(folder: Path) -> list[Path]:
    """Small files, each large in another way: a repeated value, one large value, a long list, many empty rows."""
    made = []
    for number, columns in enumerate(
        (
            {"audio": repeated(bytes(1_000_000), 7_000), "split": repeated(b"train", 7_000)},
            {"audio": pa.array([bytes(300 << 20)], pa.binary()), "split": pa.array(["train"])},
            {"units": pa.array([[0] * 40_000_000], pa.list_(pa.int8())), "split": pa.array(["train"])},
            {"units": pa.nulls(3_000_000, pa.list_(pa.int8())), "split": pa.nulls(3_000_000, pa.string())},
        )
    ):
        (folder / str(number)).mkdir()
        made.append(write(folder / str(number) / "x.parquet", columns, store_schema=False))
    return made


def test_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    for path in bombs(tmp_path):
        assert path.stat().st_size < 40_000
        code = (
            "import sys; from pathlib import Path; from speechprompt.storage.parquet import read_parquet\n"
            "import pyarrow.parquet\n"
            "try:\n    for _ in read_parquet(Path(sys.argv[1]), [], others=True): pass\n"
            "except Exception as error: print(error)\n"
            "print(pyarrow.default_memory_pool().max_memory() >> 20)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        sentence, megabytes = done.stdout.splitlines()
        assert re.fullmatch(NO_HONEST, sentence)
        assert int(megabytes) < 400, path  # 6.9 GB, 0.3 GB and more, in one piece


def test_a_repeated_value_is_streamed_a_few_rows_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"audio": repeated(bytes(900_000), 2_000)}, store_schema=False)
    clips = ParquetClips(path)
    assert sum(len(audio) for _, audio in clips.clips(1_900)) == 100 * 900_000
    assert pa.total_allocated_bytes() < 300 << 20


def test_large_honest_files_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FREE_BYTES", 0)
    noise = [bytes((i * 7 + j * j) % 251 for j in range(500)) for i in range(200)]
    path = write(tmp_path / "x.parquet", {"audio": pa.array(noise), "split": pa.array(["train"] * 200)})
    assert [row["audio"] for row in read_parquet(path, ["audio", "split"])] == noise


@pytest.mark.parametrize("group_rows", [7, 1000])
def test_rows_from_any_number_on(tmp_path: Path, group_rows: int) -> None:
    path = write(
        tmp_path / "x.parquet",
        {"n": pa.array(range(100)), "m": pa.array(range(100))},
        row_group_size=group_rows,
    )
    for start in (0, 1, 7, 50, 99, 100):
        assert [row["n"] for row in ParquetRows(path).rows(start)] == list(range(start, 100))
    assert list(read_parquet(path, ["m"]))[:2] == [{"m": 0}, {"m": 1}]
    assert next(read_parquet(path, ["m"], others=True)) == {"n": 0, "m": 0}


def test_every_reader_says_what_is_wrong(tmp_path: Path) -> None:
    """One sentence each for no parquet file, a doubled column, a missing one, damage, and text that is no UTF-8."""
    text, path = pa.array(["train"]), tmp_path / "x.parquet"
    units = pa.array([[1, 2]])
    readers = [
        lambda: dataset.read_rows(path),
        lambda: ParquetClips(path),
        lambda: unit_lm.read_transcripts([path], "train"),
        lambda: prosody_transcripts.read(path, "train", 9),
        lambda: read_files([path], workers=1),
        lambda: read_orders(path, ["label"]),
    ]
    for reader in readers:
        path.write_bytes(b"no parquet")
        with pytest.raises(
            SpeechPromptError, match="x.parquet cannot be read as a parquet file: check the path"
        ):
            reader()
        pq.write_table(pa.Table.from_arrays([text, units, units], ["split", "units", "units"]), path)
        with pytest.raises(
            SpeechPromptError, match="x.parquet has more than one column 'units': leave one of them"
        ):
            reader()
        write(path, {"n": units})
        with pytest.raises(
            SpeechPromptError, match="x.parquet (has no column 'id|has no column 'split|needs the column)"
        ):
            reader()
    write(path, {"split": text, "units": units})
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(40) + content[44:])
    with pytest.raises(SpeechPromptError, match="x.parquet is damaged after row 0: copy it again"):
        dataset.read_rows(path)
    broken = pa.StringArray.from_buffers(
        1, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xff\xfe")
    )
    write(path, {"split": broken, "units": units})
    with pytest.raises(SpeechPromptError, match="x.parquet is damaged after row 0: copy it again"):
        dataset.read_rows(path)
