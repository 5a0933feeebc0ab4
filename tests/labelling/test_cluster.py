"""A run on Ray with two workers, one of which is killed on the way: the rows of `label`, none lost and none twice."""

from __future__ import annotations

import csv
import io
import os
import pickle
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from tiny import NO_SHA256, make_backbone, make_waveform

from speechprompt import SpeechPromptError
from speechprompt.backbone import Backbone
from speechprompt.data.clips import clips_of
from speechprompt.labelling import parts as parts_module
from speechprompt.labelling.cluster import Worker, label_on_ray
from speechprompt.labelling.label import Labelled, label
from speechprompt.labelling.labeller import Labeller
from speechprompt.labelling.parts import Parts
from speechprompt.labelling.ray_cluster import LOCAL, Cluster, connected

TWO = Cluster(LOCAL, workers=2)
N = 300


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny backbone, 300 clips, six of them no sound, and what `label` makes of them."""
    root = tmp_path_factory.mktemp("root")
    backbone = make_backbone(root)
    rows = []
    for i in range(N):
        file = io.BytesIO()
        soundfile.write(file, make_waveform(0.2 + 0.01 * (i % 7), i), 16_000, format="WAV")
        rows.append({"id": f"clip {i}", "audio": file.getvalue() if i % 50 else b"this is no sound"})
    pq.write_table(pa.Table.from_pylist(rows), root / "clips.parquet", row_group_size=40)
    label(Backbone.load(backbone), [], root / "clips.parquet", root / "one_machine.csv", 0, progress=False)
    return root


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "SMALLEST", 10)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_rows(found: Path, root: Path) -> None:
    rows, expected = read_csv(found), read_csv(root / "one_machine.csv")
    assert [row["id"] for row in rows] == [f"clip {i}" for i in range(N)]
    assert list(rows[0]) == list(expected[0])
    for row, other in zip(rows, expected, strict=True):
        for name, cell in row.items():
            if name.endswith(".score") and cell:  # batches of another length sum in another order
                assert float(cell) == pytest.approx(float(other[name]), abs=1e-5)
            else:
                assert cell == other[name]


def workers() -> list[int]:
    """Processes of Ray's workers that have their models, of the cluster that was started here."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if b"ray::MapWorker" in (process / "cmdline").read_bytes() and descends(int(process.name)):
                    found.append(int(process.name))
            except OSError:  # it has ended
                pass
    return found


def descends(pid: int) -> bool:
    """Whether a process comes from this one."""
    while pid > 1 and pid != os.getpid():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == os.getpid()


def run(root: Path, out: Path, tasks: Sequence[str] = ()) -> Labelled:
    return label_on_ray(root / "backbones" / "tiny", tasks, root / "clips.parquet", out, TWO, progress=False)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_neither_a_killed_worker_nor_a_stopped_run_loses_a_row(root, tmp_path, monkeypatch) -> None:
    """A worker is killed after the first part, the run stopped after the fifth; the next run makes the rest."""
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'ray[data]'")
    keep, killed, kept = Parts.keep, [], []

    def keep_and_kill(parts: Parts, number: int, table: bytes) -> None:
        keep(parts, number, table)
        kept.append(number)
        if not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)
        if len(kept) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "keep", keep_and_kill)
    with connected(LOCAL, 2):  # one cluster for both runs, as starting one takes seconds
        with pytest.raises(KeyboardInterrupt):
            run(root, tmp_path / "labels.csv")
        assert [path.name for path in tmp_path.iterdir()] == ["labels.csv.parts"]
        with pytest.raises(SpeechPromptError, match="holds a stopped run with other tasks"):
            run(root, tmp_path / "labels.csv", ["fruit"])
        killed.clear()  # one more
        done = run(root, tmp_path / "labels.csv")
    assert len(killed) == 1 and sorted(kept) == list(range(16)) and (done.rows, done.failed) == (N, 6)
    check_rows(tmp_path / "labels.csv", root)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_a_worker_answers_parts_and_says_what_its_node_lacks(root) -> None:
    labeller = Labeller(root / "backbones" / "tiny", ["fruit"], "cpu")
    clips = clips_of(root / "clips.parquet")

    def ask(part) -> dict:
        worker = Worker(pickle.loads(pickle.dumps(labeller)))
        (row,) = zip(*worker({"part": [3], "clips": [pickle.dumps(part)]}).values(), strict=True)
        return dict(zip(("part", "table", "rows", "failed", "seconds", "problem"), row, strict=True))

    found = ask(clips.part(48, 52))
    assert (found["part"], found["rows"], found["failed"], found["problem"]) == (3, 4, 1, "")
    expected = read_csv(root / "one_machine.csv")[48:52]
    rows = pq.read_table(io.BytesIO(found["table"])).to_pylist()
    assert [(row["id"], row["fruit.label"] or "") for row in rows] == [
        (r["id"], r["fruit.label"]) for r in expected
    ]
    assert found["seconds"] == pytest.approx(sum(row["seconds"] or 0 for row in rows))
    (root / "gone").mkdir()
    (root / "gone" / "a.wav").write_bytes(b"RIFF")
    gone = clips_of(root / "gone")
    (root / "gone" / "a.wav").unlink()
    (root / "gone").rmdir()
    assert re.fullmatch(r"On the node .*: gone is not there.*nodes share\.", ask(gone)["problem"])
    labeller.unit_lm_sha256 = NO_SHA256
    assert re.fullmatch(r"On the node .*: Backbone .* is another one here than.*\.", ask(clips)["problem"])
