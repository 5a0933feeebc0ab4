"""The recording in units: the waveform, its F0 where the unit LM takes it, and the units on one time axis.

The pictures are made here; timeline.js beside this file zooms, merges repeats, follows the player and plays
single units, all of it in the browser.
"""

from __future__ import annotations

import math

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.ui.colours import OWN, Colours, text_colour, unit_colour
from speechprompt.units import FRAME_SECONDS, Units

WAVEFORM_BINS = 400
PIXELS_PER_SECOND = 200  # a timeline narrower than this scrolls
PLAYER = "sp-audio"  # element that holds the recording's player
ZOOMS = (("out", "−", "Zoom out (minus key)"), ("in", "+", "Zoom in (plus key)"), ("all", "Fit", "Show all"))


def timeline(units: Units, waveform: np.ndarray | None, player: str = PLAYER, colours: Colours = OWN) -> str:
    """Waveform (float32 [T], 16 kHz) above its units: colour = unit, width = duration.

    Units that were given without a recording have no durations: they stand side by side. player: id of the
    element whose audio player has the recording; its cursor is followed, and units are played from its file.
    """
    samples = 0 if waveform is None else len(waveform)
    seconds = max(samples / SAMPLE_RATE, units.n_frames * FRAME_SECONDS, FRAME_SECONDS)
    n = len(units)
    summary = f"{n} unit{'s' * (n != 1)} without repeats"
    if waveform is not None:
        summary = f"{seconds_text(units, seconds)} · {units.n_frames} frames of 20 ms · {summary}"
    pitch = None if waveform is None else units.f0
    keys = "arrow keys move" + ("" if waveform is None else ", Enter plays")
    hint = "Point at a unit, or focus the ribbon and use the arrow keys."
    if waveform is not None:
        hint += " Click or Enter plays it."
    data = "" if waveform is None else f' data-player="{player}" data-seconds="{seconds:.4f}"'
    ids = " ".join(str(unit) for unit in units.ids.tolist())
    return (
        f'<section class="sp-card sp-timeline" aria-label="The recording in units"{data}>'
        f'<div class="sp-title"><h2 class="sp-eyebrow">The recording in units</h2><p>{summary}</p></div>'
        f"{toolbar(units)}"
        f'<div class="sp-scroll"><div class="sp-track" style="min-width:{PIXELS_PER_SECOND * seconds:.0f}px">'
        f"{'' if waveform is None else waveform_svg(waveform) + veils(units, seconds)}"
        f"{'' if pitch is None else melody_svg(pitch, units, seconds)}"
        f'<div class="sp-ribbon" role="listbox" tabindex="0" aria-label="Units in order; {keys}">'
        f"{runs(units, waveform is not None, seconds, pitch, colours)}</div>"
        f"{'' if waveform is None else time_axis(seconds)}"
        '<i class="sp-cursor" hidden></i></div></div>'
        f'<p class="sp-readout" aria-hidden="true">{hint}</p>'
        "<details><summary>Units as text</summary>"
        f'<div class="sp-text"><code id="sp-ids">{ids}</code>'
        '<button type="button" class="sp-copy" data-copy="sp-ids">Copy</button></div></details></section>'
    )


def skipped_pauses(units: Units, seconds: float) -> list[tuple[float, float]]:
    """Start and end (s) of the long pauses around the speech that were not listened to (pauses.py)."""
    first, end = (frame * FRAME_SECONDS for frame in units.span)
    # A recording may end within a frame, which is no pause.
    return [(a, b) for a, b in ((0.0, first), (end, seconds)) if b - a >= FRAME_SECONDS and len(units)]


def seconds_text(units: Units, seconds: float) -> str:
    if not skipped_pauses(units, seconds):
        return f"{seconds:.2f} s"
    first, end = (frame * FRAME_SECONDS for frame in units.span)
    return f"{first:.2f} to {end:.2f} s of {seconds:.2f} s, the rest is pauses"


def veils(units: Units, seconds: float) -> str:
    """Veils over what was not listened to."""
    return "".join(
        f'<i class="sp-pause" title="A pause, not listened to" '
        f'style="left:{100 * a / seconds:.3f}%;width:{100 * (b - a) / seconds:.3f}%"></i>'
        for a, b in skipped_pauses(units, seconds)
    )


def toolbar(units: Units) -> str:
    """Zoom, and whether repeats are merged; says how many cells the ribbon shows."""
    buttons = "".join(
        f'<button type="button" data-zoom="{how}" aria-label="{name}" title="{name}">{sign}</button>'
        for how, sign, name in ZOOMS
    )
    return (
        f'<div class="sp-tools"><div role="group" aria-label="Zoom">{buttons}</div>'
        '<button type="button" class="sp-merge" aria-pressed="true">Merge repeated units</button>'
        f'<span class="sp-count" role="status">{count_text(len(units))}</span></div>'
    )


