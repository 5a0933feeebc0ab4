"""A person at the page: speaks, uploads, chooses, makes mistakes. Real models, real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from .conftest import DESKTOP, EXAMPLES, PHONE, open_page, record

CLIPS = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
PANEL = "#sp-panel"


def upload(page: Page, path: Path) -> None:
    page.locator("#sp-audio input[type=file]").set_input_files(path)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_spoken_keyword_is_answered_when_the_recording_ends(
    page_recording: Callable[..., Page], size: tuple[int, int]
) -> None:
    page = page_recording(EXAMPLES / "yes.flac", size)
    record(page.locator("#sp-audio"))
    expect(page.locator(".sp-label bdi")).to_have_text("yes")
    expect(page.locator(".sp-answer")).to_be_in_viewport()
    expect(page.locator(".sp-bars li").first).to_contain_text("yes")
    expect(page.locator(".sp-way .sp-chip").first).to_have_text(re.compile(r"\d+"))
    expect(page.locator(".sp-way")).to_contain_text("→ yes")
    assert page.locator(".sp-ribbon > i").count() > 10
    expect(page.locator(".sp-sr-only[role=status]")).to_have_text(re.compile(r"^Keyword spotting: yes, "))


def test_a_corrupt_file_gets_one_clear_sentence_and_nothing_is_lost(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("These are my notes, not a recording.\n" * 40)
    page.get_by_label("Task").select_option("spoken_digits")
    upload(page, tmp_path / "notes.wav")
    expect(page.locator("#sp-panel [role=alert]")).to_contain_text("cannot be read as sound")
    expect(page.locator("#sp-panel [role=alert]")).to_contain_text("choose a recording")
    expect(page.get_by_label("Task")).to_have_value("spoken_digits")
    assert "Traceback" not in page.content()
    page.locator(".sp-examples button").first.click()
    expect(page.locator(".sp-label bdi")).to_have_text("3")


def test_every_example_gets_its_label(page: Page) -> None:
    """All tasks of one list: recordings where an encoder can take them, units where none is here."""
    seen = 0
    for task in page.locator("#sp-task option").evaluate_all("all => all.map((one) => one.value)"):
        page.get_by_label("Task").select_option(task)
        expect(page.locator("#sp-panel :is(.sp-answer, .sp-empty, .sp-note)").first).to_be_visible(
            timeout=30_000
        )
        page.wait_for_timeout(300)  # its examples come with it
        title = page.locator(f"#sp-task option[value={task}]").inner_text().removesuffix(" (units only)")
        for button in page.locator(".sp-say .sp-examples button").all():
            clip = CLIPS[int(button.get_attribute("data-index") or -1)]
            button.click()
            expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text(title)
            label = clip["labels"][task].removesuffix(", none")
            label = ", ".join(part.partition(": ")[2] or part for part in label.split(", "))
            expect(page.locator("#sp-panel .sp-label bdi")).to_have_text(label.replace("_", " "))
            if "units" in clip:
                expect(page.get_by_role("textbox", name="Units")).to_have_value(
                    " ".join(map(str, clip["units"]))
                )
            seen += 1
    assert seen >= 20


def test_an_uploaded_file_is_answered_and_another_task_answers_it_again(page: Page) -> None:
    upload(page, EXAMPLES / "seven.flac")
    expect(page.locator(".sp-verdict > .sp-eyebrow")).to_have_text("Keyword spotting")
    page.get_by_label("Task").select_option("spoken_digits")
    expect(page.locator(".sp-verdict > .sp-eyebrow")).to_have_text("Spoken digits")
    expect(page.locator(".sp-label bdi")).to_have_text("7")


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
def test_a_long_recording_scrolls_in_its_card_and_not_the_page(
    browser: Browser, server: str, tmp_path: Path, width: int
) -> None:
    speech, rate = soundfile.read(EXAMPLES / "yes.flac")
    soundfile.write(tmp_path / "long.wav", np.tile(speech, 12), rate)
    page = open_page(browser, server, (width, 900))
    upload(page, tmp_path / "long.wav")
    expect(page.locator(".sp-answer")).to_be_visible()
    page.get_by_text("Look at the units").click()
    expect(page.locator(".sp-timeline")).to_be_visible()
    cards = [card.bounding_box() for card in page.locator("#sp-panel .sp-card:visible").all()]
    assert len(cards) == 4 and all(card and card["x"] + card["width"] <= width for card in cards)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".sp-timeline .sp-scroll").evaluate("box => box.scrollWidth > box.clientWidth")
    page.context.close()


def test_clearing_brings_the_invitation_back(page: Page) -> None:
    page.locator(".sp-examples button").first.click()
    expect(page.locator(".sp-label bdi")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(PANEL)).to_contain_text("Speak and see the answer")


def test_trimming_answers_the_part_that_is_left(page: Page, tmp_path: Path) -> None:
    speech, rate = soundfile.read(EXAMPLES / "yes.flac")
    soundfile.write(tmp_path / "long.wav", np.concatenate([np.zeros(rate), speech, np.zeros(rate)]), rate)
    upload(page, tmp_path / "long.wav")
    expect(page.locator("#sp-audio .sp-time")).to_have_text("3.0 s")
    box = page.locator("#sp-audio canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 20, steps=4)
    page.mouse.up()
    page.locator("#sp-audio").get_by_role("button", name="Trim", exact=True).click()
    expect(page.locator("#sp-audio .sp-time")).to_have_text(re.compile(r"1\.\d s"))
    expect(page.locator("#sp-panel .sp-title")).to_contain_text(re.compile(r"1\.\d+ s"))
    expect(page.locator(".sp-label bdi")).to_have_text("yes")


def test_long_pauses_are_hatched_and_have_no_units(page: Page, tmp_path: Path) -> None:
    word, rate = soundfile.read(EXAMPLES / "yes.flac", dtype="float32")
    hiss = np.random.default_rng(0).normal(0, 1e-4, len(word) + 3 * rate).astype(np.float32)
    soundfile.write(tmp_path / "waited.wav", np.pad(word, (rate, 2 * rate)) + hiss, rate)
    upload(page, tmp_path / "waited.wav")
    expect(page.locator(".sp-label bdi")).to_have_text("yes")
    page.get_by_text("Look at the units").click()
    expect(page.locator(".sp-timeline .sp-title")).to_contain_text("s of 4.00 s, the rest is pauses")
    before, after = (veil.bounding_box() for veil in page.locator(".sp-pause").all())
    units = page.locator(".sp-ribbon > i")
    first, last = units.first.bounding_box(), units.last.bounding_box()
    assert before and after and first and last
    assert before["x"] + before["width"] == pytest.approx(first["x"], abs=1.5)
    assert after["x"] == pytest.approx(last["x"] + last["width"], abs=1.5)
    assert after["width"] > before["width"] > 100


def test_a_backbone_without_its_encoder_explains_itself_and_takes_units(page: Page) -> None:
    page.get_by_label("Task").select_option("intent_classification")
    expect(page.locator(PANEL)).to_contain_text("Or give it units.")
    expect(page.locator(PANEL)).to_contain_text("Click an example above")
    expect(page.locator("#sp-audio")).to_be_hidden()
    page.locator(".sp-say .sp-examples button:visible").first.click()
    expect(page.locator(".sp-label bdi")).to_have_text("deactivate, lights")
    field = page.get_by_role("textbox", name="Units")
    clip = next(clip for clip in CLIPS if "intent_classification" in clip["labels"])
    field.fill(" ".join(map(str, clip["units"])))
    field.press("Enter")
    values = clip["labels"]["intent_classification"].split(", ")
    expect(page.locator(".sp-label bdi")).to_have_text(", ".join(v for v in values if v != "none"))
    for slot, value in zip(("action", "object", "location"), values, strict=True):
        expect(page.locator(".sp-scores")).to_contain_text(f"{slot}: {value}")
    field.fill("71 12 nonsense")
    field.press("Enter")
    expect(page.locator("#sp-panel [role=alert]")).to_be_visible()


def test_units_can_be_read_by_pointer_by_keyboard_and_as_text(page: Page) -> None:
    page.locator(".sp-examples button").first.click()
    page.get_by_text("Look at the units").click()
    runs = page.locator(".sp-ribbon > i")
    expect(runs.first).to_be_visible()
    labels = [run.get_attribute("aria-label") for run in runs.all()]
    readout = page.locator(".sp-readout")
    runs.nth(3).hover()
    expect(readout).to_have_text(labels[3])
    page.locator(".sp-ribbon").focus()
    page.keyboard.press("ArrowRight")
    expect(readout).to_have_text(labels[4])
    page.keyboard.press("End")
    expect(readout).to_have_text(labels[-1])
    page.keyboard.press("ArrowRight")
    expect(readout).to_have_text(labels[-1])
    page.keyboard.press("Home")
    expect(readout).to_have_text(labels[0])
    page.get_by_text("Units as text").click()
    assert page.locator("#sp-ids").inner_text().split() == [label.split()[1] for label in labels]
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".sp-copy")).to_have_text(re.compile("Copied|Selected"))


def test_an_example_runs_by_keyboard_alone(page: Page) -> None:
    page.locator(".sp-examples button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sp-label bdi")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_and_nothing_is_asked_of_other_hosts(
    browser: Browser, server: str, size: tuple[int, int], scheme: str
) -> None:
    page = open_page(browser, server, size, scheme)
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.reload()
    page.wait_for_selector("#sp-task")
    page.locator(".sp-examples button").nth(1).click()
    expect(page.locator(".sp-label bdi")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    page.wait_for_timeout(500)  # fonts and the player's waveform; the queue's own stream never ends
    hosts = {urlparse(url).netloc for url in asked if urlparse(url).scheme not in ("data", "blob")}
    assert hosts == {urlparse(server).netloc}
    assert not faults
    page.context.close()
