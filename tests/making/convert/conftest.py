"""The converted unit LM and its checkpoint, for all tests of conversions."""

from __future__ import annotations

import pytest
import torch

from speechprompt.making.convert import unit_lm as unit_lms
from tests.making.convert.checkpoints import (
    CHECKPOINTS,
)


@pytest.fixture(scope="session")
def lm_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "gslm" / "unit_lm"
    unit_lms.convert(CHECKPOINTS / "base_lm.pt", CHECKPOINTS / "dict.txt", folder)
    return folder


@pytest.fixture
def base():
    return torch.load(CHECKPOINTS / "base_lm.pt", weights_only=True)


@pytest.fixture
def out(tmp_path):
    """A folder that is not there; a refused conversion must leave nothing beside it either."""
    return tmp_path / "made" / "out"
