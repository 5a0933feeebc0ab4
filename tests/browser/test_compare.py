"""A person at the Compare tab: examples, choices, a voice, downloads. Real models, real browser."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import DESKTOP, EXAMPLES, PHONE, open_page, record

CARDS = ".sp-cards > article"
ROWS = "#sp-compare-panel .sp-grid tbody tr"
LONG = 60_000  # ms; a second backbone is loaded when first asked


def open_compare(page: Page) -> Page:
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#sp-compare-audio .sp-record")).to_be_visible()
    return page


def as_cards(page: Page) -> None:
    page.get_by_role("group", name="View").get_by_role("button", name="Cards").click()


def open_choices(page: Page) -> None:
    page.get_by_role("button", name="Tasks and backbones").click()
    expect(page.locator("#sp-compare-tasks")).to_be_visible()


def card(page: Page, title: str, backbone: str = "whisper-mini") -> Locator:
    return page.get_by_role("article", name=f"{title}, {backbone}", exact=True)


def example(page: Page, spoken: str) -> Locator:
    return page.locator(".sp-examples button:visible", has_text=spoken)


def ticked(page: Page) -> list[str]:
    boxes = page.locator("#sp-compare-tasks input[value]").all()
    return [str(box.get_attribute("value")) for box in boxes if box.is_checked()]


def download(page: Page, name: str) -> str:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    return Path(waiting.value.path()).read_text(encoding="utf-8-sig")


def test_the_recording_of_the_first_tab_gets_the_same_label_and_can_be_taken_away(page: Page) -> None:
    page.locator(".sp-examples button").nth(1).click()
    expect(page.locator(".sp-label bdi")).to_have_text("stop")
    score = page.locator(".sp-label data").inner_text()
    open_compare(page)
    expect(page.locator(ROWS).first).to_be_visible(timeout=LONG)
    tasks = page.locator(CARDS).count()
    assert tasks == page.locator(ROWS).count() > 10
    first = page.locator(ROWS, has_text="Keyword spotting")
    expect(first).to_contain_text("stop")
    as_cards(page)
    keyword = card(page, "Keyword spotting")
    expect(keyword.locator(".sp-label bdi")).to_have_text("stop")
    expect(keyword.locator(".sp-label data")).to_have_text(score)
    for text in ("test clips",):
        expect(keyword).to_contain_text(text)
    assert keyword.locator(".sp-chip").count() == 1 and keyword.locator(".sp-bars li").count() == 3

    rows = list(csv.DictReader(io.StringIO(download(page, "Download as CSV"))))
    records = json.loads(download(page, "Download as JSON"))
    assert [r["task"] for r in rows] == [r["task"] for r in records] and len(rows) == tasks
    shown = {
        c.get_attribute("aria-label"): c.locator(".sp-label bdi").inner_text()
        for c in page.locator(CARDS).all()
    }
    # The page writes as people do, the file as the data does; of slots the page says the values alone.
    said = {
        f"{r['title']}, {r['backbone']}": r["label"].replace("_", " ") for r in rows if ": " not in r["label"]
    }
    assert len(said) > 10 and said.items() <= shown.items()
    (stop,) = (r for r in records if r["task"] == "keyword_spotting")
    assert stop["label"] == "stop" and stop["n"] == 429 and stop["generated_units"]


def test_tasks_are_chosen_one_by_one_by_group_and_all_at_once(page: Page) -> None:
    open_compare(page)
    example(page, "seven").click()
    expect(page.locator(ROWS).first).to_be_visible()
    as_cards(page)
    open_choices(page)
    everything = ticked(page)
    expect(page.locator(CARDS)).to_have_count(len(everything))
    expect(card(page, "Spoken digits").locator(".sp-label bdi")).to_have_text("7")
    tasks = page.get_by_role("group", name="Tasks to compare")
    group = tasks.get_by_role("group", name="Keywords and commands")
    inside = group.locator("input[value]").count()
    group.get_by_label("Keywords and commands").uncheck()
    expect(page.locator(CARDS)).to_have_count(len(everything) - inside)
    expect(card(page, "Spoken digits")).to_have_count(0)
    assert tasks.get_by_label("All tasks").evaluate("box => box.indeterminate")
    group.get_by_label("Spoken digits").focus()
    page.keyboard.press("Space")
    expect(page.locator(CARDS)).to_have_count(len(everything) - inside + 1)
    expect(group.get_by_label("Spoken digits")).to_be_focused()
    assert group.get_by_label("Keywords and commands").evaluate("box => box.indeterminate")
    assert not tasks.get_by_label("Female or male voice").is_checked()  # Try has a better one
    tasks.get_by_label("All tasks").check()
    expect(page.locator(CARDS)).to_have_count(len(everything) + 1)
    assert sorted(ticked(page)) == sorted([*everything, "gender"])
    tasks.get_by_label("All tasks").uncheck()
    expect(page.locator("#sp-compare-panel [role=alert]")).to_contain_text("No task is chosen")
    expect(page.get_by_role("button", name="Download as CSV")).to_have_count(0)


def test_another_backbone_brings_its_tasks_and_what_was_left_out_stays_so(page: Page) -> None:
    open_compare(page)
    open_choices(page)
    page.get_by_label("For each task the one that is right most often").uncheck()
    page.get_by_label("Mini (bundled, works on audio)", exact=True).check()
    page.locator("#sp-compare-tasks").get_by_label("Arabic commands").uncheck()
    page.get_by_label("Mini with prosody").check()
    expect(page.locator("#sp-compare-tasks").get_by_label("Emotion (English)")).to_be_checked()
    expect(page.locator("#sp-compare-tasks").get_by_label("Arabic commands")).not_to_be_checked()
    example(page, "yes").click()
    expect(page.locator(ROWS).first).to_be_visible(timeout=LONG)
    as_cards(page)
    emotion = card(page, "Emotion (English)", "mini-prosody")
    expect(emotion.locator(".sp-label bdi")).to_be_visible(timeout=LONG)
    expect(card(page, "Emotion (English)", "mini").locator(".sp-label bdi")).to_be_visible()  # side by side
    expect(card(page, "Keyword spotting", "mini").locator(".sp-label bdi")).to_have_text("yes")
    expect(card(page, "Arabic commands", "mini")).to_have_count(0)
    page.get_by_label("Mini (bundled, works on audio)", exact=True).uncheck()
    expect(page.locator(CARDS)).to_have_count(4)
    assert sorted(ticked(page)) == [
        "age_group",
        "emotion_english",
        "emotion_german",
        "emotion_polish",
    ]


def test_a_voice_is_compared_when_the_recording_ends(page_recording: Callable[..., Page]) -> None:
    page = open_compare(page_recording(EXAMPLES / "yes.flac", PHONE))
    record(page.locator("#sp-compare-audio"))
    expect(page.locator(ROWS, has_text="Keyword spotting")).to_contain_text("yes", timeout=30_000)
    expect(page.locator(ROWS).first).to_be_in_viewport()
    summary = page.get_by_role("status").filter(has_text="Keyword spotting: yes")
    expect(summary).to_have_count(1)


@pytest.mark.parametrize("width", [320, PHONE[0], DESKTOP[0]])
def test_cards_fit_the_page(browser: Browser, server: str, width: int) -> None:
    page = open_compare(open_page(browser, server, (width, 900)))
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    example(page, "right").click()
    expect(page.locator(ROWS).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    as_cards(page)
    expect(page.locator(CARDS).first).to_be_visible()
    boxes = [found.bounding_box() for found in page.locator(CARDS).all()]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    columns = {round(box["x"]) for box in boxes if box}
    assert len(columns) == 1 if width < 760 else len(columns) > 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not faults
    page.context.close()
