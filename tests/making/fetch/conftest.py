"""A server of files like those that are fetched, and a place to put them."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import HubertConfig, HubertModel

from speechprompt.making import download as download_module
from speechprompt.making import sources
from speechprompt.models.backbone_config import FETCHED
from speechprompt.storage import bundled
from tests.making.fetch.originals import (
    CHECKPOINTS,
    PGSLM,
    ROOT,
    SIZES,
    Server,
    make_tgz,
)
from tests.tiny import make_waveform


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download_module, "PAUSE", 0.0)
    monkeypatch.setattr(download_module, "CHUNK", 1 << 12)
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hubert/ (small, random), km.bin with 100 of its frames, and hubert100_lm.tgz."""
    folder = tmp_path_factory.mktemp("originals")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HubertModel(HubertConfig(**SIZES)).eval()
    model.config.save_pretrained(folder / "hubert")
    torch.save(model.state_dict(), folder / "hubert" / "pytorch_model.bin")
    with torch.inference_mode():
        output = model(torch.from_numpy(make_waveform(4.0))[None], output_hidden_states=True)
    with (folder / "km.bin").open("wb") as file:  # numpy would add .npy to the name
        np.save(file, output.hidden_states[6][0, 10:110].numpy())
    checkpoint, dictionary = (CHECKPOINTS / name for name in ("base_lm.pt", "dict.txt"))
    members = [("lm/checkpoint_best.pt", checkpoint.read_bytes()), ("lm/dict.txt", dictionary.read_bytes())]
    make_tgz(folder / "hubert100_lm.tgz", [*members])
    shutil.copyfile(PGSLM / "discrete.pt", folder / "discrete_prosody_shift_1_1.pt")
    edges = load_file(PGSLM / "discrete.safetensors")["f0_edges"].double().numpy()
    torch.save({32: edges}, folder / "mean_norm_log_f0_seg_bin.th")  # as pGSLM's own script writes them
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the backbones to be fetched as they are committed, which counts as the repository."""
    for name in FETCHED:
        folder = tmp_path / "backbones" / name
        folder.mkdir(parents=True)
        for part in ("backbone.json", "README.md"):
            shutil.copyfile(ROOT / "backbones" / name / part, folder / part)
    mini = ROOT / "backbones" / "hubert-mini" / "unit_lm"
    shutil.copytree(mini, tmp_path / "backbones" / "hubert-mini" / "unit_lm")
    monkeypatch.setattr(bundled, "ROOTS", (tmp_path,))
    return tmp_path


@pytest.fixture
def online(server: Server, originals: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The addresses that fetch knows, served here with digests that are known where they are published."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def served(source: sources.Source, path: Path) -> sources.Source:
        content = path.read_bytes()
        server.files[f"/{source.name}"] = server.files[urlsplit(source.url).path] = content
        digest = hashlib.sha256(content).hexdigest() if source.sha256 else None
        return replace(source, url=server.url(f"/{source.name}"), sha256=digest)

    hubert = tuple(served(source, originals / "hubert" / source.name) for source in sources.HUBERT)
    monkeypatch.setattr(sources, "HUBERT", hubert)
    for name in ("KM", "LM", "PROSODY_LM", "F0_EDGES"):
        source = getattr(sources, name)
        monkeypatch.setattr(sources, name, served(source, originals / source.name))
    return server
