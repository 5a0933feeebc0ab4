"""Data as it lies about: written by spreadsheets and other systems, with other names for splits, and partly broken."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechprompt.cli import main
from speechprompt.data import dataset
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.task import Task
from tests.data.corpora_trees import tone
from tests.tiny import make_backbone

LABEL = {"column": "label"}
TASK = Task("mine", "Mine", "Other", "own", "own", expects="any sound")


def words(folder: Path, n: int = 2) -> list[tuple[str, str]]:
    """Names below the folder, with their labels."""
    names = [(f"Töne und mehr/{word} {i}.WAV", word) for word in ("ja", "nein") for i in range(n)]
    for i, (name, _) in enumerate(names):
        tone(folder / name, i)
    return names


def listed(path: Path, head: str, lines: list[str], **how: str) -> Path:
    text = how.get("end", "\n").join([head, *lines, ""])
    path.write_bytes(how.get("before", "").encode() + text.encode(how.get("encoding", "utf-8")))
    return path


@pytest.mark.parametrize(
    ("head", "line", "how"),
    [
        ("file_name,label", '"./{name}", {label} ', {"before": "\ufeff", "end": "\r\n"}),
        ("File_Name;Label;Split", "{name};{label};TRAIN", {}),
        ("path\tlabel\tsplit", "{backslashes}\t{label}\ttraining", {}),
    ],
)
def test_lists_of_spreadsheets_and_of_windows(head: str, line: str, how: dict, tmp_path: Path) -> None:
    names = words(tmp_path)
    lines = [line.format(name=n, label=w, backslashes=n.replace("/", "\\")) for n, w in names]
    found = dataset.read(listed(tmp_path / "words.csv", head, lines, **how), LABEL)
    assert [e.labels for e in found] == [(w,) for _, w in names] and {e.split for e in found} == {"train"}
    assert all(e.sound()[:4] == b"RIFF" for e in found)


def test_common_voice_names_files_alone_and_has_lists_beside_its_splits(tmp_path: Path) -> None:
    for i in range(4):
        tone(tmp_path / "clips" / f"{i}.wav", i)
    for split, numbers in (("train", (0, 1)), ("dev", (2,)), ("test", (3,)), ("validated", (0, 1, 2, 3))):
        listed(tmp_path / f"{split}.tsv", "client_id\tpath\tsentence", [f"x\t{i}.wav\tja" for i in numbers])
    listed(tmp_path / "reported.tsv", "sentence\treason", ["ja\tno"])
    found = dataset.read(tmp_path, {"column": "sentence"})
    assert Counter(e.split for e in found) == {"train": 2, "valid": 1, "test": 1}
    assert all(e.sound() for e in found)


def test_sentences_with_quotation_marks_between_tabs(tmp_path: Path) -> None:
    for i in range(3):
        tone(tmp_path / f"{i}.wav", i)
    sentences = ['"Ja, sagte er', '"Ja"', 'Ja "und" nein']
    path = listed(tmp_path / "dev.tsv", "path\tsentence", [f"{i}.wav\t{s}" for i, s in enumerate(sentences)])
    found = [e.labels for e in dataset.read(path, {"column": "sentence"})]
    assert found == [('"Ja, sagte er',), ("Ja",), ('Ja "und" nein',)]


def test_labels_are_the_same_however_their_letters_are_composed(tmp_path: Path) -> None:
    tone(tmp_path / "u\u0308ber" / "a.wav", 0)
    assert dataset.read(tmp_path, LABEL)[0].labels == ("\u00fcber",)


@pytest.mark.parametrize("array", [False, True])
def test_json_manifests(array: bool, tmp_path: Path) -> None:
    names = words(tmp_path)
    rows = [{"audio_filepath": name, "duration": 0.5, "command": word} for name, word in names]
    text = json.dumps(rows, indent=1) if array else "\n".join(map(json.dumps, rows))
    (tmp_path / "dev_manifest.json").write_text(text)
    for source in (tmp_path, tmp_path / "dev_manifest.json"):
        found = dataset.read(source, {"column": "command"})
        assert [(e.split, *e.labels) for e in found] == [("valid", word) for _, word in names]


def test_a_table_without_paths_beside_folders_of_labels_is_no_list(tmp_path: Path) -> None:
    for word in ("ja", "nein"):
        tone(tmp_path / word / "a.wav", 0)
    listed(tmp_path / "speakers.csv", "speaker,age", ["a,5"])
    assert [e.labels for e in dataset.read(tmp_path, LABEL)] == [("ja",), ("nein",)]
    alone = tmp_path / "alone"
    alone.mkdir()
    listed(alone / "speakers.csv", "speaker,age", ["a,5"])
    with pytest.raises(SpeechPromptError, match="speakers.csv has no column with the path"):
        dataset.read(alone, LABEL)


def test_kaldi_with_tabs(tmp_path: Path) -> None:
    tone(tmp_path / "a b.wav", 0)
    listed(tmp_path / "wav.scp", "u1\ta b.wav", [])
    listed(tmp_path / "utt2label", "u1   ja  ", [])
    (found,) = dataset.read(tmp_path, LABEL)
    assert found.labels == ("ja",) and found.sound()


def several(tmp_path: Path, name: str, splits: list[str] | None) -> Path:
    sound = tone(tmp_path / "a.wav", 0) or (tmp_path / "a.wav").read_bytes()
    n = 30 if splits is None else len(splits)
    columns = {"audio": [sound] * n, "label": [("ja", "nein")[i % 2] for i in range(n)]}
    pq.write_table(pa.table(columns | ({"split": splits} if splits else {})), tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("name", ["mine.parquet", "train-00000-of-00001.parquet", "mine.csv"])
def test_of_data_that_is_all_train_valid_and_test_are_drawn(name: str, tmp_path: Path) -> None:
    if name.endswith(".csv"):
        names = words(tmp_path, 15)
        path = listed(tmp_path / name, "file_name,label", [f"{n},{w}" for n, w in names])
    else:
        path = several(tmp_path, name, None)
    found = {split: read_task([path], TASK, split) for split in ("train", "validation", "test")}
    counts = {split: Counter(e.labels[0] for e in examples) for split, examples in found.items()}
    assert counts == {
        split: {"ja": n, "nein": n} for split, n in (("train", 13), ("validation", 1), ("test", 1))
    }
    assert len({e.id for examples in found.values() for e in examples}) == 30
    # Where another file names a split, and of extra data, all of it is train.
    assert {e.split for e in dataset.read(path, LABEL, "train")} == {"train"}
    assert len(dataset.read(path, LABEL, "train")) == 30
    other = several(tmp_path, "valid.parquet", None)
    assert Counter(e.split for e in read_task([path, other], TASK)) == {"train": 30, "valid": 30}


def test_files_that_are_numbers_are_of_the_split_that_their_folder_says(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "d" / split).mkdir(parents=True)
        several(tmp_path, f"d/{split}/0000.parquet", None)
    found = dataset.read(tmp_path / "d", LABEL)
    assert Counter(e.split for e in found) == {"train": 30, "test": 30}
    assert len({e.id for e in found}) == 60 and found[0].id == "test-0000/0"


def test_a_recording_that_is_named_twice_is_in_one_split(tmp_path: Path) -> None:
    names = words(tmp_path, 15)
    path = listed(tmp_path / "mine.csv", "file_name,label", [f"{n},{w}" for n, w in names * 2])
    splits: dict[str, set[str]] = {}
    for example in dataset.read(path, LABEL):
        splits.setdefault(example.id, set()).add(example.split)
    assert all(len(found) == 1 for found in splits.values()) and len(splits) == 30


@pytest.mark.long
def test_rows_that_a_data_set_has_no_label_for_are_left_out(tmp_path: Path) -> None:
    several(tmp_path, "a.parquet", ["train", "train", "valid", "valid", "test"])
    table = pq.read_table(tmp_path / "a.parquet")
    note = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}}}
    numbers = pa.array([0, 1, 0, 1, -1])  # a hidden test split
    table = table.set_column(table.column_names.index("label"), "label", numbers)
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(note)}), tmp_path / "a.parquet")
    assert len(dataset.read(tmp_path / "a.parquet", LABEL)) == 4
    given = ["--backbone", str(make_backbone(tmp_path)), "--data", str(tmp_path / "a.parquet")]
    assert main(["units", *given, "--out", str(tmp_path / "u.parquet")]) == 0
    assert len(dataset.read_rows(tmp_path / "u.parquet")) == 5
    assert [e.labels for e in dataset.read(tmp_path / "u.parquet", LABEL)] == [("no",), ("yes",)] * 2


def test_splits_by_their_usual_words(tmp_path: Path) -> None:
    path = several(tmp_path, "mine.parquet", ["Train", "DEV", "validation", "Testing", "fold1"])
    assert [e.split for e in dataset.read(path, LABEL)] == ["train", "valid", "valid", "test", "fold1"]
    assert len(dataset.read(path, LABEL, "validation")) == 2


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("l.csv", "file_name,label\n", "l.csv names no recordings"),
        ("l.csv", "", "l.csv names no recordings"),
        ("l.csv", "file_name,label,split\na.wav,ja,\n", "A row of l.csv has an empty split"),
        ("l.csv", "file_name,label\na.wav\n", r"an empty value in it, as of 'a.wav' \(id, split\)"),
        ("l.csv", "file_name,label\na.wav, \n", "an empty value in it, as of 'a.wav'"),
        (
            "l.jsonl",
            '{"path": "a.wav", "label": ["ja"]}\n',
            "'label' holds no text or numbers, as of 'a.wav'",
        ),
        ("l.json", "[1, 2]", "Line 1 of l.json is not a JSON object: write one object"),
        ("l.json", "[1, 2", "l.json cannot be read as JSON"),
        ("l.xlsx", "PK", "save the table as CSV"),
        ("l.zip", "PK", "unpack it"),
        ("l.wav", "RIFF", "give the folder or the list"),
        ("de/train-0.parquet", "PAR1", "parquet files in de: give that folder"),
        ("train/data-0.arrow", "ARROW1", "Arrow files: write parquet files"),
    ],
)
def test_what_is_wrong_says_what_to_do(file: str, text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "d" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(SpeechPromptError, match=sentence):
        dataset.read(path if path.parent.name == "d" else tmp_path / "d", LABEL)


def test_an_address_on_the_web_is_no_folder() -> None:
    with pytest.raises(SpeechPromptError, match="named hf://datasets/OWNER/NAME"):
        dataset.read(Path("https://huggingface.co/datasets/google/fleurs"), LABEL)


@pytest.mark.long
def test_units_leave_out_what_cannot_be_read_and_tune_says_so(tmp_path: Path, capsys) -> None:
    backbone, data = make_backbone(tmp_path), tmp_path / "data"
    names = words(data, 3)
    (data / "Töne und mehr" / "leer.wav").write_bytes(b"")
    lines = [f"{n},{w if i else w.upper()}" for i, (n, w) in enumerate(names)]
    extra = ["Töne und mehr/leer.wav,ja", "fehlt.wav,nein"]
    path = listed(data / "mine.csv", "file_name,label", lines + extra)
    given = ["--backbone", str(backbone), "--data", str(path)]
    assert main(["units", *given, "--out", str(tmp_path / "u.parquet"), "--augment", "1"]) == 0
    assert "2 recordings could not be read and have no row; the first: " in capsys.readouterr().out
    rows = dataset.read_rows(tmp_path / "u.parquet")
    plain = [row["id"] for row in rows if "#" not in row["id"]]
    copies = {row["id"].removesuffix("#1") for row in rows if row["id"].endswith("#1")}
    assert sorted(plain) == sorted(name for name, _ in names)
    assert copies == {row["id"] for row in rows if row["split"] == "train"} & set(plain)
    assert main(["tune", *given, "--task", "mine", "--steps", "1", "--augment", "0"]) == 2
    said = capsys.readouterr().err
    assert "'JA' and 'ja' differ in their capitals alone" in said
    assert "leaves such ones out" in said or "fehlt.wav' does not exist" in said


def test_more_labels_than_units_to_feed_them_back_as(tmp_path: Path, capsys) -> None:
    backbone = make_backbone(tmp_path)  # of 20 units
    tone(tmp_path / "a.wav", 0)
    lines = [f"a.wav,{split},a{i},b{i}" for split in ("train", "valid") for i in range(11)]
    path = listed(tmp_path / "mine.csv", "file_name,split,a,b", lines)
    given = ["--backbone", str(backbone), "--data", str(path), "--task", "mine", "--slots", "a,b"]
    assert main(["tune", *given, "--recipe", "v2"]) == 2
    assert (
        "22 labels cannot each be fed back as one of 20 units: tune with --feedback"
        in capsys.readouterr().err
    )
