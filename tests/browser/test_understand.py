"""A person who wants to know why: zooms, takes repeats apart, listens to units, reads the numbers."""

from __future__ import annotations

import re

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page, expect

from .conftest import EXAMPLES, PHONE, open_page

SPY = """() => {
  window.played = [];
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (when, offset, duration) {
    window.played.push([offset, duration, this.buffer.duration]);
    return start.call(this, when, offset, duration);
  };
}"""
TRACK = "document.querySelector('.sp-track').offsetWidth"
MIDDLE = """(() => {
  const box = document.querySelector(".sp-timeline .sp-scroll");
  return (box.scrollLeft + box.clientWidth / 2) / document.querySelector(".sp-track").offsetWidth;
})()"""


def answered(page: Page) -> Page:
    page.locator(".sp-examples button").first.click()
    expect(page.locator(".sp-label bdi")).to_have_text("yes")
    page.wait_for_function("document.querySelector('#sp-audio .sp-time').textContent")
    for fold in page.locator("#sp-panel .sp-fold > summary").all():
        fold.click()
    page.wait_for_function("document.querySelector('#sp-audio audio').paused")  # the example was heard
    return page


def cells(page: Page) -> list[dict[str, float]]:
    read = (
        "all => all.map(c => ({unit: +c.dataset.unit, start: +c.dataset.start, length: +c.dataset.length}))"
    )
    return page.locator(".sp-ribbon > i").evaluate_all(read)


def test_repeats_are_taken_apart_and_merged_again(page: Page) -> None:
    runs = cells(answered(page))
    toggle = page.get_by_role("button", name="Merge repeated units")
    labels = [cell.get_attribute("aria-label") for cell in page.locator(".sp-ribbon > i").all()]
    expect(page.locator(".sp-count")).to_have_text(f"{len(runs)} units")
    toggle.focus()
    page.keyboard.press("Enter")
    expect(toggle).to_have_attribute("aria-pressed", "false")
    frames = cells(page)
    assert [f["unit"] for f in frames] == [r["unit"] for r in runs for _ in range(int(r["length"]))]
    assert [f["start"] for f in frames] == list(range(len(frames))) and len(frames) == 50 > len(runs)
    expect(page.locator(".sp-count")).to_have_text("50 frames")
    page.locator(".sp-ribbon").focus()
    page.keyboard.press("End")
    expect(page.locator(".sp-readout")).to_have_text(f"unit {runs[-1]['unit']} · frame 50 · 0.98 s")
    toggle.click()
    assert cells(page) == runs
    assert labels == [cell.get_attribute("aria-label") for cell in page.locator(".sp-ribbon > i").all()]
    toggle.click()
    page.get_by_label("Task").select_option("spoken_digits")  # another answer begins afresh
    expect(page.locator(".sp-verdict > .sp-eyebrow")).to_have_text("Spoken digits")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".sp-count")).to_have_text(f"{len(runs)} units")
    assert cells(page) == runs


def test_zoom_widens_the_track_and_keeps_the_place(page: Page) -> None:
    page.set_viewport_size(
        {"width": 1000, "height": 900}
    )  # four times as wide is still less than all there is
    answered(page)
    narrow = page.evaluate(TRACK)
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate(TRACK) == pytest.approx(2 * narrow, abs=1)
    assert page.evaluate(MIDDLE) == pytest.approx(0.5, abs=0.01)
    page.locator(".sp-timeline .sp-scroll").evaluate("box => box.scrollLeft *= 1.4")
    place = page.evaluate(MIDDLE)
    page.locator(".sp-ribbon").focus()
    page.keyboard.press("Home")  # selects; the place is then where the first unit is
    page.locator(".sp-timeline .sp-scroll").evaluate(
        "(box, at) => box.scrollLeft = at", place * 2 * narrow - narrow / 2
    )
    page.keyboard.press("+")
    assert page.evaluate(TRACK) == pytest.approx(4 * narrow, abs=1)
    assert page.evaluate(MIDDLE) == pytest.approx(place, abs=0.01)
    expect(page.locator(".sp-count")).to_contain_text("25 % in view")
    page.keyboard.press("-")
    assert page.evaluate(TRACK) == pytest.approx(2 * narrow, abs=1)
    for _ in range(12):
        page.keyboard.press("+")
    assert page.evaluate(TRACK) == max(4000, narrow)  # 50 frames, 80 pixels each
    page.keyboard.press("0")
    assert page.evaluate(TRACK) == pytest.approx(narrow, abs=1)
    page.keyboard.press("-")
    assert page.evaluate(TRACK) == pytest.approx(narrow, abs=1)


