"""The bar that asks and the row that answers: what stands where, what is remembered, what any browser records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from .conftest import EXAMPLES, PHONE, open_page, record

DENIED = """() => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotAllowedError"));
}"""
WATCH = """() => {
  window.shifts = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((one) => {
    if (!one.hadRecentInput) window.shifts += one.value;
  }))
    .observe({ type: "layout-shift" });
}"""
# x and y of what stands in the page, with the heights that must not change either.
PARTS = [".sp-record", "#sp-task", ".sp-say-block", ".sp-verdict", ".sp-way", "#sp-panel .sp-fold"]
BOXES = """(parts) => parts.map((name) => {
  const box = document.querySelector(name).getBoundingClientRect();
  return [name, Math.round(box.x), Math.round(box.y), name === ".sp-verdict" ? 0 : Math.round(box.height)];
})"""


def above_the_record_button(page: Page, part: str) -> bool:
    """On a phone it is fixed at the bottom, over whatever is there."""
    page.wait_for_timeout(500)
    record, box = page.locator(".sp-record:visible").first.bounding_box(), page.locator(part).bounding_box()
    return bool(record and box and box["y"] >= 0 and box["y"] + box["height"] <= record["y"])


def answer_example(page: Page, label: str = "yes") -> None:
    page.locator(".sp-say .sp-examples button").first.click()
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text(label)


def as_browsers_record(clip: Path, path: Path, codec: str, rate: int) -> Path:
    """The clip in the container and codec of a phone or a browser."""
    sound, own = soundfile.read(clip, dtype="float32")
    frame = av.AudioFrame.from_ndarray((sound[None] * 32767).astype(np.int16), format="s16", layout="mono")
    frame.sample_rate = own
    with av.open(str(path), "w") as box:
        stream = box.add_stream(codec, rate=rate)
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            for packet in stream.encode(piece):
                box.mux(packet)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (1280, 720)])
def test_the_task_and_the_whole_answer_are_above_the_fold(
    browser: Browser, server: str, size: tuple[int, int], scheme: str
) -> None:
    page = open_page(browser, server, size, scheme)
    page.evaluate(WATCH)
    answer_example(page)
    for part in (".sp-record", "#sp-task", ".sp-answer", ".sp-way"):
        box = page.locator(f"{part}:visible").first.bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= size[1], part
    assert len(page.locator("#sp-panel").inner_text().split()) <= 170  # closed details have their heads alone
    assert len(page.locator(".sp-two").inner_text().split()) <= 120
    assert page.evaluate("window.shifts") < 0.05
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_task_and_answer_and_what_other_prompts_say_at_once(
    browser: Browser, server: str, scheme: str
) -> None:
    page = open_page(browser, server, PHONE, scheme)
    answer_example(page)
    expect(page.locator(".sp-also .sp-other")).not_to_have_count(0)
    assert page.evaluate("scrollY") == 0
    assert all(above_the_record_button(page, part) for part in ("#sp-task", "#sp-panel .sp-answer"))
    page.context.close()


@pytest.mark.parametrize("size", [(1440, 900), (1280, 720), PHONE], ids=["large", "laptop", "phone"])
def test_nothing_moves_from_recording_to_answer(
    page_recording: Callable[..., Page], size: tuple[int, int]
) -> None:
    """The browser's own measure; what a person scrolls or clicks for half a second before is not in it."""
    page = page_recording(EXAMPLES / "yes.flac", size)
    page.wait_for_timeout(500)
    page.evaluate(WATCH)
    record(page.locator("#sp-audio"))
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("yes")
    page.wait_for_timeout(1000)  # the waveform, the others' answers and the list of the last ones
    assert page.evaluate("window.shifts") < 0.05
    if size[0] > 1000:
        folds = [page.locator(f"{part}:visible").first.bounding_box() for part in (".sp-answer", ".sp-way")]
        assert all(box and box["y"] + box["height"] <= size[1] for box in folds)
    assert len(page.locator(".sp-two").inner_text().split()) <= 120


def test_another_task_answers_and_moves_nothing(page: Page) -> None:
    answer_example(page)
    before = page.evaluate(BOXES, PARTS)
    for task, title in (("spoken_digits", "Spoken digits"), ("spelled_words", "Spelled words")):
        page.get_by_label("Task", exact=True).select_option(task)
        expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text(title)
        assert page.evaluate(BOXES, PARTS) == before


