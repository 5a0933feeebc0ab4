"""What was answered for what: counts of (true label, answer), and a picture of them as SVG.

The counts are those of a prompt's metrics: (index of the true label, index of the answer, how many), for
pairs that occurred alone. The labels may be anyone's, so every text is escaped and cut.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from unicodedata import east_asian_width

PICTURE_NAME = "confusion.svg"
MAX_SHOWN = 40  # labels that a picture, and so a prompt, has counts of
MAX_COUNT = 10**9
MAX_NAME = 22  # characters of a label beside the picture

Cells = Sequence[Sequence[int]]
Span = tuple[str, int, int]  # slot ("" without), index of its first label, index after its last

FONT = 11  # px, and what it needs: 7 px for a digit, about 6.6 for a letter
HEADING = 44  # px above a matrix
GAP = 10  # px at the edges
PAPER, INK, LINE = (255, 255, 255), (0, 0, 0), "#d0d7de"
RIGHT, WRONG = (9, 84, 165), (176, 67, 16)  # where a whole row is answered so
# What XML cannot hold, even escaped.
NO_XML = re.compile(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def count(truth: Iterable[Sequence[int]], answers: Iterable[Sequence[int]]) -> list[list[int]]:
    """Label indices of each answer, the k-th held against the k-th true one -> [true, answered, count], sorted."""
    pairs = Counter(p for t, a in zip(truth, answers, strict=True) for p in zip(t, a, strict=True))
    return [[true, answered, n] for (true, answered), n in sorted(pairs.items())]


def fault(cells: Cells, spans: Sequence[Span], n: object) -> str | None:
    """What is wrong with counts that come from anyone, or None: each span must count n utterances."""
    n_labels = spans[-1][2]
    if n_labels > MAX_SHOWN:
        return f"is for at most {MAX_SHOWN} labels"
    if len({(true, answered) for true, answered, _ in cells}) != len(cells):
        return "counts a pair of labels twice"
    inside = 0
    for _, first, end in spans:
        counts = [c for t, a, c in cells if first <= t < end and first <= a < end and 0 < c <= MAX_COUNT]
        inside += len(counts)
        if sum(counts) != n:
            return "must count every utterance once"
    return None if inside == len(cells) else "must count labels of the prompt"


def picture(labels: Sequence[str], spans: Sequence[Span], cells: Cells) -> str:
    """An SVG of one matrix for each span: rows are true labels, columns answers, shades shares of a row."""
    drawn: list[str] = []
    width, y = 0.0, float(GAP)
    for slot, first, end in spans:
        counts = [(t - first, a - first, n) for t, a, n in cells if first <= t < end]
        shapes, wide, high = matrix(slot, labels[first:end], counts)
        drawn.append(f'<g transform="translate({GAP} {y:g})">{shapes}</g>')
        width, y = max(width, wide + 2 * GAP), y + high + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {y:g}" width="{width:g}" height="{y:g}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="{FONT}" fill="{hexadecimal(INK)}">'
        "<title>What utterances of each label were answered as</title>"
        f'<rect width="100%" height="100%" fill="{hexadecimal(PAPER)}"/>{"".join(drawn)}</svg>\n'
    )


def matrix(slot: str, labels: Sequence[str], cells: Cells) -> tuple[str, float, float]:
    """Shapes of one matrix, its width and its height in px."""
    names = [text(label) for label in labels]
    most = max((n for _, _, n in cells), default=0)
    side = max(22, 7 * len(str(most)) + 6)
    margin = round(6.6 * max(6, *(columns(shown(label)) for label in labels))) + 8
    top, size = HEADING + margin, side * len(labels)
    totals: Counter[int] = Counter()
    for true, _, n in cells:
        totals[true] += n
    heading = f"{text(slot)}: rows" if slot else "Rows"
    shapes = [
        f'<text x="0" y="{FONT}" font-weight="600">{heading} are true labels, columns answers.</text>',
        f'<text x="0" y="{FONT + 16}">The shade is the share of the row.</text>',
    ]
    for true, answered, n in cells:
        share = n / totals[true]
        fill = blend(RIGHT if true == answered else WRONG, share)
        ink = INK if luminance(fill) > 0.179 else PAPER  # either way a contrast over 4.5
        x, y = margin + side * answered, top + side * true
        shapes.append(f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{hexadecimal(fill)}"/>')
        shapes.append(
            f'<text x="{x + side / 2:g}" y="{y + side / 2 + 4:g}" text-anchor="middle" '
            f'fill="{hexadecimal(ink)}">{n}</text>'
        )
    lines = "".join(
        f"M{margin} {top + side * i}h{size}M{margin + side * i} {top}v{size}" for i in range(len(labels) + 1)
    )
    shapes.append(f'<path d="{lines}" stroke="{LINE}" fill="none"/>')
    for i, name in enumerate(names):
        middle = side * i + side / 2 + 4
        shapes.append(f'<text x="{margin - 6}" y="{top + middle:g}" text-anchor="end">{name}</text>')
        shapes.append(f'<text transform="translate({margin + middle:g} {top - 6}) rotate(-90)">{name}</text>')
    return "".join(shapes), max(margin + size, 300), top + size


def shown(label: str) -> str:
    return label if len(label) <= MAX_NAME else label[: MAX_NAME - 1] + "…"


def columns(label: str) -> int:
    """How wide a label is, in letters; those of East Asia are two wide."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in label)


def text(label: str) -> str:
    """A label as XML holds it."""
    return escape(NO_XML.sub("\ufffd", shown(label)))


Colour = tuple[int, int, int]


def blend(full: Colour, share: float) -> Colour:
    """From nearly the paper's colour to the full one; what occurred at all is told from what did not."""
    part = 0.08 + 0.92 * share
    red, green, blue = (round(p + (f - p) * part) for p, f in zip(PAPER, full, strict=True))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Relative luminance (WCAG 2), 0..1."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def hexadecimal(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
