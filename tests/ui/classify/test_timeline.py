"""The timeline of a recording: waveform, units and pauses on one time axis."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from speechprompt.ui import colours
from speechprompt.ui.classify import timeline
from speechprompt.units import Units
from tests.ui.page_parts import Elements


def test_timeline_places_every_unit_on_the_time_axis() -> None:
    units = Units.from_frames([7] * 10 + [3] * 5 + [499] * 35)
    page = Elements(timeline.timeline(units, np.zeros(16_000, np.float32)))
    runs = page.having("role", "option")
    assert [run["aria-label"] for run in runs] == [
        "unit 7 · starts at 0.00 s · lasts 0.20 s",
        "unit 3 · starts at 0.20 s · lasts 0.10 s",
        "unit 499 · starts at 0.30 s · lasts 0.70 s",
    ]
    places = [re.findall(r"(?:left|width):([\d.]+)%", str(run["style"])) for run in runs]
    assert [[float(x) for x in place] for place in places] == [[0, 20], [20, 10], [30, 70]]
    assert f"background:{colours.unit_colour(499)}" in str(runs[2]["style"])
    assert "7 3 499" in page.text


def test_timeline_shows_which_pauses_were_not_listened_to() -> None:
    units = replace(Units.from_frames([7] * 10 + [3] * 15), starts=np.array([50, 60]))
    page = Elements(timeline.timeline(units, np.zeros(32_100, np.float32)))
    veils = [attrs for tag, attrs in page.tags if attrs.get("class") == "sp-pause"]
    places = [[float(x) for x in re.findall(r"(?:left|width):([\d.]+)%", str(v["style"]))] for v in veils]
    seconds = 32_100 / 16_000
    assert places == [
        pytest.approx([0, 100 / seconds], abs=0.01),
        pytest.approx([150 / seconds, 100 - 150 / seconds], abs=0.01),
    ]
    assert "1.00 to 1.50 s of 2.01 s" in page.text and "unit 7 · starts at 1.00 s" in str(page.tags)
    # What is left of the last frame is no pause.
    whole = Elements(timeline.timeline(Units.from_frames([7] * 50), np.zeros(16_100, np.float32)))
    assert "sp-pause" not in str(whole.tags) and "1.01 s · 50 frames" in whole.text


def test_timeline_of_the_longest_recording_ends_where_it_ends() -> None:
    frames = np.arange(3000) % 500
    page = Elements(timeline.timeline(Units.from_frames(frames), np.ones(960_000, np.float32)))
    left, width = re.findall(r"(?:left|width):([\d.]+)%", str(page.having("role", "option")[-1]["style"]))
    assert float(left) + float(width) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("length", [0, 1, 399, 400, 401, 16_000])
def test_waveform_stays_inside_its_box(length: int) -> None:
    noise = np.random.default_rng(length).normal(0, 3, length).astype(np.float32)
    (path,) = (attrs["d"] for tag, attrs in Elements(timeline.waveform_svg(noise)).tags if tag == "path")
    heights = [float(y) for _, y in re.findall(r"([\d.]+) (-?[\d.]+)", str(path))]
    assert len(heights) >= 2 and max(map(abs, heights)) <= 1