def test_what_a_phone_or_a_browser_records_is_answered_like_the_wav(page: Page, tmp_path: Path) -> None:
    for name, codec, rate in (("memo.m4a", "aac", 44_100), ("take.webm", "libopus", 48_000)):
        page.locator("#sp-audio input[type=file]").set_input_files(
            as_browsers_record(EXAMPLES / "stop.flac", tmp_path / name, codec, rate)
        )
        expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("stop")
        page.locator("#sp-audio").get_by_role("button", name="Clear").click()
        expect(page.locator("#sp-panel .sp-empty")).to_be_visible()


def test_a_refused_microphone_says_how_to_allow_it_on_every_tab(page: Page) -> None:
    page.evaluate(DENIED)
    for tab, recorder in (
        ("Try", "#sp-audio"),
        ("Compare", "#sp-compare-audio"),
    ):
        page.get_by_role("tab", name=tab).click()
        page.locator(f"{recorder} .sp-record").click()
        expect(page.locator(f"{recorder} [role=alert]")).to_contain_text("did not allow the microphone")
    page.get_by_role("tab", name="Teach").click()
    page.get_by_label("Name of a label").fill("yes")
    page.get_by_label("Name of a label").press("Enter")
    page.get_by_role("button", name="Record yes").click()
    expect(page.locator(".sp-label-card [role=alert]")).to_contain_text("did not allow the microphone")


def test_what_went_wrong_is_gone_with_the_next_success(page: Page) -> None:
    page.evaluate(DENIED)
    page.get_by_role("tab", name="Compare").click()
    page.locator("#sp-compare-audio .sp-record").click()
    note = page.locator("#sp-compare-audio [role=alert]")
    expect(note).not_to_be_empty()
    page.get_by_role("tab", name="Try").click()
    page.locator("#sp-audio .sp-record").click()
    expect(page.locator("#sp-audio [role=alert]")).not_to_be_empty()
    answer_example(page)
    expect(page.locator("#sp-audio [role=alert]")).to_be_empty()
    page.get_by_role("tab", name="Compare").click()  # takes the recording over
    expect(page.locator("#sp-compare-panel .sp-grid tbody tr").first).to_be_visible()
    expect(note).to_be_empty()
    page.get_by_role("tab", name="Teach").click()
    status = page.locator("#sp-teach-status")
    page.locator("#sp-teach-files input").set_input_files(Path(__file__))  # no recording
    expect(status.locator("[role=alert]")).to_be_visible()
    page.get_by_label("Name of a label").fill("yes")
    page.get_by_label("Name of a label").press("Enter")
    expect(page.locator(".sp-label-card")).to_be_visible()
    expect(status.locator("[role=alert]")).to_have_count(0)
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator("#sp-live-note")).to_contain_text("did not allow")
    page.evaluate("delete navigator.mediaDevices.getUserMedia")
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator("#sp-live-state")).to_have_attribute("data-state", "listening")
    expect(page.locator("#sp-live-note")).to_be_empty()


def test_an_address_answers_at_once_and_reload_and_back_keep_it(browser: Browser, server: str) -> None:
    page = open_page(browser, f"{server}/?tab=try&task=spoken_digits&example=seven")
    label = page.locator("#sp-panel .sp-label bdi")
    expect(label).to_have_text("7")
    page.reload()
    expect(label).to_have_text("7")
    page.get_by_label("Task", exact=True).select_option("keyword_spotting")
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text("Keyword spotting")
    assert "task=keyword_spotting" in page.url and page.title() == "Keyword spotting · SpeechPrompt"
    page.go_back()
    expect(page.get_by_label("Task", exact=True)).to_have_value("spoken_digits")
    page.context.close()


def test_a_file_that_is_dropped_anywhere_is_answered(page: Page) -> None:
    sound = list((EXAMPLES / "right.flac").read_bytes())
    page.evaluate(
        """(bytes) => {
            const moved = new DataTransfer();
            moved.items.add(new File([new Uint8Array(bytes)], "right.flac", { type: "audio/flac" }));
            const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: moved });
            document.querySelector(".sp-header").dispatchEvent(event);
        }""",
        sound,
    )
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("right")