def test_a_unit_is_played_by_key_and_by_pointer_and_nothing_else_of_the_recording(page: Page) -> None:
    runs = cells(answered(page))
    page.evaluate(SPY)
    ribbon = page.locator(".sp-ribbon")
    ribbon.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("played.length")
    long = next(i for i, run in enumerate(runs) if run["length"] >= 5)
    wanted = [runs[1]] * (1 if runs[1]["length"] >= 5 else 3)
    assert_played(page, wanted)
    expect(page.locator(".sp-readout")).to_contain_text("played")
    expect(page.locator(".sp-cursor")).to_be_visible()
    page.locator(".sp-ribbon > i").nth(long).click()
    page.wait_for_function(f"played.length === {len(wanted) + 1}")
    assert_played(page, [*wanted, runs[long]])
    page.get_by_role("button", name="Merge repeated units").click()
    page.locator(".sp-ribbon > i").nth(10).click()
    page.wait_for_function(f"played.length === {len(wanted) + 4}")
    assert_played(page, [*wanted, runs[long], *[{"start": 10, "length": 1}] * 3])
    expect(page.locator(".sp-readout")).to_contain_text("played 3 times, as it is short")
    expect(page.locator(".sp-cursor")).to_be_hidden(timeout=5_000)  # when it is over


def assert_played(page: Page, wanted: list[dict[str, float]]) -> None:
    played = page.evaluate("played")
    assert [p[:2] for p in played] == [
        pytest.approx([0.02 * cell["start"], 0.02 * cell["length"]]) for cell in wanted
    ]
    assert all(p[2] == pytest.approx(1.0, abs=0.01) for p in played)  # of the recording in the player


def test_the_cursor_follows_the_player(page: Page) -> None:
    answered(page)
    cursor = page.locator(".sp-cursor")
    page.wait_for_timeout(400)
    page.locator("#sp-audio").get_by_role("button", name="Play", exact=True).click()
    expect(cursor).to_be_visible()
    page.wait_for_function("parseFloat(document.querySelector('.sp-cursor').style.left) > 50")
    page.wait_for_function("document.querySelector('.sp-cursor').style.left === '100%'")


def test_the_numbers_are_those_of_the_endpoint(page: Page, server: str) -> None:
    answered(page)
    page.get_by_label("Task", exact=True).select_option("fake_speech")  # its verbalizer is learned
    expect(page.locator(".sp-odds")).to_have_count(2)
    client = Client(server, verbose=False, analytics_enabled=False)
    found = client.predict(handle_file(str(EXAMPLES / "yes.flac")), "fake_speech", api_name="/classify")
    client.close()
    frames, n = sum(found["units"]["lengths"]), len(found["units"]["ids"])
    stages = page.locator(".sp-stages")
    expect(stages.locator("li")).to_have_count(4)
    expect(stages).to_contain_text(f"1.00 s became {frames} frames")
    expect(stages).to_contain_text(f"{frames} frames became {n} units")
    (step,) = found["steps"]
    odds, weighed = (plot.locator("li").all_inner_texts() for plot in page.locator(".sp-odds").all())
    assert [int(text.split()[0]) for text in odds[:12]] == [entry["unit"] for entry in step["units"]]
    pairs = [re.findall(r"[-+−\d.]+", text) for text in weighed[:12]]
    parts = [(int(unit), float(value.replace("−", "-"))) for unit, value in pairs]
    for (unit, value), entry in zip(parts, step["contributions"]["units"], strict=True):
        assert unit == entry["unit"] and value == pytest.approx(entry["value"], abs=0.02)
    others, rest, whole = (float(text.split()[-1].replace("−", "-")) for text in weighed[12:])
    assert sum(value for _, value in parts) + others + rest == pytest.approx(whole, abs=0.1)
    assert whole == pytest.approx(step["contributions"]["margin"], abs=0.02)


def test_english_given_to_an_arabic_task_is_flagged_calmly(page: Page) -> None:
    answered(page)
    expect(page.locator(".sp-outside")).to_have_count(0)
    page.get_by_label("Task").select_option("arabic_commands")
    expect(page.locator(".sp-outside")).to_have_text(re.compile("^This may be none of the labels"))
    expect(page.locator(".sp-sr-only[role=status]")).to_contain_text("This may be none of the labels")


def test_melody_and_steps_fit_a_phone(browser: Browser, server: str) -> None:
    page = answered(open_page(browser, server, PHONE))
    page.get_by_label("Task").select_option("spelled_words")
    expect(page.locator(".sp-decision details")).to_have_count(4)  # y, e, s and the end
    page.locator(".sp-decision summary").nth(2).click()
    expect(page.locator(".sp-decision .sp-step").nth(2)).to_be_visible()
    expect(page.locator(".sp-decision .sp-step").first).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.get_by_label("Task").select_option("emotion_english")  # a task that this backbone has, too
    expect(page.locator(".sp-verdict > .sp-eyebrow")).to_have_text("Emotion (English)")
    page.get_by_label("Backbone").select_option("mini-prosody")
    expect(
        page.get_by_role("img", name=re.compile(r"^Melody: \d+ of \d+ units have a pitch"))
    ).to_be_visible()
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.context.close()
