"""Colours of units: each its own on every page, and set apart where two of one colour would be shown together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from speechprompt.prompts.confusion import luminance

# Sixteen colours that stay at least 0.08 apart in OKLab for normal vision and for protan, deutan and
# tritan vision alike; light and dark ones alternate, so that neighbouring ids differ in lightness too.
PALETTE = (
    "#5d48b1", "#f2d13e", "#b03a17", "#7fe3fd", "#4a76da", "#ed8a22", "#8a435b", "#bae19c",
    "#7b63a3", "#f2a1b9", "#d06217", "#59bbfb", "#a16a71", "#c28c7d", "#8e8aba", "#6897fe",
)  # fmt: skip
INK = "#000000"  # with white it reaches a contrast of 4.5 on any colour
STEP = 5  # from a colour that is taken to the next; it meets all of them

Colours = Mapping[int, str]  # of units in one answer; those that are not there have their own
OWN: Colours = {}


def unit_colour(unit: int, colours: Colours = OWN) -> str:
    """The colour of a unit in an answer; by itself the same on every page, for every backbone."""
    return colours.get(unit) or PALETTE[unit % len(PALETTE)]


def apart(named: Sequence[int], ribbon: Sequence[int], *lists: Iterable[int]) -> dict[int, str]:
    """Colours of all units that one answer shows: their own wherever that can be told from the others.

    named: units that are told one by one; they differ from each other and from all others as long as there are
    colours. ribbon: units in their order, of which no two that follow each other are alike. lists: of units one below
    the other, told apart within each list.
    """
    beside: dict[int, set[int]] = defaultdict(set)
    for one, other in pairwise(ribbon):
        beside[one].add(other)
        beside[other].add(one)
    found: dict[int, str] = {}
    for index, group in enumerate([list(named), list(ribbon), *map(list, lists)]):
        here = {found[unit] for unit in group if unit in found}
        for unit in group:
            if unit not in found:
                named_colours = {found[other] for other in named if other in found}
                near = {found[other] for other in beside[unit] if other in found}
                taken = here if index > 1 else set()
                own = [PALETTE[(unit + STEP * step) % len(PALETTE)] for step in range(len(PALETTE))]
                clashes = [4 * (one in named_colours) + 2 * (one in near) + (one in taken) for one in own]
                found[unit] = own[clashes.index(min(clashes))]
            here.add(found[unit])
    return found


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2) of two colours "#rrggbb", 1 to 21."""
    low, high = sorted(luminance((int(c[1:3], 16), int(c[3:5], 16), int(c[5:], 16))) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def text_colour(background: str) -> str:
    """The more legible of white and ink."""
    return max(("#ffffff", INK), key=lambda colour: contrast(colour, background))
