"""A person teaches a task of their own: uploads, tunes, tries, downloads, loads back, makes mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import PHONE, open_page, record, takes

WORDS = ("yes", "stop")
PATIENT = 240_000  # ms that a tuning may take on a busy machine


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Three takes of each word."""
    folder = tmp_path_factory.mktemp("clips")
    return {word: takes(word, 3, folder) for word in WORDS}


def open_teach(page: Page) -> None:
    page.get_by_role("tab", name="Teach").click()
    expect(page.locator("#sp-teach-run")).to_be_visible()


def add_label(page: Page, name: str) -> None:
    field = page.get_by_label("Name of a label")
    field.fill(name)
    field.press("Enter")
    expect(page.locator("#sp-teach-label")).to_have_value(name)
    expect(field).to_have_value("")


def give(page: Page, *paths: Path) -> None:
    page.locator("#sp-teach-files input[type=file]").set_input_files(list(paths))


def try_in_try_tab(page: Page, title: str, clip: Path) -> str:
    """Choose the task in the Try tab and upload a clip; the label with its score."""
    page.get_by_role("tab", name="Try").click()
    select = page.get_by_label("Task", exact=True)
    value = page.locator("#sp-task option", has_text=title).get_attribute("value")
    select.select_option(value)
    expect(page.locator(".sp-empty")).to_contain_text(title)
    page.locator("#sp-audio input[type=file]").set_input_files(clip)
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text(title)
    bars = page.locator("#sp-panel .sp-scores .sp-bars li").all_inner_texts()
    return page.locator("#sp-panel .sp-label").inner_text() + " ".join(bars)


def test_a_task_is_taught_tried_downloaded_and_loaded_back(
    browser: Browser, server: str, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    page = open_page(browser, server)
    open_teach(page)
    page.get_by_label("Title of the task").fill("Two words")
    for word in WORDS:
        add_label(page, word)
        give(page, *clips[word])
        expect(page.locator("#sp-teach-said")).to_contain_text("3 clips added")
    expect(page.locator("#sp-teach-clips li")).to_have_count(6)
    page.get_by_role("button", name="Play yes0.wav").click()
    expect(page.locator("#sp-teach-player")).to_be_visible()
    page.locator("#sp-teach-run").click()
    expect(page.locator("#sp-teach-panel [role=progressbar]")).to_be_visible()
    expect(page.locator("#sp-teach-panel .sp-taught")).to_be_visible(timeout=PATIENT)
    expect(page.locator("#sp-teach-panel .sp-taught")).to_contain_text(
        re.compile("right of 6 clips held out")
    )
    with page.expect_download() as download:
        page.locator("#sp-teach-download").click()
    packed = tmp_path / download.value.suggested_filename
    download.value.save_as(packed)
    assert packed.name == "taught_two_words.zip"
    answer = try_in_try_tab(page, "Two words", clips["stop"][0])
    assert answer.startswith("stop")
    other = open_page(browser, server)  # somebody else does not see it
    assert "Two words" not in other.locator("#sp-task").inner_text()
    other.context.close()

    page.reload()
    page.wait_for_selector("#sp-task")
    assert "Two words" not in page.locator("#sp-task").inner_text()
    open_teach(page)
    page.locator("#sp-teach-load input[type=file]").set_input_files(packed)
    expect(page.locator("#sp-teach-panel .sp-taught")).to_contain_text("Two words")
    assert try_in_try_tab(page, "Two words", clips["stop"][0]) == answer
    page.context.close()


def test_mistakes_get_one_sentence_and_lose_nothing_on_a_phone(
    browser: Browser, server: str, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    page = open_page(browser, server, PHONE)
    open_teach(page)
    add_label(page, "yes")
    give(page, *clips["yes"][:2])
    expect(page.locator("#sp-teach-clips li")).to_have_count(2)
    (tmp_path / "notes.wav").write_text("no sound here")
    give(page, clips["yes"][2], tmp_path / "notes.wav")
    expect(page.locator("#sp-teach-said [role=alert]")).to_contain_text(
        "notes.wav: The file cannot be read as sound"
    )
    expect(page.locator("#sp-teach-clips li")).to_have_count(2)
    page.locator("#sp-teach-run").click()
    expect(page.locator("#sp-teach-panel [role=alert]")).to_contain_text(
        "A task needs 2 to 10 labels; here is 1."
    )
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no zip")
    page.locator("#sp-teach-load input[type=file]").set_input_files(tmp_path / "bad.zip")
    expect(page.locator("#sp-teach-panel [role=alert]")).to_contain_text("not a zip, or a damaged one")
    page.get_by_role("button", name="Delete yes0.wav").click()
    expect(page.locator("#sp-teach-clips li")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.context.close()


def test_a_voice_is_recorded_for_the_chosen_label_and_asked_of_the_new_task(
    page_recording: Callable[..., Page], clips: dict[str, list[Path]]
) -> None:
    page = page_recording(clips["yes"][0])
    open_teach(page)
    add_label(page, "stop")
    give(page, *clips["stop"])
    add_label(page, "yes")  # while the files are read: it stays chosen when they are
    record(page.locator("#sp-teach-audio"))
    expect(page.locator("#sp-teach-said")).to_contain_text("Recording 1 of 'yes' is kept.")
    expect(page.locator("#sp-teach-clips li")).to_have_count(4)
    page.get_by_role("button", name="Play Recording 1").click()
    expect(page.locator("#sp-teach-player")).to_be_visible()
    give(page, *clips["yes"][1:])
    expect(page.locator("#sp-teach-clips li")).to_have_count(6)
    page.locator("#sp-teach-run").click()
    expect(page.locator("#sp-teach-panel .sp-taught")).to_be_visible(timeout=PATIENT)
    record(page.locator("#sp-teach-try"))
    expect(page.locator("#sp-teach-answer .sp-label")).to_contain_text("yes")
