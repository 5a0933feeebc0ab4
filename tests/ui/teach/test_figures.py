"""What Teach says of a new task."""

from __future__ import annotations

import re

import pytest

from speechprompt.teaching.teacher import SPOKEN_SPLIT, Taught
from speechprompt.ui.teach import figures
from tests import tiny


@pytest.mark.parametrize("split", ["clips held out", SPOKEN_SPLIT])
def test_the_share_is_large_only_where_people_spoke(split: str) -> None:
    metrics = {"split": split, "n": 60, "accuracy": 0.5, "interval95": [0.4, 0.6]}
    prompt = tiny.make_prompt("mine", ("red", "green"), metrics=metrics)
    html = figures.result(Taught(prompt, "How.", [[20, 10], [20, 10]], []), 3.0).replace("\u00a0", " ")
    large = re.search(r'<p class="sp-label[^>]*>([^<]*)</p>', html)
    assert large and large[1] == ("Ready to try" if split == SPOKEN_SPLIT else "50 %")
    assert "50 %" in html and "How." in html
