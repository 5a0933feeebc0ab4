"""Recordings of over a minute: read beside short ones, one at a time, and given up for what is asked next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, expect

from .conftest import EXAMPLES, open_page

SECONDS = 1200  # so long that it is still being read when the others have been answered


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    word, rate = soundfile.read(EXAMPLES / "yes.flac", dtype="float32")
    sound = np.random.default_rng(0).normal(0, 1e-3, SECONDS * rate).astype(np.float32)
    for at in range(0, SECONDS - 2, 2):
        sound[at * rate : at * rate + len(word)] += word
    path = tmp_path_factory.mktemp("long") / "long.flac"
    soundfile.write(path, sound, rate)
    return path


def test_a_short_answer_is_complete_while_a_long_recording_is_read(
    browser: Browser, server: str, long_recording: Path
) -> None:
    reading, waiting, short = (open_page(browser, server) for _ in range(3))
    joined: list[str] = []
    short.on("request", lambda request: joined.append(request.url) if "queue/join" in request.url else None)
    choose = "#sp-audio input[type=file]"
    reading.locator(choose).set_input_files(long_recording)
    expect(reading.locator("#sp-panel progress")).to_be_visible()
    waiting.locator(choose).set_input_files(long_recording)
    expect(waiting.locator("#sp-panel")).to_contain_text("longer than a minute")
    expect(waiting.locator(".sp-wait:visible")).to_have_text("You are next in the queue.")

    short.locator(choose).set_input_files(EXAMPLES / "stop.flac")
    expect(short.locator("#sp-panel .sp-label bdi")).to_have_text("stop")
    expect(short.locator(".sp-wait:visible")).to_have_count(0)
    expect(short.locator("#sp-stop")).to_be_hidden()
    assert len(joined) == 1  # nothing of it waits for the long one
    expect(reading.locator("#sp-panel [data-reading]")).to_be_visible()

    waiting.context.close()
    reading.get_by_label("Task", exact=True).select_option("spoken_digits")
    expect(reading.locator("#sp-panel .sp-long .sp-eyebrow")).to_have_text("Spoken digits")
    reading.locator(".sp-say .sp-examples button").first.click()
    label = reading.locator("#sp-panel .sp-label bdi")
    expect(label).to_be_visible()
    reading.wait_for_timeout(3000)  # what was being read takes the panel no more
    expect(label).to_be_visible()
    expect(reading.locator("#sp-stop")).to_be_hidden()
    for page in (reading, short):
        page.context.close()


def test_what_was_read_stays_when_it_is_stopped(browser: Browser, server: str, long_recording: Path) -> None:
    page = open_page(browser, server)
    page.locator("#sp-audio input[type=file]").set_input_files(long_recording)
    expect(page.locator("#sp-panel progress")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#sp-panel [data-reading]")).to_have_count(0)
    shown = page.locator("#sp-panel").inner_text()
    assert "yes ×" in shown
    page.wait_for_timeout(2500)
    assert page.locator("#sp-panel").inner_text() == shown
    expect(page.locator("#sp-stop")).to_be_hidden()
    page.context.close()
