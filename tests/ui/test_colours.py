"""Colours of units, told apart by everybody, and shares as people read them."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest

from speechprompt.ui import colours
from speechprompt.ui import html as figures


def oklab(colour: str, vision: np.ndarray) -> np.ndarray:
    """ "#rrggbb" as somebody with that vision sees it -> OKLab (Ottosson 2020)."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    cones = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]])
    lab = np.array([[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return lab @ np.cbrt(cones @ np.clip(vision @ linear, 0, 1))


@pytest.mark.parametrize(
    "vision",
    [  # Machado, Oliveira and Fernandes 2009, severity 1
        pytest.param(np.eye(3), id="normal"),
        pytest.param([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]], id="protan"),
        pytest.param([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]], id="deutan"),
        pytest.param([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]], id="tritan"),
    ],
)
def test_colours_of_units_differ_for_every_kind_of_vision(vision: Any) -> None:
    seen = [oklab(colour, np.array(vision)) for colour in colours.PALETTE]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 0.07


def test_text_on_every_colour_is_legible() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    for colour in colours.PALETTE:
        assert colours.contrast(colours.text_colour(colour), colour) >= 4.5


def test_units_that_are_shown_together_are_told_apart() -> None:
    own = {unit: colours.unit_colour(unit) for unit in range(500)}
    assert colours.apart([3, 4], [5, 6, 5], [7, 8]) == {unit: own[unit] for unit in range(3, 9)}
    for seed in range(20):
        draw = np.random.default_rng(seed).integers
        named = list(dict.fromkeys(draw(0, 500, 6).tolist()))
        ribbon = [unit for unit in draw(0, 500, 200).tolist() if unit not in named] + named
        alone = list(dict.fromkeys(draw(0, 500, 12).tolist()))
        found = colours.apart([named[0], named[0] + 16, *named[1:]], ribbon, alone)
        told = {found[unit] for unit in (*named, named[0] + 16)}
        assert len(told) == len(set(named) | {named[0] + 16})
        inner = [unit for unit in ribbon if unit not in (*named, named[0] + 16)]
        assert not told & {found[unit] for unit in inner}
        pairs = [(a, b) for a, b in pairwise(inner) if a != b]
        assert sum(found[a] == found[b] for a, b in pairs) <= len(pairs) / 50
        assert len(set(colours.apart([], [], alone).values())) == len(alone)


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.004, "<1 %"), (0.5, "50 %"), (0.996, ">99 %"), (1.0, "100 %")]
)
def test_percent_never_rounds_to_certainty(share: float, text: str) -> None:
    assert figures.percent(share).replace("\u00a0", " ") == text
