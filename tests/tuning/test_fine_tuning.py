"""Fine-tuning of the whole LM: the loss falls, the LM on the disk stays, and a backbone of its own answers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors.torch import load_file

from speechprompt import SpeechPrompt
from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.models.prosody_lm import ProsodyLM
from speechprompt.storage.folders import sha256_file, write_json
from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import Endpoints
from tests.tiny import N_UNITS, make_backbone, make_encoder, make_prosody_lm, make_word

QUICK = ["--steps", "120", "--check-every", "40", "--tokens-per-batch", "512", "--augment", "0"]
SHORT = ["--steps", "24", "--check-every", "8"]  # whatever is learnt


def units_file(path: Path, melody: bool = False) -> Path:
    """Utterances that end in the unit which tells their label."""
    import pyarrow
    import pyarrow.parquet

    rng = random.Random(0)
    rows = []
    for split, n in (("train", 240), ("valid", 90), ("test", 60)):
        for i in range(n):
            units = [*(rng.randrange(3, N_UNITS) for _ in range(rng.randint(3, 6))), i % 3]
            rows.append({"id": f"{split}{i}", "split": split, "units": units, "label": "abc"[i % 3]})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def tune(backbone: Path, data: Path, *more: str | Path) -> int:
    given = ["--task", "ends", "--data", data, "--backbone", backbone, "--fine-tune", *QUICK, *more]
    return main(["tune", *map(str, given)])


def test_all_weights_learn_and_the_result_is_a_backbone_that_answers(tmp_path: Path, capsys) -> None:
    backbone, data = make_backbone(tmp_path), units_file(tmp_path / "ends.parquet")
    before = digests(tmp_path / "backbones") | digests(tmp_path / "prompts")
    out = tmp_path / "elsewhere" / "tiny-ends"
    assert tune(backbone, data, "--out", out, "--run", tmp_path / "run") == 0
    assert before == digests(tmp_path / "backbones") | digests(tmp_path / "prompts")

    log = [json.loads(line) for line in (tmp_path / "run" / "tune.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    made = out / "backbones" / "tiny-ends"
    old, new = (load_file(folder / "unit_lm" / "model.safetensors") for folder in (backbone, made))
    assert old.keys() == new.keys() and all(tensor.dtype == torch.float32 for tensor in new.values())
    assert all(not torch.equal(old[name].float(), new[name]) for name in new)
    assert not list(out.rglob("*.pt")) and digests(made / "encoder") == digests(backbone / "encoder")

    capsys.readouterr()
    given = ["--task", "ends", "--data", str(data), "--backbone", str(made), "--split", "valid", "--json"]
    assert main(["evaluate", *given]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    tuned = Backbone.load(made).prompts["ends"]
    assert figures["accuracy"] == tuned.metrics["accuracy"] > 0.6  # a third by chance
    assert tuned.length == 1 and not tuned.deep and tuned.backbone == "tiny-ends"
    assert main(["evaluate", *given, "--split", "test", "--record"]) == 0

    word = tmp_path / "word.wav"
    soundfile.write(word, make_word(), 16_000)
    answer = SpeechPrompt.from_pretrained(made, device="cpu")(str(word), "ends")
    assert answer.label in "abc"
    shown = Endpoints(Desk(made, None, "cpu")).classify(str(word), "ends", "tiny-ends")
    assert shown["label"] == answer.label
    assert tune(backbone, data, "--out", out) == 2  # never over a backbone
    assert "there is a backbone tiny-ends already" in capsys.readouterr().err
    with pytest.raises(Exception, match="was tuned for the unit LM"):
        Backbone.load(backbone).check_fits(tuned)


def test_a_stopped_fine_tuning_goes_on(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from speechprompt.tuning.loop import Tuning

    backbone, data = make_backbone(tmp_path), units_file(tmp_path / "ends.parquet")
    check = Tuning.check

    def stop(self: Tuning, means: dict[str, float]) -> dict[str, object]:
        if self.step == 16:
            raise OSError(28, "No space left on device")
        return check(self, means)

    run = ["--run", tmp_path / "run", *SHORT]
    monkeypatch.setattr(Tuning, "check", stop)
    assert tune(backbone, data, "--out", tmp_path / "one", *run) != 0
    assert not (tmp_path / "one").exists()
    monkeypatch.setattr(Tuning, "check", check)
    assert tune(backbone, data, "--out", tmp_path / "one", *run) == 0
    assert tune(backbone, data, "--out", tmp_path / "whole", *SHORT) == 0
    one, whole = (
        load_file(tmp_path / name / "backbones" / name / "unit_lm" / "model.safetensors")
        for name in ("one", "whole")
    )
    for name, tensor in whole.items():
        torch.testing.assert_close(one[name], tensor, atol=1e-5, rtol=1e-4)
    assert tune(backbone, data, "--out", tmp_path / "two", *run, "--lm-lr", "0.01") == 2
    assert "holds another tuning" in capsys.readouterr().err


def test_a_prosody_lm_is_fine_tuned_too(tmp_path: Path) -> None:
    from speechprompt.models import prosody_lm

    folder = make_backbone(tmp_path)
    prosody_lm.save(make_prosody_lm(), tmp_path / "backbones" / "sung" / "unit_lm")
    make_encoder().save(tmp_path / "backbones" / "sung" / "encoder")
    info = json.loads((folder / "backbone.json").read_text()) | {"name": "sung"}
    write_json(tmp_path / "backbones" / "sung" / "backbone.json", info)
    import pyarrow
    import pyarrow.parquet

    rows = []
    for split in ("train", "valid"):
        for i in range(12):
            soundfile.write(tmp_path / "w.flac", make_word(0.3 + 0.1 * (i % 2)), 16_000)
            rows.append({"id": f"{split}{i}", "split": split, "label": "ab"[i % 2]})
            rows[-1]["audio"] = (tmp_path / "w.flac").read_bytes()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "sung.parquet")
    out = tmp_path / "sung-ends"
    assert tune(tmp_path / "backbones" / "sung", tmp_path / "sung.parquet", "--out", out, "--steps", "4") == 0
    made = SpeechPrompt.from_pretrained(out / "backbones" / "sung-ends", device="cpu")
    assert isinstance(made.backbone.lm, ProsodyLM)
    assert made(make_word(), "ends").label in "ab"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--prompt-length", "5"], "--prompt-length belongs to prompts"),
        (["--input-prompts"], "--input-prompts belongs to prompts"),
        (["--optimizer", "muon"], "--optimizer belongs to prompts"),
        (["--average"], "--average belongs to prompts"),
        (["--seeds", "2"], "--seeds belongs to prompts"),
        (["--init-from", "x"], "--init-from belongs to prompts"),
        (["--lm-lr", "0"], "--lm-lr must be above 0"),
        (["--lm-lr", "nan"], "--lm-lr must be above 0"),
        (["--out", "Fine Tuned"], "becomes the backbone's name"),
        (["--out", "somewhere/mini"], "there is a backbone mini already"),
        (["--out", "somewhere/tiny"], "there is a backbone tiny already"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_learnt(
    given: list[str], sentence: str, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, data = make_backbone(tmp_path), units_file(tmp_path / "ends.parquet")
    monkeypatch.chdir(tmp_path)
    assert tune(backbone, data, *given) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "somewhere").exists() and not (tmp_path / "fine_tuned").exists()


def test_the_rate_of_the_lm_belongs_to_fine_tuning(tmp_path: Path, capsys) -> None:
    assert main(["tune", "--task", "t", "--data", "d.parquet", "--lm-lr", "0.1"]) == 2
    assert "--lm-lr belongs to --fine-tune" in capsys.readouterr().err
