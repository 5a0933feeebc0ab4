"""A run's parts: each recording in one of them, whole or not there, and no other run's among them."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import make_backbone

from speechprompt import SpeechPromptError
from speechprompt.audio.clips import FolderClips, ParquetClips
from speechprompt.cli import main
from speechprompt.data.clips import ListClips, SeveralClips, clips_of
from speechprompt.labelling import parts as parts_module
from speechprompt.labelling.parts import Parts
from speechprompt.labelling.ray_cluster import Cluster, room
from speechprompt.labelling.table import write_parquet

COLUMNS = ["id", "seconds", "fruit.label", "fruit.score", "fruit.fits", "error"]


@pytest.fixture(params=[FolderClips, ParquetClips, ListClips, SeveralClips])
def source(request: pytest.FixtureRequest, tmp_path: Path):
    """Eleven recordings (only their ids and bytes are looked at) of each kind of source."""
    folder = tmp_path / "source"
    folder.mkdir()
    names = [f"{i:02}.wav" for i in range(11)]
    if request.param in (FolderClips, ListClips):
        for name in names:
            (folder / name).write_bytes(name.encode())
        if request.param is FolderClips:
            return clips_of(folder)
        (folder / "list.csv").write_text("id,path\n" + "".join(f"{n[:2]},{n}\n" for n in names))
        return clips_of(folder / "list.csv")
    rows = [{"id": None if i % 4 == 0 else name, "audio": name.encode()} for i, name in enumerate(names)]
    for stem, some in (("a", rows[:4]), ("b", rows[4:5]), ("c", rows[5:])):
        pq.write_table(pa.Table.from_pylist(some), folder / f"{stem}.parquet", row_group_size=2)
    if request.param is SeveralClips:
        return clips_of(folder)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "whole.parquet", row_group_size=3)
    return clips_of(tmp_path / "whole.parquet")


def test_parts_are_all_of_the_clips_in_their_order(source, request) -> None:
    assert len(source) == 11
    for size in (1, 3, 11, 20):
        cut = [pickle.loads(pickle.dumps(source.part(i, min(i + size, 11)))) for i in range(0, 11, size)]
        assert [len(part) for part in cut] == [min(size, 11 - i) for i in range(0, 11, size)]
        assert [name for part in cut for name in part.ids()] == list(source.ids())
        assert [clip for part in cut for clip in part.clips()] == list(source.clips())
        assert all(part.place.exists() for part in cut)
    inner = source.part(2, 9).part(3, 5)
    assert (
        list(inner.clips()) == list(source.clips())[5:7] and list(inner.clips(1)) == list(source.clips())[6:7]
    )


def table(part) -> bytes:
    file = io.BytesIO()
    write_parquet(file, COLUMNS, iter([[name, 1.0, "plum", 0.5, "yes", None] for name in part.ids()]))
    return file.getvalue()


def test_a_part_is_there_whole_or_not_at_all(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parts_module, "SMALLEST", 3)
    folder = tmp_path / "labels.csv.parts"
    with Parts(folder, {"format_version": 2}, source, 1) as parts:
        assert len(parts) == 4 and [parts.failed(i) for i in range(4)] == [None] * 4
        for number in (2, 0):
            parts.keep(number, table(parts.of(number)))
        with pytest.raises(SpeechPromptError, match="Another run is at work on this output"):
            Parts(folder, {"format_version": 2}, source, 1).__enter__()
    monkeypatch.setattr(parts_module, "SMALLEST", 64)  # as where there are other workers than before
    with Parts(folder, {"format_version": 2}, source, 9) as parts:
        assert [parts.failed(i) for i in range(4)] == [0, None, 0, None]
        (folder / "part-0000001.parquet").write_bytes(table(parts.of(1))[:-20])  # its end was lost
        assert parts.failed(1) is None
        for number in (1, 3):
            parts.keep(number, table(parts.of(number)))
        assert [row[0] for row in parts.cells()] == list(source.ids())
        parts.keep(3, table(parts.of(1)))
        with pytest.raises(SpeechPromptError, match="other data"):
            parts.failed(3)
        (folder / ".part-0000003.parquet.new").write_bytes(b"half")
        parts.become(tmp_path / "labels")
    assert [path.name for path in sorted((tmp_path / "labels").iterdir())] == [
        f"part-000000{i}.parquet" for i in range(4)
    ]


def test_the_parts_of_another_run_and_strange_files_are_left_alone(source, tmp_path) -> None:
    folder = tmp_path / "labels.csv.parts"
    with Parts(folder, {"format_version": 2}, source, 1):
        pass
    with pytest.raises(SpeechPromptError, match="holds a stopped run with other tasks"):
        Parts(folder, {"format_version": 2, "dtype": "other"}, source, 1).__enter__()
    run = folder / parts_module.RUN
    for size in (0, True, "3", None):
        run.write_text(json.dumps({"format_version": 2, "clips_of_a_part": size}))
        with pytest.raises(SpeechPromptError, match="holds a stopped run with other tasks"):
            Parts(folder, {"format_version": 2}, source, 1).__enter__()
    run.unlink()
    (folder / "thesis.txt").write_text("somebody's")
    with pytest.raises(SpeechPromptError, match="choose another output"):
        Parts(folder, {"format_version": 2}, source, 1).__enter__()
    assert (folder / "thesis.txt").read_text() == "somebody's"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ray", "auto", "--device", "cuda"], "--device is for one machine"),
        (["--ray-workers", "2"], "say which with --ray"),
        (["--gpus-per-worker", "0.5"], "say which with --ray"),
        (["--ray", "auto", "--ray-workers", "0"], "Ray's workers must be 1 or more"),
        (["--ray", "auto", "--gpus-per-worker", "1.5"], "a part of one such as 0.25, or whole ones"),
        (["--ray", "auto", "--gpus-per-worker", "nan"], "a part of one such as 0.25, or whole ones"),
        (["--ray", "auto", "--workers", "-1"], "workers must be 0 or more"),
        (["--ray", "auto", "--task", "smell"], "no task 'smell'"),
        (["--ray", "auto"], "pip install 'speechprompt\\[ray\\]'"),
    ],
)
def test_what_cannot_be_done_is_said_first(tmp_path, capsys, monkeypatch, options, message) -> None:
    import re

    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    backbone = make_backbone(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(b"RIFF")
    command = [
        "label",
        str(tmp_path / "clips"),
        "--backbone",
        str(backbone),
        "--out",
        str(tmp_path / "labels.csv"),
    ]
    assert main([*command, *options]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count("\n") == 1
    assert not list(tmp_path.glob("labels*"))


def test_workers_are_as_many_as_there_is_room_for() -> None:
    four = {"CPU": 32.0, "GPU": 4.0}
    assert room({"CPU": 8.0}, Cluster()) == (8, 0.0)
    assert room({"CPU": 8.0}, Cluster(workers=2)) == (2, 0.0)
    assert room(four, Cluster()) == (4, 1.0)
    assert room(four, Cluster(gpus=0.25)) == (16, 0.25)
    assert room(four, Cluster(gpus=0.0)) == (32, 0.0)
    for resources, cluster in (({"CPU": 8.0}, Cluster(gpus=0.5)), ({}, Cluster()), (four, Cluster(gpus=8.0))):
        with pytest.raises(SpeechPromptError, match="too few for a worker"):
            room(resources, cluster)
