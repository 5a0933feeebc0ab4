"""Backbones that listen."""

from __future__ import annotations

import pytest

from speechprompt.pipeline import SpeechPrompt
from tests import tiny


@pytest.fixture(scope="module")
def mini() -> SpeechPrompt:
    return SpeechPrompt.from_pretrained("mini", "cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SpeechPrompt:
    return SpeechPrompt.from_pretrained(tiny.make_backbone(tmp_path_factory.mktemp("tiny")), "cpu")
