"""What people have is read, and checked as data of strangers: folders, lists, Kaldi, files of `datasets`, the Hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.data import dataset, hub
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation import evaluate as evaluation
from speechprompt.evaluation.evaluate import to_units
from speechprompt.labelling.label import label
from tests.data.corpora_trees import tone, write
from tests.tiny import make_backbone

LABEL = {"column": "label"}
ROOT = Path(__file__).parents[2]


def found(path: Path, rule: dict = LABEL) -> list[tuple[str, str, str]]:
    return [(e.id, e.split, "/".join(e.labels)) for e in dataset.read(path, rule)]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone(tmp_path_factory.mktemp("root"))


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    for word in ("no", "yes"):
        for i in range(10):
            tone(tmp_path / word / f"{i}.wav", 0)
    (tmp_path / "no" / "notes.txt").write_text("no sound")
    (tmp_path / "yes" / "._0.wav").write_text("of macOS")
    rows = found(tmp_path)
    assert Counter((split, word) for _, split, word in rows) == {
        (split, word): n for split, n in (("train", 8), ("valid", 1), ("test", 1)) for word in ("no", "yes")
    }
    before = {name: split for name, split, _ in rows}
    tone(tmp_path / "maybe" / "1.wav", 0)
    assert before.items() <= {name: split for name, split, _ in found(tmp_path)}.items()  # it stays the same
    assert dataset.read(tmp_path, LABEL)[0].sound()[:4] == b"RIFF"


def test_folders_for_splits_and_labels(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        tone(tmp_path / split / "yes" / "a.wav", 0)
    rows = [("test/yes/a.wav", "test", "yes"), ("train/yes/a.wav", "train", "yes")]
    assert found(tmp_path) == [*rows, ("validation/yes/a.wav", "valid", "yes")]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_beside_the_recordings(kind: str, tmp_path: Path) -> None:
    for i, split in enumerate(("train", "dev")):
        tone(tmp_path / split / "clips" / "a.wav", i)
        row = {"file_name": "clips/a.wav", "label": "yes", "text": "Ja, so"}
        lines = [json.dumps(row)] if kind == "jsonl" else ["file_name,label,text", 'clips/a.wav,yes,"Ja, so"']
        write(tmp_path / split / f"metadata.{kind}", lines)
    assert found(tmp_path) == [("dev/clips/a.wav", "valid", "yes"), ("train/clips/a.wav", "train", "yes")]
    assert [e.labels for e in dataset.read(tmp_path, {"text": "text"}, "valid")] == [tuple("ja so")]


def test_lists(tmp_path: Path) -> None:
    tone(tmp_path / "wav" / "a.wav", 0, 2.0)
    write(tmp_path / "train.tsv", ["path\tlabel", "wav/a.wav\tyes"])
    row = {"audio_filepath": str(tmp_path / "wav" / "a.wav"), "label": "no", "offset": 0.5, "duration": 0.7}
    write(tmp_path / "test.jsonl", [json.dumps(row)])
    write(tmp_path / "mine.csv", ["file_name,label,split", "wav/a.wav,yes,valid"])
    assert found(tmp_path / "train.tsv") == [("wav/a.wav", "train", "yes")]
    assert found(tmp_path / "mine.csv") == [("wav/a.wav", "valid", "yes")]
    (part,) = dataset.read(tmp_path / "test.jsonl", LABEL)
    assert part.split == "test" and len(evaluation.waveform_of(part)) == round(0.7 * 16_000)
    several = dataset.read([tmp_path / "train.tsv", tmp_path / "mine.csv"], LABEL)
    assert [(e.id, e.split) for e in several] == [("train/wav/a.wav", "train"), ("mine/wav/a.wav", "valid")]


def kaldi(folder: Path) -> None:
    for split in ("train", "dev"):
        tone(folder / split / "wav" / "r1.wav", 0, 3.0)
        write(folder / split / "wav.scp", [f"r1 {folder / split / 'wav' / 'r1.wav'}"])
        write(folder / split / "segments", ["u1 r1 0.0 1.0", "u2 r1 1.0 2.5"])
        write(folder / split / "text", ["u1 HELLO", "u2 GO ON"])
        write(folder / split / "utt2spk", ["u1 s1", "u2 s1"])
        write(folder / split / "spk2gender", ["s1 f"])


def test_a_kaldi_folder(tmp_path: Path) -> None:
    kaldi(tmp_path)
    assert found(tmp_path, {"column": "gender"})[:2] == [("u1", "valid", "f"), ("u2", "valid", "f")]
    examples = dataset.read(tmp_path, {"text": "text"}, "train")
    assert [e.labels for e in examples] == [tuple("hello"), tuple("go on")]
    assert len(evaluation.waveform_of(examples[1])) == 24_000


def test_parquet_files_of_datasets(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 0)
    sound = {"bytes": (tmp_path / "a.wav").read_bytes(), "path": "a.wav"}
    features = {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    note = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([("audio", kind), ("label", pa.int64())], note)
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        table = pa.Table.from_pylist([{"audio": sound, "label": 1}], schema)
        pq.write_table(table, tmp_path / "data" / f"{name}.parquet")
    rows = dataset.read(tmp_path, LABEL)
    assert [(e.split, e.labels) for e in rows] == [("train", ("yes",))] * 2 + [("valid", ("yes",))]
    assert evaluation.waveform_of(rows[2]).size == 6400


def test_lists_of_strangers_open_nothing_else(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    tone(tmp_path / "secret.wav", 0)
    tone(inner / "a.wav", 0)
    (inner / "link.wav").symlink_to(tmp_path / "secret.wav")
    for name in ("../secret.wav", str(tmp_path / "secret.wav"), "link.wav", "/dev/zero"):
        write(inner / "l.csv", ["path,label", f"{name},yes"])
        with pytest.raises(SpeechPromptError, match="lies outside its folder: put the list"):
            dataset.read(inner / "l.csv", LABEL)
    for text, said in (
        ("label\nyes", "has no column with the path of each recording"),
        ("path,label,offset\na.wav,yes,-1", "which must be seconds"),
        ("path,label,offset\na.wav,yes,nan", "which must be seconds"),
        ("path,label\nb.wav,yes", None),
    ):
        (inner / "l.csv").write_text(text)
        if said:
            with pytest.raises(SpeechPromptError, match=said):
                dataset.read(inner / "l.csv", LABEL)
    with pytest.raises(SpeechPromptError, match=r"b\.wav' does not exist"):
        dataset.read(inner / "l.csv", LABEL)[0].sound()
    for line, said in (
        ("[1]", "Line 1 of l.jsonl is not a JSON object"),
        ("[" * 100_000, "Line 1 of l.jsonl"),
    ):
        write(inner / "l.jsonl", [line])
        with pytest.raises(SpeechPromptError, match=said):
            dataset.read(inner / "l.jsonl", LABEL)
    (inner / "l.csv").write_bytes(b"path,label\n\xff\xfe,x")
    with pytest.raises(SpeechPromptError, match="cannot be read as text in UTF-8"):
        dataset.read(inner / "l.csv", LABEL)


def test_kaldi_runs_no_command(tmp_path: Path) -> None:
    write(tmp_path / "wav.scp", [f"r1 touch {tmp_path / 'made'} |"])
    write(tmp_path / "text", ["r1 HELLO"])
    with pytest.raises(
        SpeechPromptError, match=r"wav\.scp has a command for 'r1': this program runs no commands"
    ):
        dataset.read(tmp_path, {"text": "text"})
    assert not (tmp_path / "made").exists()
    write(tmp_path / "wav.scp", ["r1 a.wav"])
    write(tmp_path / "segments", ["u1 r1 2.0 1.0"])
    with pytest.raises(SpeechPromptError, match="segments has the line u1"):
        dataset.read(tmp_path, {"text": "text"})


def test_an_empty_folder_says_what_it_may_hold(tmp_path: Path) -> None:
    with pytest.raises(
        SpeechPromptError, match="holds no labelled recordings: put them into a folder for each label"
    ):
        dataset.read(tmp_path, LABEL)


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    tone(tmp_path / "train" / "yes" / "a.wav", 0)
    asked = []

    class Api:
        def list_repo_files(self, name: str, repo_type: str, revision: str | None) -> list[str]:
            return ["train/yes/a.wav"]

    def snapshot(name: str, **options: object) -> str:
        asked.append((name, options["revision"], options["repo_type"]))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert found(Path("hf://datasets/somebody/words@v1")) == [("train/yes/a.wav", "train", "yes")]
    assert asked == [("somebody/words", "v1", "dataset")]
    assert hub.fetch("hf://datasets/somebody/words/train") == tmp_path / "train"
    with pytest.raises(SpeechPromptError, match="somebody/words has no folder 'dev'"):
        hub.fetch("hf://datasets/somebody/words/dev")
    packed = ["README.md", "de/train-0.parquet", "en/test-0.parquet"]
    monkeypatch.setattr(Api, "list_repo_files", lambda *_, **__: packed)
    with pytest.raises(SpeechPromptError, match="holds the sets de, en: name one, as hf://.*/words/de"):
        hub.fetch("hf://datasets/somebody/words")
    assert hub.fetch("hf://datasets/somebody/words/en") == tmp_path / "en"
    packed[1:] = ["default/train/0000.parquet", "default/test/0000.parquet"]  # as the Hub converts sets
    assert hub.fetch("hf://datasets/somebody/words@refs/convert/parquet") == tmp_path / "default"
    packed[1:] = ["data/train-0.parquet", "data/old/x.parquet"]
    assert hub.fetch("hf://datasets/somebody/words") == tmp_path
    monkeypatch.setattr(Api, "list_repo_files", lambda *_, **__: ["a.wav"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: 1 / 0)
    with pytest.raises(SpeechPromptError, match="does not give the data set somebody/words"):
        hub.fetch("hf://datasets/somebody/words")
    with pytest.raises(SpeechPromptError, match="named hf://datasets/OWNER/NAME"):
        hub.fetch("hf://datasets/../../etc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SpeechPromptError, match="HF_HUB_OFFLINE is set"):
        hub.fetch("hf://datasets/somebody/words")


def test_lists_and_kaldi_are_labelled(backbone: Path, tmp_path: Path) -> None:
    kaldi(tmp_path)
    out = tmp_path / "out.jsonl"
    assert label(Backbone(backbone), ["fruit"], tmp_path / "train", out, 0, False).rows == 2
    assert [json.loads(line)["seconds"] for line in out.read_text().splitlines()] == [1.0, 1.5]
    write(tmp_path / "l.csv", ["path", "train/wav/r1.wav", "train/wav/none.wav"])
    done = label(Backbone(backbone), ["fruit"], tmp_path / "l.csv", out, 0, False)
    assert (done.rows, done.failed) == (2, 1)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[0]["seconds"] == 3.0 and "does not exist" in rows[1]["error"]


def big(path: Path, rows: int, clips: int = 50, seconds: float = 0.5) -> None:
    """A parquet file of many small clips of noise, which no compression makes smaller."""
    from speechprompt.data.prepare import flac

    rng = np.random.default_rng(0)
    made = [
        flac(rng.uniform(-0.5, 0.5, round(16_000 * seconds)).astype(np.float32), 16_000) for _ in range(clips)
    ]
    schema = pa.schema(
        [("id", pa.string()), ("split", pa.string()), ("label", pa.string()), ("audio", pa.binary())]
    )
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for at in range(0, rows, 500):
            group = range(at, min(rows, at + 500))
            table = [
                {"id": str(i), "split": "train", "label": str(i % 2), "audio": made[i % clips]} for i in group
            ]
            writer.write_table(pa.Table.from_pylist(table, schema))


def test_a_large_file_is_read_a_few_rows_at_a_time(backbone: Path, tmp_path: Path, monkeypatch) -> None:
    big(tmp_path / "big.parquet", 1100, clips=7, seconds=0.2)
    kept = dataset.read(tmp_path / "big.parquet", LABEL)
    monkeypatch.setattr(dataset, "EAGER_BYTES", 0)
    monkeypatch.setattr(evaluation, "WINDOW", 64)
    lazy = dataset.read(tmp_path / "big.parquet", LABEL)
    assert not any(isinstance(e.audio, bytes) for e in lazy) and [e.id for e in lazy] == [e.id for e in kept]
    for i in (0, 5, 700, 3, 1099):  # in any order
        assert lazy[i].sound() == kept[i].sound()
    model = Backbone(backbone)
    some = slice(0, 150)
    one, other = (to_units(model, examples[some], copies=1) for examples in (kept, lazy))
    assert [u.ids.tolist() for u in one] == [u.ids.tolist() for u in other]


@pytest.mark.long
def test_a_file_larger_than_memory_allows_is_read_in_bounded_memory(tmp_path: Path) -> None:
    big(tmp_path / "big.parquet", 12_000, seconds=1.0)
    size = (tmp_path / "big.parquet").stat().st_size
    assert size > dataset.EAGER_BYTES
    code = (
        "import resource, sys; from pathlib import Path; from speechprompt.data import dataset\n"
        "from speechprompt.evaluation.evaluate import windows\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10\n"
        "before = peak(); examples = dataset.read(Path(sys.argv[1]), {'column': 'label'})\n"
        "n = sum(len(sounds) for _, sounds in windows(examples)); print(n, peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.parquet")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    n, grown = map(int, done.stdout.split())
    assert n == 12_000 and grown < size


def test_units_are_kept_once_and_taken_by_every_command(backbone: Path, tmp_path: Path, capsys) -> None:
    for split, n in (("train", 4), ("valid", 2), ("test", 2)):
        for i, word in enumerate(("low", "high")):
            for take in range(n):
                tone(tmp_path / "data" / split / word / f"{take}.wav", 3 * i, 0.5)
    model, out = ["--backbone", str(backbone)], tmp_path / "units.parquet"
    assert main(["units", *model, "--data", str(tmp_path / "data"), "--out", str(out), "--augment", "2"]) == 0
    examples = dataset.read(out, LABEL)
    assert Counter(e.split for e in examples) == {"train": 24, "valid": 4, "test": 4}
    plain = {e.id: e for e in examples}
    heard = dataset.read(tmp_path / "data", LABEL)
    for example, units in zip(heard, to_units(Backbone(backbone), heard), strict=True):
        assert (
            plain[example.id].units.to_dict() == units.to_dict()
            and plain[example.id].labels == example.labels
        )
    assert {name for name in plain if "#" in name} == {
        f"{e.id}#{k}" for e in heard if e.split == "train" for k in (1, 2)
    }

    task = ["--task", "pitches", "--data", str(out), *model]
    options = ["--steps", "4", "--prompt-length", "2", "--check-every", "2"]
    assert main(["tune", *task, *options]) == 0
    assert main(["evaluate", *task, "--split", "test"]) == 0
    assert main(["calibrate", *task]) == 0
    capsys.readouterr()
    other = make_backbone(tmp_path, "other")
    weights = other / "encoder" / "model.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    save_file({name: t + 1 if name == "centroids" else t for name, t in tensors.items()}, weights)
    assert main(["tune", "--task", "x", "--data", str(out), "--backbone", str(other), *options]) == 2
    assert "holds units of another encoder than the backbone other has" in capsys.readouterr().err
    for given, said in (
        ([*model], "units takes recordings, or --data and --out"),
        ([*model, "--data", "d"], "--data needs --out UNITS.parquet"),
        ([*model, "--data", "d", "--out", str(out), "--augment", "101"], "--augment must be 0 to 100"),
    ):
        assert main(["units", *given]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"starts": [0]}, {"lengths": [0, 0]}, {"units": []}, {"starts": [3, 1]}, {"f0": [float("nan")] * 2}],
)
def test_damaged_units_are_refused(change: dict, tmp_path: Path) -> None:
    row = {
        "id": "a",
        "split": "train",
        "label": "x",
        "units": [1, 2],
        "starts": [0, 3],
        "lengths": [3, 1],
    } | change
    note = {
        "speechprompt.units": json.dumps({"format_version": 1, "backbone": "b", "encoder_sha256": "0" * 64})
    }
    table = pa.Table.from_pylist([row])
    pq.write_table(table.replace_schema_metadata(note), tmp_path / "u.parquet")
    with pytest.raises(SpeechPromptError, match="The units of 'a' are damaged"):
        dataset.read(tmp_path / "u.parquet", LABEL)
    pq.write_table(table.replace_schema_metadata({"speechprompt.units": "{}"}), tmp_path / "u.parquet")
    with pytest.raises(SpeechPromptError, match="does not say which encoder made them"):
        dataset.read(tmp_path / "u.parquet", LABEL)
