"""Fetched files are those that were published: others are refused by digest and size."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making import sources
from tests.making.fetch.originals import (
    Server,
    is_untouched,
    local,
    run,
)


def test_a_digest_that_was_given_is_enforced(online: Server, originals: Path, root: Path) -> None:
    gslm = root / "backbones" / "gslm"
    for name in ("km.bin", "hubert100_lm.tgz"):
        with pytest.raises(SpeechPromptError, match=f"{name} has the sha256 .* but {'0' * 64} was expected"):
            run("gslm", "--sha256", f"{name}={'0' * 64}")
    assert (gslm / "encoder").is_dir() and not (gslm / "unit_lm").exists()  # km.bin was right the second time
    assert not (gslm / ".fetch" / "hubert100_lm.tgz").exists()
    mini = root / "backbones" / "hubert-mini"
    with pytest.raises(SpeechPromptError, match="pytorch_model.bin has the sha256 .* give the right file"):
        run("hubert-mini", *local(originals, lm=False), "--sha256", f"pytorch_model.bin={'0' * 64}")
    assert not (mini / "encoder").exists() and (originals / "hubert" / "pytorch_model.bin").is_file()
    for text in ("km.bin", "km.bin=12", f"other.bin={'0' * 64}"):
        with pytest.raises(SpeechPromptError, match="--sha256 takes NAME=64 HEX DIGITS"):
            run("gslm", "--sha256", text)


def test_the_digest_seen_first_is_enforced_later(online: Server, root: Path) -> None:
    run("gslm")
    gslm = root / "backbones" / "gslm"
    shutil.rmtree(gslm / "unit_lm")
    right = online.files["/hubert100_lm.tgz"]
    online.files["/hubert100_lm.tgz"] = right + b"\0"
    with pytest.raises(
        SpeechPromptError, match=r"hubert100_lm.tgz has the sha256 .* ask why the file has changed"
    ):
        run("gslm")
    assert not (gslm / "unit_lm").exists()
    online.files["/hubert100_lm.tgz"] = right
    run("gslm")
    assert Backbone.load("gslm").missing is None


def test_the_published_digest_of_km100_is_enforced(online: Server, root: Path) -> None:
    online.files["/km.bin"] += b"\0"
    with pytest.raises(SpeechPromptError, match=r"km.bin has the sha256 .* but"):
        run("gslm")
    assert is_untouched(root / "backbones" / "gslm")


def test_every_published_digest_is_one() -> None:
    published = (*sources.HUBERT, sources.KM, sources.FAIRSEQ_HUBERT)
    assert all(re.fullmatch("[0-9a-f]{64}", source.sha256 or "") for source in published)
    assert all(
        f"/{sources.REPOSITORY}/resolve/{sources.REVISION}/" in source.url for source in sources.HUBERT
    )


def test_the_published_digest_of_hubert_is_enforced(
    online: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = (sources.HUBERT[0], replace(sources.HUBERT[1], sha256="1" * 64))
    monkeypatch.setattr(sources, "HUBERT", changed)
    with pytest.raises(SpeechPromptError, match="pytorch_model.bin has the sha256 .* but 1111"):
        run("hubert-mini")
    assert not Backbone.load("hubert-mini").has_encoder
    assert not (root / "backbones" / "hubert-mini" / "fetched.json").exists()


def test_a_page_in_place_of_a_file_is_not_trusted(online: Server, root: Path) -> None:
    """As a hotel's network answers: nothing is installed or noted, and the next run gets the file anew."""
    right = {name: online.files[name] for name in ("/km.bin", "/hubert100_lm.tgz")}
    for name, content in right.items():
        online.files[name] = b"<html>please log in</html>"
        with pytest.raises(SpeechPromptError, match=name[1:]):
            run("gslm")
        notes = root / "backbones" / "gslm" / "fetched.json"
        assert not notes.exists() or name[1:] not in json.loads(notes.read_text())["files"]
        online.files[name] = content
    run("gslm")
    assert Backbone.load("gslm").missing is None


def test_files_of_another_size_are_refused(originals: Path, root: Path, tmp_path: Path) -> None:
    gslm = root / "backbones" / "gslm"
    np.save(tmp_path / "few.npy", np.zeros((50, 32), np.float32))
    with pytest.raises(SpeechPromptError, match="has 50 units, but the backbone has 100"):
        run("gslm", "--hubert", originals / "hubert", "--km", tmp_path / "few.npy")
    np.save(tmp_path / "wide.npy", np.zeros((100, 33), np.float32))
    with pytest.raises(SpeechPromptError, match=r"centroids have the shape \[100, 33\]"):
        run("gslm", "--hubert", originals / "hubert", "--km", tmp_path / "wide.npy")
    with pytest.raises(SpeechPromptError, match="--km: there is no file 'none.bin'"):
        run("gslm", "--hubert", originals / "hubert", "--km", tmp_path / "none.bin")
    with pytest.raises(SpeechPromptError, match="--hubert: there is no folder 'none'"):
        run("gslm", "--hubert", tmp_path / "none", "--km", originals / "km.bin")
    assert is_untouched(gslm)


def test_offline_says_which_address_could_not_be_reached(
    online: Server, originals: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online.shutdown()
    online.server_close()
    message = r"/{} could not be reached .* or give a local copy with {}"
    with pytest.raises(SpeechPromptError, match=message.format("km.bin", "--km")):
        run("gslm")
    with pytest.raises(SpeechPromptError, match=message.format("config.json", "--hubert")):
        run("gslm", "--km", originals / "km.bin")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SpeechPromptError, match=r"config.json .* HF_HUB_OFFLINE is set: .* with --hubert"):
        run("gslm", "--km", originals / "km.bin")
    assert is_untouched(root / "backbones" / "gslm")
