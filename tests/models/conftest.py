"""The prosody LM of the reference, and what was recorded of it."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file

from speechprompt.making.convert import prosody_lm as conversion
from speechprompt.models import prosody_lm
from tests.prosody_reference import FOLDER


@pytest.fixture(scope="module")
def io():
    return load_file(FOLDER / "discrete.safetensors")


@pytest.fixture(scope="module")
def original():
    return torch.load(FOLDER / "discrete.pt", weights_only=True)


@pytest.fixture(scope="module")
def edges(io, tmp_path_factory):
    path = tmp_path_factory.mktemp("edges") / "bins.th"
    torch.save(io["f0_edges"], path)
    return path


@pytest.fixture(scope="module")
def folder(edges, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pgslm") / "unit_lm"
    conversion.convert(FOLDER / "discrete.pt", folder, edges)
    return folder


@pytest.fixture
def lm(folder):
    return prosody_lm.load(folder)


@pytest.fixture(scope="module")
def continuous(original):
    """The recorded checkpoint with continuous streams in place of the discrete ones, seeded."""
    state = copy.deepcopy(original)
    generator = torch.Generator().manual_seed(1)
    d = state["model"]["decoder.embed_tokens.weight"].shape[1]
    for i in range(2):
        name = f"decoder.embed_other_list.{i}"
        state["model"][f"{name}.weight"] = torch.randn(d, 1, generator=generator) * 0.3
        state["model"][f"{name}.bias"] = torch.randn(d, generator=generator)
    state["model"]["decoder.project_out_dim.weight"] = torch.randn(106, d, generator=generator)
    state["cfg"]["task"] |= {"discrete_duration": False, "discrete_f0": False}
    return state
