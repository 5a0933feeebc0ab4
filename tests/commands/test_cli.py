"""The command line: help that costs nothing, answers, one sentence and exit code 2 for what is wrong."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from speechprompt.backbone import Backbone
from speechprompt.cli import COMMANDS, main, summary
from speechprompt.commands import portable_command
from speechprompt.prompts.prompt import Prompt
from tests.tiny import make_backbone, make_waveform


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> str:
    return str(make_backbone(tmp_path_factory.mktemp("root")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("clips") / "clip.wav"
    soundfile.write(path, make_waveform(), 16_000)
    return str(path)


def flac(seconds: float, seed: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, make_waveform(seconds, seed), 16_000, format="FLAC")
    return file.getvalue()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom speechprompt.cli import build_parser\nbuild_parser().format_help()\n"
        "print(sorted({'torch', 'transformers', 'gradio', 'numpy', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_explains_itself(capsys) -> None:
    for command in ("classify", "units", "tasks", "tune", "calibrate", "evaluate"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert "--backbone" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    overview = "".join(capsys.readouterr().out.split())
    assert all("".join(f"{command} {summary(command)}".split()) in overview for command in COMMANDS)
    with pytest.raises(SystemExit, match="0"):
        main(["pretrain", "--help"])
    assert "next-unit loss" in capsys.readouterr().out
    for stage in ("encoder", "centroids", "transcripts", "unit-lm", "prosody-lm"):
        with pytest.raises(SystemExit, match="0"):
            main(["pretrain", stage, "--help"])
        assert "--seed" in capsys.readouterr().out
    for arguments, option in (
        (["convert", "unit-lm"], "--dict"),
        (["convert", "prompt"], "--unit-lm"),
        (["convert", "kmeans"], "km.bin"),
        (["convert", "prosody-lm"], "--edges"),
        (["fetch"], "--sha256"),
    ):
        with pytest.raises(SystemExit, match="0"):
            main([*arguments, "--help"])
        assert option in capsys.readouterr().out


def test_classify(backbone: str, clip: str, capsys) -> None:
    assert (
        main(["classify", clip, "--task", "fruit", "--task", "colours", "--backbone", backbone, "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert [a["task"] for a in found["answers"]] == ["fruit", "colours"]
    assert sum(found["answers"][0]["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert main(["classify", clip, "--task", "fruit", "--backbone", backbone]) == 0
    assert found["answers"][0]["label"] in capsys.readouterr().out


def test_a_bad_file_does_not_take_the_others_away(backbone: str, clip: str, tmp_path, capsys) -> None:
    bad = tmp_path / "text.wav"
    bad.write_text("this is text")
    assert main(["classify", str(bad), clip, "--task", "fruit", "--backbone", backbone]) == 2
    out = capsys.readouterr()
    assert "fruit:" in out.out and out.err.count("\n") == 1 and "cannot be read as sound" in out.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "CLIP", "--task", "dancing"], "its tasks are: colours, fruit"),
        (["classify", "missing.wav"], "does not exist"),
        (["classify", "CLIP", "--backbone", "nope"], "There is no backbone 'nope'"),
        (["units", "CLIP", "--device", "cpu", "--dtype", "float16"], "float16 is for GPUs"),
        (["units", "CLIP", "--device", "abacus"], "no device 'abacus' here"),
        (["tune", "--task", "x", "--data", "d.parquet", "--device", "abacus"], "no device 'abacus' here"),
        (["evaluate", "--task", "fruit", "--data", "missing.parquet"], "no file or folder 'missing.parquet'"),
        (["tune", "--task", "Bad Name", "--data", "missing.parquet"], "no file or folder 'missing.parquet'"),
        (["tune", "--task", "x", "--data", "d.parquet", "--prompt-length", "0"], "prompt_length must be"),
        (["tune", "--task", "x", "--data", "d.parquet", "--augment", "-1"], "augment must be"),
        (
            ["tune", "--task", "x", "--data", "d.parquet", "--tokens-per-batch", "9"],
            "tokens_per_batch must be",
        ),
    ],
)
def test_bad_input_exits_with_2_and_one_sentence(
    arguments, message, backbone: str, clip: str, capsys
) -> None:
    arguments = [clip if a == "CLIP" else a for a in arguments]
    if "--backbone" not in arguments:
        arguments += ["--backbone", backbone]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error


def test_classify_in_16_bits(backbone: str, clip: str, capsys) -> None:
    scores = []
    for dtype in ("float32", "bfloat16"):
        asked = ["classify", clip, "--task", "fruit", "--backbone", backbone, "--json"]
        assert main([*asked, "--device", "cpu", "--dtype", dtype]) == 0
        scores.append(json.loads(capsys.readouterr().out)["answers"][0]["scores"])
    assert scores[0] != scores[1] == pytest.approx(scores[0], abs=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tune_and_evaluate_on_the_gpu(backbone: str, tmp_path, capsys) -> None:
    rows = []
    for i in range(24):
        label, split = "long" if i % 2 else "short", "train" if i < 16 else "valid"
        rows.append({"split": split, "label": label, "audio": flac(1.6 if i % 2 else 0.4, i)})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sizes.parquet")
    data = ["--data", str(tmp_path / "sizes.parquet"), "--backbone", backbone, "--device", "cuda"]
    options = ["--augment", "1", "--steps", "60", "--prompt-length", "3", "--average", "--optimizer", "muon"]
    assert main(["tune", "--task", "gpu_sizes", *data, *options, "--run", str(tmp_path / "run")]) == 0
    assert main(["calibrate", "--task", "gpu_sizes", *data]) == 0
    for dtype in ("float32", "bfloat16", "float16"):
        assert main(["evaluate", "--task", "gpu_sizes", *data, "--dtype", dtype]) == 0
    shutil.rmtree(Backbone.load(backbone).prompt_folder("gpu_sizes"))


def test_units(backbone: str, clip: str, capsys) -> None:
    assert main(["units", clip, "--backbone", backbone, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["lengths"]) == 50 and len(found["ids"]) == len(found["starts"]) > 3
    assert main(["units", clip, "--backbone", backbone]) == 0
    assert capsys.readouterr().out.split() == [str(i) for i in found["ids"]]


def test_tune_evaluate_classify(backbone: str, clip: str, tmp_path, capsys) -> None:
    """A new task from recordings to an answer: long clips against short ones."""
    rows = []
    for i in range(36):
        long = i % 2 == 0
        split = "train" if i < 20 else "valid" if i < 28 else "test"
        audio = flac(1.6 if long else 0.4, i)
        rows.append({"id": str(i), "split": split, "size": "long" if long else "short", "audio": audio})
    extra = [row for row in rows if row["split"] == "train" and row["size"] == "short"]
    rows = [row for row in rows if row not in extra]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sizes.parquet")
    pq.write_table(pa.Table.from_pylist(extra), tmp_path / "short.parquet")
    data = ["--data", str(tmp_path / "sizes.parquet"), "--backbone", backbone]
    options = ["--label-column", "size", "--augment", "1", "--steps", "60", "--prompt-length", "3"]
    options += ["--seeds", "2"]
    options += ["--extra", str(tmp_path / "short.parquet")]
    assert main(["tune", "--task", "sizes", "--title", "Sizes", *data, *options]) == 0
    message = capsys.readouterr().out
    assert "seed 0: valid accuracy" in message and "seed 1: valid" in message and "2 seeds: " in message
    assert main(["evaluate", "--task", "sizes", *data, "--record", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["task"] == "sizes" and figures["n"] == 8 and figures["accuracy"] >= 0.75
    assert set(figures["per_class"]) == {"long", "short"}
    assert figures["interval95"][0] <= figures["accuracy"] <= figures["interval95"][1]
    from speechprompt.backbone import Backbone

    kept = Backbone.load(backbone)
    prompt = kept.prompt("sizes")
    assert prompt.metrics["split"] == "test" and prompt.metrics["accuracy"] == figures["accuracy"]
    card = (kept.prompt_folder("sizes") / "README.md").read_text()
    assert "speechprompt tune --task sizes" in card and "--data sizes.parquet" in card
    assert str(tmp_path) not in card
    assert "2 seeds: " in card and prompt.metrics["tuning"]["seeds"] == 2  # measuring on test keeps it
    picture = (kept.prompt_folder("sizes") / "confusion.svg").read_text()
    assert "](confusion.svg)" in card and picture.count(">long</text>") == 2
    assert sum(n for _, _, n in prompt.metrics["confusion"]) == 8
    assert "speechprompt" in card and f"of {figures['n']} utterances of the test split" in card
    assert Prompt.load(kept.prompt_folder("sizes")).label_rule == {"column": "size"}
    assert main(["tasks", "--backbone", backbone]) == 0
    assert "sizes" in capsys.readouterr().out


def test_a_bad_task_name_is_said_before_tuning(backbone: str, tmp_path, capsys, monkeypatch) -> None:
    rows = [{"split": s, "units": [i], "label": "ab"[i]} for s in ("train", "valid") for i in (0, 1)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    monkeypatch.setattr("speechprompt.tuning.recipe.tune", lambda *_: pytest.fail("tuned"))
    assert (
        main(["tune", "--task", "../up", "--data", str(tmp_path / "d.parquet"), "--backbone", backbone]) == 2
    )
    assert "task must be 1 to 64 of a-z" in capsys.readouterr().err


def write_pairs(path, **change) -> None:
    rows = [{"split": s, "units": [i], "label": "ab"[i]} for s in ("train", "valid") for i in (0, 1)]
    pq.write_table(pa.Table.from_pylist([row | change for row in rows]), path)


def test_data_cannot_make_us_open_a_path(backbone: str, clip: str, tmp_path, capsys) -> None:
    write_pairs(tmp_path / "d.parquet", audio=clip)
    assert main(["tune", "--task", "x", "--data", str(tmp_path / "d.parquet"), "--backbone", backbone]) == 2
    assert "must hold the bytes of sound files" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--run"])
def test_a_folder_that_cannot_be_written_is_said(backbone: str, tmp_path, capsys, option: str) -> None:
    write_pairs(tmp_path / "d.parquet")
    (tmp_path / "file").write_text("not a folder")
    data = ["--data", str(tmp_path / "d.parquet"), "--backbone", backbone, "--steps", "2"]
    assert main(["tune", "--task", "x", *data, option, str(tmp_path / "file" / "x")]) == 2
    error = capsys.readouterr().err
    assert "cannot be used" in error and "Traceback" not in error and str(tmp_path) not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["dance"], "classify"),
        (["pretrain"], "COMMAND"),
        (["pretrain", "everything"], "centroids"),
        (["convert", "--json"], "COMMAND"),
    ],
)
def test_a_command_that_is_none_gets_the_known_ones(arguments: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_a_recorded_command_names_no_folder() -> None:
    spoken = portable_command(
        ["tune", "--data=/home/me/words.parquet", "--out", "a/b", "--title", "My words"]
    )
    assert spoken == "python -m speechprompt tune --data=words.parquet --out b --title 'My words'"
    spoken = portable_command(
        ["tune", "--data", "/home/me/a.parquet", "/b.parquet", "--balance", "--run", "/tmp/r"]
    )
    assert spoken == "python -m speechprompt tune --data a.parquet b.parquet --balance --run r"
    address = ["tune", "--data", "hf://datasets/me/words/de@v1", "/home/me/more.parquet"]
    assert portable_command(address).endswith("tune --data hf://datasets/me/words/de@v1 more.parquet")


def test_labels_the_prompt_does_not_know_are_named(backbone: str, tmp_path, capsys) -> None:
    rows = [{"id": "1", "split": "test", "units": [1, 2, 3], "label": "purple"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    arguments = [
        "evaluate",
        "--task",
        "colours",
        "--data",
        str(tmp_path / "d.parquet"),
        "--backbone",
        backbone,
    ]
    assert main(arguments) == 2
    assert "label 'purple'" in capsys.readouterr().err


def test_several_files_are_tuned_measured_and_calibrated_as_one(backbone: str, tmp_path, capsys) -> None:
    """gender: rows without one are left out, and the files need not all have every split."""
    rng = random.Random(0)

    def rows(split: str, n: int) -> list[dict]:
        return [
            {
                "id": str(i),
                "split": split,
                "units": [rng.randrange(4, 20) for _ in range(5)] + [i % 3],
                "gender": "fmx"[i % 3],
            }
            for i in range(n)
        ]

    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    pq.write_table(pa.Table.from_pylist([*rows("train", 60), *rows("valid", 12)]), first)
    pq.write_table(pa.Table.from_pylist([*rows("train", 6), *rows("test", 9)]), second)
    both = ["--task", "gender", "--backbone", backbone, "--data", str(first), str(second)]
    options = ["--per-label", "15", "--balance", "--steps", "30", "--prompt-length", "3"]
    options += ["--optimizer", "muon", "--lr", "0.05", "--tokens-per-batch", "256"]
    assert main(["tune", *both, *options]) == 0
    assert "of 8;" in capsys.readouterr().out
    assert main(["evaluate", *both, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["split"], figures["n"], list(figures["per_class"])) == ("test", 6, ["female", "male"])
    assert main(["evaluate", *both[:-1], "--json"]) == 0  # one of them alone: no test split there
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["split"], figures["n"]) == ("valid", 8)
    assert main(["calibrate", *both, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["n"] == 8
    from speechprompt.backbone import Backbone

    card = (Backbone.load(backbone).prompt_folder("gender") / "README.md").read_text()
    assert (
        "--data first.parquet second.parquet --per-label 15 --balance" in card and str(tmp_path) not in card
    )


def test_a_channel_that_is_none_is_refused(backbone: str, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["tune", "--task", "x", "--data", "d.parquet", "--channel", "quiet"])
    assert "controlled" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
def test_a_path_that_is_no_utf_8_is_printed_all_the_same(backbone: str, clip: str, tmp_path) -> None:
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(odd)
    shutil.copyfile(clip, os.path.join(odd, b"\xff.wav"))
    sound, missing, table = (os.path.join(odd, name) for name in (b"\xff.wav", b"no.wav", b"\xff.csv"))
    commands = (
        ["classify", sound, "--task", "colours"],
        ["units", sound],
        ["label", odd, "--task", "colours", "--workers", "0", "--out", table],
        ["classify", missing],
    )
    # One process for all four, whose output is UTF-8 alone, as in most terminals.
    calls = [[os.fsdecode(x) for x in command] + ["--backbone", backbone] for command in commands]
    code = f"from speechprompt.cli import main\nprint([main(arguments) for arguments in {calls!r}])"
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.endswith("[0, 0, 0, 2]\n") and "colours" in done.stdout, done.stderr
    assert os.path.isfile(table) and "Traceback" not in done.stderr