def count_text(n: int) -> str:
    return f"{n} unit{'s' * (n != 1)}"


def runs(units: Units, timed: bool, seconds: float, pitch: np.ndarray | None, colours: Colours = OWN) -> str:
    """The ribbon's cells, one for each run; data-start and data-length count frames of 20 ms."""
    cells = []
    columns = (units.ids.tolist(), units.starts.tolist(), units.lengths.tolist())
    for i, (unit, start, length) in enumerate(zip(*columns, strict=True)):
        left, width = (100 * frames * FRAME_SECONDS / seconds for frames in (start, length))
        colour = unit_colour(unit, colours)
        text = run_text(unit, start, length) if timed else f"unit {unit}"
        if pitch is not None:
            text += f" · {pitch[i]:.0f} Hz" if pitch[i] else " · no pitch"
        cells.append(
            f'<i role="option" id="sp-unit-{i}" style="left:{left:.3f}%;width:{width:.3f}%;background:{colour};'
            f'color:{text_colour(colour)}" data-unit="{unit}" data-start="{start}" data-length="{length}" '
            f'aria-label="{text}"><b>{unit}</b></i>'
        )
    return "".join(cells)


def run_text(unit: int, start: int, length: int) -> str:
    """ "unit 417 · starts at 0.32 s · lasts 0.04 s"; start and length in frames."""
    return f"unit {unit} · starts at {start * FRAME_SECONDS:.2f} s · lasts {length * FRAME_SECONDS:.2f} s"


def waveform_svg(waveform: np.ndarray) -> str:
    """The envelope of float32 [T] as one filled path, 1 high, scaled to its peak."""
    edges = np.linspace(0, len(waveform), min(WAVEFORM_BINS, max(1, len(waveform))) + 1).astype(int)
    scale = max(float(np.abs(waveform).max(initial=0)), 0.02)  # room noise must not look like speech
    top = np.maximum.reduceat(waveform, edges[:-1]) / scale if len(waveform) else np.zeros(1)
    low = np.minimum.reduceat(waveform, edges[:-1]) / scale if len(waveform) else np.zeros(1)
    top, low = np.maximum(top, 0.012), np.minimum(low, -0.012)  # a line where there is no sound
    points = [(x, -y) for x, y in enumerate(top)] + [(x, -y) for x, y in reversed(list(enumerate(low)))]
    path = "M" + "L".join(f"{x} {y:.3f}" for x, y in points) + "Z"
    return (
        f'<svg class="sp-wave" viewBox="0 -1 {max(1, len(top) - 1)} 2" preserveAspectRatio="none" '
        f'role="img" aria-label="Waveform of the recording"><path d="{path}"/></svg>'
    )


def melody_svg(pitch: np.ndarray, units: Units, seconds: float) -> str:
    """F0 of the voiced runs on a logarithmic axis: pitch float32 [N] in Hz, 0 where nothing is voiced."""
    voiced = np.flatnonzero(pitch)
    if not len(voiced):
        return '<p class="sp-melody-text">Melody: no pitch was found, so nothing is drawn.</p>'
    low, high = float(pitch[voiced].min()), float(pitch[voiced].max())
    text = f"Melody: {len(voiced)} of {len(pitch)} units have a pitch, {low:.0f} to {high:.0f} Hz"
    span = max(math.log(high / low), 0.1)
    lines = []
    for i in voiced.tolist():
        y = 0.9 - 0.8 * math.log(float(pitch[i]) / low) / span
        start, length = int(units.starts[i]), int(units.lengths[i])
        lines.append(f"M{start} {y:.3f}h{length}")
    _, n_frames = units.span
    width = 100 * n_frames * FRAME_SECONDS / seconds  # the recording may end within a frame, or in a pause
    return (
        f'<svg class="sp-melody" style="width:{width:.3f}%" viewBox="0 0 {n_frames} 1" '
        f'preserveAspectRatio="none" role="img" aria-label="{text}"><path d="{"".join(lines)}"/></svg>'
        f'<p class="sp-melody-text" aria-hidden="true">{text}</p>'
    )


def time_axis(seconds: float) -> str:
    """Ticks at a round step, at most about ten."""
    step = next((s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5) if seconds / s <= 11), 10)
    marks = []
    for i in range(math.floor(seconds / step + 1e-9) + 1):
        left = 100 * i * step / seconds
        at_end = ' class="sp-end"' if left > 97 else ""
        marks.append(f'<span{at_end} style="left:{left:.2f}%">{i * step:g}{" s" if i == 0 else ""}</span>')
    return f'<div class="sp-axis" aria-hidden="true">{"".join(marks)}</div>'
