"""Every corpus is read as it is distributed, with the papers' splits and labels, and leads to a prompt."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile

from speechprompt.cli import main
from speechprompt.data import prepare as preparing
from speechprompt.data.corpora import catalogue, easycall, reprogramming, source, speech_commands, voxforge
from speechprompt.data.corpora.source import Clip
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import TASKS
from speechprompt.tasks.labels import labels_of
from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import Endpoints
from tests.data.corpora_trees import TREES, tone
from tests.tiny import make_backbone, make_word

ALL = list(catalogue.CORPORA)
QUICK = ("fluent_commands", "audio_snips", "asvspoof2019")  # an answer form each, in the fast suite


@pytest.fixture(autouse=True)
def few_of_voxforge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxforge, "SIZES", {"train": 4, "valid": 2, "test": 2})


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpora")
    for name, make in TREES.items():
        make(root / name)
    return root


def prepared(trees: Path, name: str, out: Path) -> list[dict]:
    assert main(["prepare", name, str(trees / name), str(out)]) == 0
    return pq.read_table(out).to_pylist()


def test_every_corpus_has_a_tree() -> None:
    assert list(TREES) == ALL


@pytest.mark.parametrize("name", ALL)
def test_every_corpus_is_read_as_distributed(name: str, trees: Path, tmp_path: Path, capsys) -> None:
    corpus = catalogue.find(name)
    rows = prepared(trees, name, tmp_path / "out.parquet")
    counts = Counter(row["split"] for row in rows)
    assert counts.keys() == {"train", "valid", "test"}
    assert len({row["id"] for row in rows}) == len(rows)
    for task in corpus.tasks:
        found = {label for row in rows for label in labels_of(row, TASKS[task].label_rule) or ()}
        assert found and found <= set(corpus.labels or found)
        assert found <= set(TASKS[task].form.labels or found)
    printed = capsys.readouterr().out
    assert corpus.splits in printed and "could not be read" not in printed
    again = [(clip.id, clip.split) for clip in corpus.clips(trees / name)]
    assert again == [(row["id"], row["split"]) for row in rows]  # always the same


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in ALL])
def test_every_corpus_becomes_a_prompt_that_the_app_answers_with(
    name: str, trees: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    rows = prepared(trees, name, out)
    backbone = make_backbone(tmp_path)
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, make_word(), 16_000)
    options = ["--steps", "4", "--prompt-length", "2", "--augment", "0", "--check-every", "2", "--seed", "1"]
    for task in catalogue.find(name).tasks:
        given = ["--task", task, "--data", str(out), "--backbone", str(backbone)]
        assert main(["tune", *given, *options]) == 0
        assert main(["evaluate", *given, "--split", "test", "--record"]) == 0
        prompt = Prompt.load(tmp_path / "prompts" / "tiny" / task)
        assert prompt.metrics["split"] == "test"
        assert prompt.metrics["n"] == sum(row["split"] == "test" for row in rows)
        assert TASKS[task].metric in prompt.metrics
        answer = Endpoints(Desk(backbone, None, "cpu")).classify(str(clip), task, "tiny")
        assert answer["task"] == task and isinstance(answer["label"], str)


@pytest.mark.parametrize("name", ALL)
def test_a_broken_tree_gets_its_sentence(name: str, trees: Path, tmp_path: Path, capsys) -> None:
    corpus = catalogue.find(name)
    out = tmp_path / "out.parquet"
    for need in corpus.needs:
        broken = tmp_path / "broken"
        shutil.copytree(trees / name, broken)
        for one in need.split("|"):
            for path in sorted(broken.glob(one)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert main(["prepare", name, str(broken), str(out)]) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        looked = need.replace("|", " or ")
        assert (
            f"broken does not hold {corpus.title} as it is distributed: looked for {looked} in it" in message
        )
        shutil.rmtree(broken)
    assert main(["prepare", name, str(tmp_path / "none"), str(out)]) == 2
    assert "There is no folder 'none'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_label_lists_are_the_public_ones() -> None:
    sizes = {name: len(catalogue.find(name).labels) for name in ALL}
    assert sizes["speech_commands_v1"] == 12 and sizes["grabo"] == 36 and sizes["lithuanian_commands"] == 15
    assert sizes["arabic_commands"] == 16 and sizes["dysarthric_commands"] == 13 and sizes["voxforge"] == 6
    assert sizes["accentdb"] == 9 and sizes["easycall"] == 6 and sizes["iemocap"] == 4
    # Of all 30 patients of EasyCall as many as the papers' code counts in each grade.
    assert Counter(easycall.GRADE_OF.values()) == {"1": 16, "2": 1, "3": 7, "4": 3, "5": 3}
    kept = [name for i, name in enumerate(reprogramming.MANDARIN, 1) if i not in reprogramming.LEFT_OUT]
    assert kept == list(TASKS["dysarthric_commands"].form.labels)


def test_splits_are_the_public_ones(trees: Path) -> None:
    # The first speakers of the lists that the archive of Speech Commands holds.
    for speakers, split in ((("026290a7", "060cd039"), "valid"), (("0c40e715", "0ea0e2f4"), "test")):
        assert {speech_commands.hashed_split(f"{speaker}_nohash_1.wav") for speaker in speakers} == {split}
    # scikit-learn's train_test_split(range(10), test_size=0.2, random_state=0) holds out 2 and 8.
    assert source.drawn(10, 0.2, 0).nonzero()[0].tolist() == [2, 8]
    lithuanian = Counter(
        clip.split
        for clip in reprogramming.read_lithuanian(trees / "lithuanian_commands")
        if "noise" in clip.id
    )
    assert lithuanian == {"test": 10, "valid": 10, "train": 4}
    grabo = Counter(clip.split for clip in catalogue.find("grabo").clips(trees / "grabo"))
    assert grabo == {"train": 6, "valid": 12, "test": 6}


def test_classes_of_speech_commands_are_drawn_alike() -> None:
    clips = [Clip(f"{i}", Path("x"), "train", {"label": "yes" if i < 900 else "no"}) for i in range(1000)]
    drawn = Counter(clip.columns["label"] for clip in speech_commands.balanced(clips, [], "train"))
    assert sum(drawn.values()) == 1000 and abs(drawn["yes"] - 500) < 60


def test_long_recordings_parts_and_other_kinds_are_stored_as_flac(tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", 0, 61)
    tone(tmp_path / "a.wav", 0, 2)
    clips = [
        Clip("whole", tmp_path / "a.wav", "train", {"label": "x"}),
        Clip("part", tmp_path / "a.wav", "train", {"label": "x"}, 0.5, 0.63),
        Clip("long", tmp_path / "long.wav", "train", {"label": "x"}),
        Clip("missing", tmp_path / "b.wav", "train", {"label": "x"}),
    ]
    done = preparing.prepare(clips, tmp_path / "o.parquet", progress=False)
    assert (done.rows["train"], done.cut, done.failed) == (
        3,
        1,
        1,
    ) and "'b.wav' does not exist" in done.reason
    whole, part, long = (row["audio"] for row in pq.read_table(tmp_path / "o.parquet").to_pylist())
    assert whole == (tmp_path / "a.wav").read_bytes() and part[:4] == long[:4] == b"fLaC"
    (tmp_path / "part.flac").write_bytes(part)
    (tmp_path / "long.flac").write_bytes(long)
    assert soundfile.info(tmp_path / "part.flac").duration == pytest.approx(0.63)
    assert soundfile.info(tmp_path / "long.flac").duration == pytest.approx(60)
    with pytest.raises(SpeechPromptError, match=r"no recording to write: none could be read; .*b\.wav"):
        preparing.prepare(clips[3:], tmp_path / "none.parquet", progress=False)
    assert not list(tmp_path.glob("none*"))


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("data/train_data.csv", "wavs/speakers", "../wavs/speakers", "leads out of the folder"),
        ("data/train_data.csv", "action", "deed", "has no column 'action'"),
        ("data/valid_data.csv", "Well", "\udcff", "cannot be read as text in UTF-8"),
        ("data/test_data.csv", "activate,", "fly,", None),
    ],
)
def test_lists_are_checked(file, old, new, sentence, trees: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(trees / "fluent_commands", tmp_path / "c")
    text = (tmp_path / "c" / file).read_text().replace(old, new)
    (tmp_path / "c" / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    code = main(["prepare", "fluent_commands", str(tmp_path / "c"), str(tmp_path / "o.parquet")])
    assert code == (2 if sentence else 0)
    assert (sentence or "") in capsys.readouterr().err


def prepare(name: str, root: Path) -> preparing.Prepared:
    return preparing.prepare(catalogue.find(name).clips(root), root.parent / "out.parquet", progress=False)


def rows_of(root: Path) -> list[dict[str, str]]:
    return pq.read_table(root.parent / "out.parquet", columns=["id", "split"]).to_pylist()


def test_a_list_that_was_cut_short_is_one_sentence(trees: Path, tmp_path: Path) -> None:
    for name, list_ in (
        ("fluent_commands", "data/test_data.csv"),
        ("esc50", "meta/esc50.csv"),
        ("voxceleb1", "vox1_meta.csv"),
        ("lithuanian_commands", "LT-SCR/noise_full.csv"),
    ):
        shutil.copytree(trees / name, tmp_path / name)
        text = (tmp_path / name / list_).read_text().rstrip("\n")
        (tmp_path / name / list_).write_text(text + "\n" + text.splitlines()[-1][:3])
        with pytest.raises(
            SpeechPromptError, match=f"{list_.rpartition('/')[2]} has the line .* lacks cells"
        ):
            prepare(name, tmp_path / name)


def test_lists_as_windows_writes_them_and_the_hidden_files_of_macos(trees: Path, tmp_path: Path) -> None:
    for name in ("fluent_commands", "lithuanian_commands", "asvspoof2019", "iemocap"):
        prepare(name, trees / name)
        expected = rows_of(trees / name)
        root = tmp_path / name / "tree"
        shutil.copytree(trees / name, root)
        for path in [path for path in root.rglob("*") if path.is_file()]:
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
            if path.suffix in (".csv", ".txt"):
                path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        assert not prepare(name, root).failed and rows_of(root) == expected


@pytest.mark.parametrize("name", ["grabo", "esc50", "easycall"])
def test_names_may_end_in_capitals_on_the_disk(name: str, trees: Path, tmp_path: Path) -> None:
    failed = prepare(name, trees / name).failed
    root = tmp_path / name
    shutil.copytree(trees / name, root)
    for path in list(root.rglob("*.wav")):
        path.rename(path.with_suffix(".WAV"))
    assert prepare(name, root).failed == failed
    found, expected = ([row["split"] for row in rows_of(where)] for where in (root, trees / name))
    assert found == expected


def test_the_whole_repository_of_lists_may_lie_beside_a_corpus(trees: Path, tmp_path: Path) -> None:
    """SpeechAdvReprogram has lists of three corpora by the same names."""
    prepare("lithuanian_commands", trees / "lithuanian_commands")
    expected = rows_of(trees / "lithuanian_commands")
    root = tmp_path / "lithuanian_commands"
    shutil.copytree(trees / "lithuanian_commands", root)
    (root / "SpeechAdvReprogram" / "Datasets").mkdir(parents=True)
    (root / "LT-SCR").rename(root / "SpeechAdvReprogram" / "Datasets" / "LT-SCR")
    others = root / "SpeechAdvReprogram" / "Datasets" / "AR-SCR"
    for path in (trees / "arabic_commands").rglob("*.csv"):
        others.mkdir(exist_ok=True)
        shutil.copy(path, others / path.name)
    assert list(others.glob("dev_full.csv"))
    prepare("lithuanian_commands", root)
    assert rows_of(root) == expected


def test_names_that_are_no_text_or_composed_otherwise_and_doubled_ids(tmp_path: Path) -> None:
    bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/J\xf6rg.wav"))
    tone(tmp_path / "a.wav", 0)
    (tmp_path / "a.wav").rename(bad)
    tone(tmp_path / "ac\u030ciu\u0304.wav", 1)  # as macOS writes ačiū
    clips = [
        Clip(bad.name, bad, "train", {"label": "x", "speaker": bad.stem}),
        Clip("a\u010di\u016b", tmp_path / "a\u010di\u016b.wav", "train", {"label": "x", "speaker": "y"}),
        Clip("a\u010di\u016b", tmp_path / "a\u010di\u016b.wav", "test", {"label": "x", "speaker": "y"}),
        Clip("long", tmp_path / ("n" * 300), "test", {"label": "x", "speaker": "y"}),
    ]
    done = preparing.prepare(clips, tmp_path / "o.parquet", progress=False)
    assert (done.rows["train"], done.rows["test"], done.failed) == (2, 0, 2)
    assert "names it twice" in done.reason
    assert [row["id"] for row in pq.read_table(tmp_path / "o.parquet").to_pylist()] == [
        "J\ufffdrg.wav",
        "a\u010di\u016b",
    ]


def test_what_a_corpus_holds_beside_its_own(trees: Path, tmp_path: Path) -> None:
    root = tmp_path / "easycall"
    shutil.copytree(trees / "easycall", root)
    before = len(list(catalogue.find("easycall").clips(root)))
    main_folder = root / "EasyCall" if (root / "EasyCall").is_dir() else root
    tone(main_folder / "transcripts" / "a.wav", 0)  # no control, though it has a c
    assert len(list(catalogue.find("easycall").clips(root))) == before
    root = tmp_path / "audio_snips"
    shutil.copytree(trees / "audio_snips", root)
    before = len(list(catalogue.find("audio_snips").clips(root)))
    for path in list(root.rglob("*.wav")):
        path.with_suffix(".mp3").write_bytes(b"as distributed")  # beside what somebody made of it
    assert len(list(catalogue.find("audio_snips").clips(root))) == before
    root = tmp_path / "speech_commands_v1"
    shutil.copytree(trees / "speech_commands_v1", root)
    next(root.glob("*/_background_noise_/*.wav")).write_bytes(b"RIFF")
    with pytest.raises(SpeechPromptError, match="of _background_noise_ cannot be decoded"):
        list(catalogue.find("speech_commands_v1").clips(root))


def test_what_is_asked_for_must_be_known(tmp_path: Path, capsys) -> None:
    for given, message in (
        (["timit", str(tmp_path), "o.parquet"], "There is no corpus 'timit'; there are speech_commands_v1"),
        (["grabo", str(tmp_path), "o.csv"], "must end in .parquet"),
        (["grabo"], "prepare takes CORPUS ROOT OUT.parquet"),
    ):
        assert main(["prepare", *given]) == 2
        assert message in capsys.readouterr().err
    assert main(["prepare", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}: {catalogue.find(name).title}" in shown for name in ALL)
