"""The page of an ablation: a table of its results, text and a plot of accuracy against prompt length."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from speechprompt.evaluation.metrics import wilson_interval

RECIPE = "length-20"
# What is compared, and the rows that show it; the recipe stands in every group that it has a part in.
GROUPS = {
    "Prompt length": tuple(f"length-{n}" for n in (1, 2, 5, 10, 20, 40, 50)),
    "Where the prompt goes": (RECIPE, "input"),
    "Verbalizer": (RECIPE, "frequency", "random"),
    "What is kept": (RECIPE, "average"),
    "What moves the prompt": (RECIPE, "muon"),
    "What is trained": (RECIPE, "fine-tuning"),
    "Which LM": (RECIPE, "random-lm"),
}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 56, 178, 20, 48


@dataclass(frozen=True)
class Figures:
    """Mean and standard deviation of accuracy (0..1) over n seeds; seconds are medians."""

    mean: float
    deviation: float
    n: int
    parameters: int
    seconds: float
    processor_seconds: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}" + (f" ± {100 * self.deviation:.1f}" if self.n > 1 else "") + " %"


def figures_of(results: Sequence[Mapping[str, Any]]) -> Figures:
    found = [r["accuracy"] for r in results]
    return Figures(
        statistics.mean(found),
        statistics.stdev(found) if len(found) > 1 else 0.0,
        len(found),
        results[0]["parameters"],
        statistics.median(r["seconds"] for r in results),
        statistics.median(r["processor_seconds"] for r in results),
    )


def write(
    page: Path, settings: Mapping[str, Any], titles: Mapping[str, str], results: Sequence[dict[str, Any]]
) -> None:
    """Write the page, and beside it images/<its name>.svg; rows without results are left out."""
    by_row: dict[str, dict[int, dict[str, Any]]] = {}
    for result in results:
        by_row.setdefault(result["row"], {})[result["seed"]] = result
    results = [result for cells in by_row.values() for result in cells.values()]  # the later of two
    figures = {name: figures_of(list(cells.values())) for name, cells in by_row.items()}
    plot = page.parent / "images" / f"{page.stem}.svg"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(drawn(figures), encoding="utf-8")
    page.write_text(text(settings, titles, figures, results, plot.name), encoding="utf-8")


def text(
    settings: Mapping[str, Any],
    titles: Mapping[str, str],
    figures: Mapping[str, Figures],
    results: Sequence[Mapping[str, Any]],
    plot: str,
) -> str:
    """The page; all that it says of the run is read from the run."""
    steps, n = settings["steps"], settings["n_valid"]
    best = max(f.mean for f in figures.values())
    low, high = (f"{100 * end:.1f}" for end in wilson_interval(round(best * n), n))
    counts = sorted({f.n for f in figures.values()})
    several = counts[-1] > 1
    seeds = (
        "one seed"
        if not several
        else f"{'' if counts[0] == counts[-1] else f'{counts[0]} to '}{counts[-1]} seeds"
    )
    machines = " and ".join(sorted({f"{r['threads']} of {r['machine']}" for r in results}))
    setting = (
        f"`{settings['task']}` on the backbone `{settings['backbone']}`: {len(settings['labels'])} labels, "
        f"{settings['recordings']} recordings to learn from, each once as it is and {settings['copies']} times as "
        f"another room or microphone would have it; {n} to be answered. Every row is {steps} steps of the same tuning "
        "with one thing changed from the recipe: deep prompts of length 20, a learned verbalizer, the pretrained LM "
        "frozen. Real prompts get more steps, so compare these figures with each other, not with those of the "
        "bundled prompts."
    )
    reading = (
        f"Accuracy is that on the valid split with the weights of the last step, which it had no part in choosing: "
        f"{'mean ± standard deviation over ' if several else ''}{seeds}. A seed decides the first values of all "
        "that is trained, the order of the data and its noise, and the weights of the random LM. Points are those "
        f"above the recipe. On {n} recordings the highest accuracy here has a 95 % interval from {low} to {high} %: "
        "what differs by less need not differ. Seconds are the clock's and the processor's for one tuning, threads and "
        f"processor being {machines}, which may have done other work too. {precision(results)}"
    )
    usual = (("task", "keyword_spotting"), ("backbone", "mini"))
    options = "".join(f" --{name} {settings[name]}" for name, value in usual if settings[name] != value)
    if (settings["label_rule"] or {}).get("column", "label") != "label":
        options += f" --label-column {settings['label_rule']['column']}"
    command = (
        f"python -m studies.ablation --data {settings['data']}{options} --steps {steps} --seeds {counts[-1]}"
    )
    bars = "; bars are one standard deviation" if several else ""
    return "\n".join(
        [
            "# What each part of the recipe brings\n",
            fill(setting, 118, break_on_hyphens=False) + "\n",
            *table(titles, figures),
            "\n" + fill(reading, 118, break_on_hyphens=False) + "\n",
            f"![Accuracy against prompt length](images/{plot})\n",
            f"The axis of lengths is logarithmic{bars}. This makes the page, and goes on where it was stopped:\n",
            f"```\n{command}\n```\n",
        ]
    )


def precision(results: Sequence[Mapping[str, Any]]) -> str:
    """What the LM computed in, and how the row of full fine-tuning differs besides what its name says."""
    kinds = " or ".join(sorted({r["dtype"] for r in results if not r["lm_lr"]}))
    rates = " or ".join(f"{rate:g}" for rate in sorted({r["lm_lr"] for r in results if r["lm_lr"]}))
    frozen = f"A frozen LM computes in {kinds}." if kinds else ""
    tuned = (
        f"Full fine-tuning is in float32, as its small changes would be lost in bfloat16; the LM's weights have a peak "
        f"learning rate of {rates}, the separator and the verbalizer that of the recipe, and one input vector "
        "stands for the prompt."
    )
    return " ".join([frozen] * bool(kinds) + [tuned] * bool(rates))


def table(titles: Mapping[str, str], figures: Mapping[str, Figures]) -> list[str]:
    """A Markdown table, one line each."""
    lines = ["| | trainable parameters | accuracy | points | seconds |", "|---|---|---|---|---|"]
    base = figures.get(RECIPE)
    for group, names in GROUPS.items():
        there = [name for name in names if name in figures]
        if not set(there) - {RECIPE}:
            continue
        lines.append(f"| **{group}** | | | | |")
        for name in there:
            f = figures[name]
            off = f"{100 * (f.mean - base.mean):+.1f}" if base and name != RECIPE else ""
            lines.append(
                f"| {titles[name]} | {f.parameters:,} | {f} | {off} | {f.seconds:,.0f} / {f.processor_seconds:,.0f} |"
            )
    return lines


def drawn(figures: Mapping[str, Figures]) -> str:
    """Accuracy against prompt length as SVG, with the rows that have no length as lines across."""
    lengths = {int(name.split("-")[1]): f for name, f in figures.items() if name.startswith("length-")}
    across = {
        title: figures[name]
        for name, title in (("fine-tuning", "full fine-tuning"), ("random-lm", "random LM, length 20"))
        if name in figures
    }
    dots = {20: figures["input"]} if "input" in figures else {}
    shown = [*lengths.values(), *across.values(), *dots.values()]
    if not shown:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'
    low = math.floor(10 * min(f.mean - f.deviation for f in shown)) / 10
    low, high = max(0.0, min(low, 0.9)), 1.0

    def x(length: float) -> float:
        return LEFT + 16 + (WIDTH - LEFT - RIGHT - 32) * math.log(length) / math.log(50)

    def y(accuracy: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - accuracy) / (high - low)

    parts, right = [], WIDTH - RIGHT
    step = 0.1 if high - low > 0.45 else 0.05
    for i in range(round((high - low) / step) + 1):
        mark = low + i * step
        parts.append(f'<path class="grid" d="M{LEFT} {y(mark):.1f}H{right}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{100 * mark:.0f} %</text>'
        )
    for length in sorted(lengths):
        parts.append(f'<text x="{x(length):.1f}" y="{HEIGHT - 26}" text-anchor="middle">{length}</text>')
    parts.append(
        f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        "prompt length, vectors per layer</text>"
    )
    points = [(x(n), y(f.mean)) for n, f in sorted(lengths.items())]
    parts.append(
        f'<path class="deep" d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in points)}"/>' if points else ""
    )
    names: list[tuple[float, str, str]] = []
    for kind, cells in (("deep", lengths), ("input", dots)):
        for n, f in sorted(cells.items()):
            at, top, bottom = x(n), y(f.mean + f.deviation), y(f.mean - f.deviation)
            parts.append(f'<path class="{kind}" d="M{at:.1f} {top:.1f}V{bottom:.1f}"/>')
            parts.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{y(f.mean):.1f}" r="4.5"/>')
    if points:
        names.append((points[-1][1], "deep", "deep prompts"))
    for f in dots.values():
        parts.append(
            f'<text class="name" x="{x(20) - 10:.1f}" y="{y(f.mean) + 4:.1f}" text-anchor="end">input prompts</text>'
        )
    for title, f in across.items():
        parts.append(f'<path class="across" d="M{LEFT} {y(f.mean):.1f}H{right}"/>')
        names.append((y(f.mean), "name", title))
    for at, kind, title in apart(names):
        parts.append(f'<text class="{kind}" x="{right + 8}" y="{at + 4:.1f}">{title}</text>')
    summary = "; ".join(f"{n}: {f}" for n, f in sorted(lengths.items()))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">
<title>Accuracy against prompt length</title>
<desc>Accuracy by prompt length: {summary}</desc>
<style>
.paper {{ fill: #fff }} text {{ fill: #383b42; font: 14px system-ui, sans-serif }}
.grid {{ stroke: #e3e3dd }} .across {{ stroke: #6d7079; stroke-width: 1.5; stroke-dasharray: 6 4 }}
path.deep {{ fill: none; stroke: #2f4fd0; stroke-width: 2 }} circle.deep, text.deep {{ fill: #2f4fd0 }}
path.input {{ stroke: #b3480f; stroke-width: 2 }} circle.input {{ fill: #b3480f }}
@media (prefers-color-scheme: dark) {{
.paper {{ fill: #17191e }} text {{ fill: #cfcfc8 }} .grid {{ stroke: #383b42 }} .across {{ stroke: #9a9ca3 }}
path.deep {{ stroke: #8ea6ff }} circle.deep, text.deep {{ fill: #8ea6ff }}
path.input {{ stroke: #f0a070 }} circle.input {{ fill: #f0a070 }}
}}
</style>
<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>
{chr(10).join(part for part in parts if part)}
</svg>
"""


def apart(names: list[tuple[float, str, str]], room: float = 18) -> list[tuple[float, str, str]]:
    """The same names, moved down where they would cover each other."""
    placed: list[tuple[float, str, str]] = []
    for at, kind, title in sorted(names):
        placed.append((max(at, placed[-1][0] + room) if placed else at, kind, title))
    return placed
