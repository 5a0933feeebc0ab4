"""The command fetch: right files become a backbone, from the network or from this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import torch
from huggingface_hub import constants

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making import sources
from speechprompt.models.hubert import HubertEncoder
from tests.making.convert.fairseq_hubert import save_fairseq
from tests.making.fetch.originals import (
    ROOT,
    Server,
    is_untouched,
    local,
    names,
    run,
)
from tests.tiny import make_waveform

ADDRESSES = SimpleNamespace(
    KM=sources.KM, LM=sources.LM, HUBERT=sources.HUBERT
)  # before any test changes them


def test_all_is_fetched_checked_converted_and_installed(
    online: Server, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    online.cuts = [100]
    run("gslm")
    folder = root / "backbones" / "gslm"
    assert names(folder) == ["README.md", "backbone.json", "encoder", "fetched.json", "unit_lm"]
    backbone = Backbone.load("gslm")
    assert backbone.missing is None and isinstance(backbone.encoder, HubertEncoder)
    assert len(backbone.encoder.units(make_waveform())) > 5
    assert backbone.lm.config.vocab_size == 104
    notes = json.loads((folder / "fetched.json").read_text())["files"]
    assert sorted(notes) == ["config.json", "hubert100_lm.tgz", "km.bin", "pytorch_model.bin"]
    km = hashlib.sha256(online.files["/km.bin"]).hexdigest()
    assert notes["km.bin"] == {"sha256": km, "from": online.url("/km.bin")}
    message = capsys.readouterr().out
    assert "hubert100_lm.tgz: sha256" in message and "not known before" in message
    assert "pytorch_model.bin: sha256" not in message and "km.bin: sha256" not in message
    online.asked.clear()
    run("gslm")  # nothing is left to do
    assert online.asked == [] and "already here" in capsys.readouterr().out


def test_the_second_backbone_takes_the_encoder_of_the_first(online: Server, root: Path) -> None:
    run("hubert-mini")
    assert not any("lm.tgz" in path for path, _ in online.asked)
    assert Backbone.load("hubert-mini").missing is None
    online.asked.clear()
    run("gslm")
    assert {path for path, _ in online.asked} == {"/hubert100_lm.tgz"}
    assert Backbone.load("gslm").missing is None
    notes = json.loads((root / "backbones" / "gslm" / "fetched.json").read_text())["files"]
    assert sorted(notes) == ["config.json", "hubert100_lm.tgz", "km.bin", "pytorch_model.bin"]


def test_local_files_need_no_network(originals: Path, root: Path) -> None:
    run("gslm", *local(originals))
    backbone = Backbone.load("gslm")
    (a,), (b,) = (b.features([make_waveform()]) for b in (backbone.encoder, backbone.encoder))
    assert backbone.missing is None and torch.equal(a, b)
    notes = json.loads((root / "backbones" / "gslm" / "fetched.json").read_text())["files"]
    assert {note["from"] for note in notes.values()} == {"a local file"}


def test_another_folder_becomes_a_whole_backbone(originals: Path, root: Path, tmp_path: Path) -> None:
    run("hubert-mini", "--out", tmp_path / "mine", *local(originals, lm=False))
    mine = Backbone.load(tmp_path / "mine")
    assert mine.missing is None and mine.lm.config.vocab_size == 104
    assert is_untouched(root / "backbones" / "gslm") and not Backbone.load("hubert-mini").has_encoder
    with pytest.raises(SpeechPromptError, match="holds the backbone hubert-mini, not gslm"):
        run("gslm", "--out", tmp_path / "mine")


def test_the_prosody_lm_of_the_papers_is_fetched_and_hears_recordings(
    online: Server, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("gslm")
    capsys.readouterr()
    online.asked.clear()
    there, folder = "/discrete_prosody_shift_1_1.pt", root / "backbones" / "pgslm"
    right = online.files[there]
    for content, message in (
        (b"<html>please log in</html>", "is no PyTorch checkpoint"),
        (right[:-5000], "is damaged or cut short"),
    ):
        online.files[there] = content
        with pytest.raises(SpeechPromptError, match=f"discrete_prosody_shift_1_1.pt {message}"):
            run("pgslm")
        assert not (folder / "unit_lm").exists() and not (folder / "fetched.json").read_text().count(
            "_1_1.pt"
        )
        assert (folder / "encoder").is_dir()  # it is the one of gslm
    online.files[there] = right
    run("pgslm")
    backbone = Backbone.load("pgslm")
    assert backbone.missing is None and backbone.needs_f0 and backbone.lm.config.vocab_size == 104
    (units,) = backbone.listen([make_waveform()])
    assert units.f0 is not None and len(units) > 5
    assert backbone.lm.prosody.f0_edges is not None and len(backbone.lm.prosody.f0_edges) == 31
    message = capsys.readouterr().out
    assert all(f"{source.name}: sha256" in message for source in (sources.PROSODY_LM, sources.F0_EDGES))
    notes = json.loads((folder / "fetched.json").read_text())["files"]
    assert {"km.bin", "discrete_prosody_shift_1_1.pt", "mean_norm_log_f0_seg_bin.th"} <= notes.keys()
    assert "hubert100_lm.tgz" not in notes
    for option in ("--edges", "--lm"):
        with pytest.raises(SpeechPromptError, match=f"{option} is a file of .*pgslm, not of hubert-mini"):
            run("hubert-mini", option, folder / "fetched.json")


def test_a_mirror_has_every_file_at_its_path_and_the_same_digests(
    online: Server, originals: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KM", "LM"):
        there = urlsplit(getattr(ADDRESSES, name).url).path
        monkeypatch.setattr(
            sources, name, replace(getattr(sources, name), url=f"https://nowhere.invalid{there}")
        )
        online.files[f"/models{there}"] = online.files[there]
    hubert = []
    for ours, source in zip(sources.HUBERT, ADDRESSES.HUBERT, strict=True):
        there = urlsplit(source.url).path
        hubert.append(replace(ours, url=f"https://nowhere.invalid{there}"))
        online.files[f"/models{there}"] = online.files[there]
    monkeypatch.setattr(sources, "HUBERT", tuple(hubert))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # a mirror is not the Hub
    km = f"/models{urlsplit(ADDRESSES.KM.url).path}"
    right, online.files[km] = online.files[km], b"another"
    with pytest.raises(SpeechPromptError, match=r"km.bin has the sha256 .* but"):
        run("gslm", "--mirror", online.url("/models/"))
    assert is_untouched(root / "backbones" / "gslm")
    online.files[km] = right
    online.cuts = [500]
    run("gslm", "--mirror", online.url("/models"))
    assert Backbone.load("gslm").missing is None
    notes = json.loads((root / "backbones" / "gslm" / "fetched.json").read_text())["files"]
    assert notes["km.bin"]["from"] == online.url(km)
    assert any(asked for _, asked in online.asked)  # gone on from where it broke


@pytest.mark.parametrize(
    "address",
    [
        "mirror.example.org",
        "file:///etc",
        "https://",
        "https://me:secret@host/x",
        "https://host/?a=1",
        "http://a b/",
    ],
)
def test_a_mirror_must_be_an_address(address: str, root: Path) -> None:
    with pytest.raises(SpeechPromptError, match="--mirror takes an address such as") as error:
        run("gslm", "--mirror", address)
    assert "secret" not in str(error.value)


def test_fairseqs_own_hubert_is_taken_and_its_digest_known(
    originals: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = torch.load(originals / "hubert" / "pytorch_model.bin", weights_only=True)
    settings = json.loads((originals / "hubert" / "config.json").read_text())
    path = save_fairseq(tmp_path / "hubert_base_ls960.pt", weights, settings)
    run("hubert-mini", "--hubert", path, "--km", originals / "km.bin")
    assert (
        "hubert_base_ls960.pt: sha256" in capsys.readouterr().out
    )  # not the published one, being a small one
    ours = Backbone.load("hubert-mini")
    run("gslm", *local(originals))
    clip = make_waveform()
    assert torch.equal(ours.encoder.features([clip])[0], Backbone.load("gslm").encoder.features([clip])[0])
    with pytest.raises(SpeechPromptError, match="hubert_base_ls960.pt has the sha256"):
        run(
            *["gslm", "--out", tmp_path / "o", "--hubert", path, "--km", originals / "km.bin"],
            "--sha256",
            f"hubert_base_ls960.pt={sources.FAIRSEQ_HUBERT.sha256}",
        )


def test_the_command_line_knows_it(originals: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "speechprompt", "fetch", "gslm", "--out", str(tmp_path / "out")]
    command += ["--km", str(originals / "km.bin")]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "cannot be downloaded because HF_HUB_OFFLINE is set" in done.stderr
