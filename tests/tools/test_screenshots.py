"""The pictures in the README show the prompts that ship."""

from __future__ import annotations

import json

from speechprompt.ui import preview
from tools.pictures import MADE_WITH, PICTURES, ROOT, TABS, shown_prompts

IMAGES = ROOT / "docs" / "images"


def test_the_pictures_are_those_of_the_bundled_prompts() -> None:
    made_with = json.loads((IMAGES / MADE_WITH).read_text(encoding="utf-8"))
    assert made_with == shown_prompts(), "make the pictures again: python -m tools.screenshots"
    for name in (*PICTURES, *(tab.lower() for tab in TABS)):
        path = preview.PICTURE if name == "shared" else IMAGES / f"{name}.png"
        assert path.is_file()
