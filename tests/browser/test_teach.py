"""A person teaches a task of their own: records, types, teaches, tries, keeps, goes on, makes mistakes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import EXAMPLES, PHONE, app_process, open_page, record, takes
from .test_bar import above_the_record_button

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
    expect(card(page, name)).to_be_visible()
    expect(field).to_have_value("")


def card(page: Page, label: str) -> Locator:
    return page.locator(f'.sp-label-card[data-label="{label}"]')


def give(page: Page, label: str, *paths: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=f"Choose files for {label}").click()
    chooser.value.set_files(list(paths))


def open_files(page: Page, *paths: Path) -> None:
    page.locator("#sp-teach-files input").set_input_files(list(paths))


def save_lesson(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save with recordings").click()
    packed = folder / download.value.suggested_filename
    download.value.save_as(packed)
    return packed


def taught(page: Page) -> Locator:
    """The new task's card, once it is there."""
    expect(page.locator("#sp-teach-panel")).to_contain_text("Taught in", timeout=PATIENT)
    return page.locator("#sp-teach-result .sp-taught")


def try_in_try_tab(page: Page, title: str, clip: Path) -> str:
    """Choose the task in the Try tab and upload a clip; the label with its score."""
    page.get_by_role("tab", name="Try").click()
    select = page.get_by_label("Task", exact=True)
    value = page.locator("#sp-task option", has_text=title).get_attribute("value")
    select.select_option(value)
    expect(page.locator("#sp-task-hint")).to_contain_text("Right")
    page.locator("#sp-audio input[type=file]").set_input_files(clip)
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text(title)
    bars = page.locator("#sp-panel .sp-scores .sp-bars li").all_inner_texts()
    return page.locator("#sp-panel .sp-label").inner_text() + " ".join(bars)


def test_a_task_is_taught_tried_and_goes_on_from_its_zip(
    browser: Browser, server: str, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    page = open_page(browser, server)
    open_teach(page)
    page.get_by_label("Title of the task").fill("Two words")
    for word in WORDS:
        add_label(page, word)
        give(page, word, *clips[word])
        expect(card(page, word).locator(".sp-card-said")).to_contain_text("3 clips added")
    page.locator("#sp-teach-run").click()
    expect(page.locator("#sp-teach-panel [role=progressbar]")).to_be_visible()
    expect(taught(page)).to_contain_text("right of 6 clips held out")
    kept = save_lesson(page, tmp_path)
    assert kept.name == "taught_two_words_with_recordings.zip"
    answer = try_in_try_tab(page, "Two words", clips["stop"][0])
    assert answer.startswith("stop")
    other = open_page(browser, server)  # somebody else does not see it
    assert "Two words" not in other.locator("#sp-task").inner_text()
    other.context.close()

    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()  # everything is in the zip: nothing is asked
    page.wait_for_selector("#sp-task")
    assert not asked and "Two words" not in page.locator("#sp-task").inner_text()
    open_teach(page)
    open_files(page, kept)
    expect(page.locator("#sp-teach-status")).to_contain_text("2 labels, 6 clips")
    expect(page.get_by_label("Title of the task")).to_have_value("Two words")
    expect(card(page, "yes").locator(".sp-clips li")).to_have_count(3)
    assert try_in_try_tab(page, "Two words", clips["stop"][0]) == answer
    page.context.close()


def test_the_ready_made_lesson_goes_to_an_answer_in_try_and_live(browser: Browser, server: str) -> None:
    page = open_page(browser, server)
    open_teach(page)
    page.get_by_role("button", name="Try a ready-made lesson").click()
    expect(page.locator(".sp-clips li")).to_have_count(12)
    taught(page).get_by_role("button", name="Use it in Try").click()
    expect(page.locator("#sp-task-hint")).to_contain_text("Right")
    page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / "lesson" / "cat_2.flac")
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text("Bed, cat or happy")
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("cat")
    page.get_by_role("tab", name="Teach").click()
    page.get_by_role("button", name="Use it in Live").click()
    expect(page.locator("#sp-live-task")).to_have_value("taught_bed_cat_or_happy")
    assert "tab=live" in page.url
    page.context.close()


def test_mistakes_get_one_sentence_beside_what_they_are_about_and_go_away_on_a_phone(
    browser: Browser, server: str, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    page = open_page(browser, server, PHONE)
    open_teach(page)
    add_label(page, "yes")
    give(page, "yes", *clips["yes"][:2])
    expect(page.locator(".sp-clips li")).to_have_count(2)
    (tmp_path / "notes.wav").write_text("no sound here")
    give(page, "yes", clips["yes"][2], tmp_path / "notes.wav")
    fault = card(page, "yes").get_by_role("alert")
    expect(fault).to_contain_text("notes.wav: The file cannot be read as sound")
    expect(fault).to_be_in_viewport()
    expect(page.locator(".sp-clips li")).to_have_count(2)
    page.locator("#sp-teach-run").click()
    complaint = page.locator("#sp-teach-panel [role=alert]")
    expect(complaint).to_contain_text("A task needs 2 to 10 labels; here is 1.")
    expect(complaint).to_be_in_viewport()
    page.get_by_role("button", name="Remove yes0.wav of yes").click()
    expect(page.locator(".sp-clips li")).to_have_count(1)
    expect(page.locator("#sp-board [role=alert], #sp-teach-panel [role=alert]")).to_have_count(0)
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no zip")
    open_files(page, tmp_path / "bad.zip")
    expect(page.locator("#sp-teach-status [role=alert]")).to_contain_text("not a zip, or a damaged one")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.context.close()


def test_what_would_be_lost_is_asked_about(
    browser: Browser, server: str, clips: dict[str, list[Path]]
) -> None:
    page = open_page(browser, server)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    open_teach(page)
    add_label(page, "yes")
    give(page, "yes", clips["yes"][0])
    expect(page.locator(".sp-clips li")).to_have_count(1)
    page.evaluate("location.reload()")
    page.wait_for_timeout(1000)
    assert asked == ["beforeunload"]
    expect(page.locator(".sp-clips li")).to_have_count(1)
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 recording")
    page.get_by_role("button", name="Keep everything").click()
    expect(page.locator(".sp-clips li")).to_have_count(1)
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("dialog").get_by_role("button", name="Start again").click()
    expect(page.locator(".sp-label-card")).to_have_count(0)
    page.context.close()


def test_a_voice_is_recorded_into_a_card_and_asked_of_the_new_task(
    page_recording: Callable[..., Page], clips: dict[str, list[Path]]
) -> None:
    page = page_recording(clips["yes"][0])
    open_teach(page)
    add_label(page, "stop")
    give(page, "stop", *clips["stop"])
    add_label(page, "yes")
    mine = card(page, "yes")
    before = mine.bounding_box()
    mine.get_by_role("button", name="Record yes", exact=True).click()
    expect(mine.get_by_role("button", name="Stop recording yes")).to_be_visible()
    add_label(page, "other")  # what changes elsewhere does not end it
    page.wait_for_timeout(2500)
    mine.get_by_role("button", name="Stop recording yes").click()
    expect(mine.locator(".sp-card-said")).to_contain_text("Recording 1 is here.")
    assert mine.bounding_box() == before  # nothing has moved under the pointer
    mine.get_by_role("button", name="Play Recording 1").click()
    page.wait_for_function("document.querySelector('#sp-teach-player').currentTime > 0")
    page.get_by_role("button", name="Remove the label other").click()
    give(page, "yes", *clips["yes"][1:])
    expect(page.locator(".sp-clips li")).to_have_count(6)
    page.locator("#sp-teach-run").click()
    taught(page)
    record(page.locator("#sp-teach-try"))
    expect(page.locator("#sp-teach-answer .sp-label")).to_contain_text("yes")


def test_the_key_r_records_into_the_card_that_it_stands_on(
    page_recording: Callable[..., Page], clips: dict[str, list[Path]]
) -> None:
    page = page_recording(clips["yes"][0], PHONE)
    open_teach(page)
    add_label(page, "yes")
    add_label(page, "stop")
    give(page, "stop", clips["stop"][0])
    expect(card(page, "stop").locator(".sp-clips li")).to_have_count(1)
    card(page, "yes").get_by_role("button", name="Choose files for yes").focus()
    expect(page.locator("[data-aim]")).to_have_attribute("data-label", "yes")
    page.keyboard.press("r")
    expect(card(page, "yes")).to_have_attribute("data-state", "recording")
    page.wait_for_timeout(1500)
    page.keyboard.press("r")
    expect(card(page, "yes").locator(".sp-clips li")).to_have_count(1)
    expect(card(page, "stop").locator(".sp-clips li")).to_have_count(1)


def test_a_lesson_is_saved_when_its_zip_has_arrived(
    page: Page, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    open_teach(page)
    add_label(page, "yes")
    give(page, "yes", clips["yes"][0])
    cards = page.locator(".sp-label-cards")
    expect(cards).to_have_attribute("data-unsaved", "1")
    page.route("**/file=**.zip", lambda route: route.abort())
    page.get_by_role("button", name="Save with recordings").click()
    expect(page.locator("#sp-teach-status [role=alert]")).to_contain_text("nothing is saved yet")
    expect(cards).to_have_attribute("data-unsaved", "1")
    page.unroute("**/file=**.zip")
    assert save_lesson(page, tmp_path).stat().st_size > 1000
    expect(page.locator("#sp-teach-status")).to_contain_text("Saved")
    expect(cards).to_have_attribute("data-unsaved", "0")


def test_files_that_are_dropped_on_a_card_are_its_recordings(
    page: Page, clips: dict[str, list[Path]]
) -> None:
    open_teach(page)
    for word in WORDS:
        add_label(page, word)
    dropped = [list(path.read_bytes()) for path in clips["stop"][:2]]
    card(page, "stop").locator(".sp-clip-count").evaluate(
        """(on, files) => {
            const moved = new DataTransfer();
            files.forEach((bytes, i) => moved.items.add(new File([new Uint8Array(bytes)], `${i}.wav`)));
            for (const name of ["dragover", "drop"]) {
              on.dispatchEvent(new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: moved }));
            }
        }""",
        dropped,
    )
    expect(card(page, "stop").locator(".sp-clips li")).to_have_count(2)
    expect(card(page, "stop").locator(".sp-card-said")).to_have_text("2 clips added.")
    expect(card(page, "yes").locator(".sp-clips li")).to_have_count(0)
    expect(page.locator(".sp-drop")).to_have_count(0)


def test_who_waits_for_another_lesson_reads_the_place_in_the_queue(page: Page) -> None:
    open_teach(page)
    panel, ready = page.locator("#sp-teach-panel"), page.get_by_text("Add two labels at least")
    expect(ready).to_be_visible()
    # gradio writes it so, into the block of what an event shows its progress on
    panel.evaluate("""(block) => {
        const text = document.createElement("div");
        text.className = "progress-text";
        text.textContent = "queue: 2/3 | 1.0s";
        block.append(text);
    }""")
    expect(panel.locator(".sp-wait")).to_have_text("You are number 2 of 3 in the queue.")
    expect(ready).to_be_hidden()
    panel.locator(".progress-text").evaluate("(text) => text.remove()")
    expect(ready).to_be_visible()
    shown_on = page.evaluate("""() => {
        const { components, dependencies } = window.gradio_config;
        const id = (name) => components.find((one) => one.props.elem_id === name).id;
        const teach = dependencies.find((one) => one.targets.some(([of]) => of === id("sp-teach-run")));
        return [teach.show_progress_on, id("sp-teach-panel")];
    }""")
    assert shown_on[0] == [shown_on[1]]


def test_a_newcomer_reads_what_to_do_and_a_phone_shows_what_the_new_task_answers(
    browser: Browser, server: str, clips: dict[str, list[Path]]
) -> None:
    page = open_page(browser, server, PHONE)
    open_teach(page)
    expect(page.get_by_role("region", name="How to teach").get_by_role("listitem")).to_have_count(3)
    expect(page.get_by_role("button", name="Save with recordings")).to_be_hidden()
    for word in WORDS:
        add_label(page, word)
        give(page, word, clips[word][0])
    expect(page.get_by_role("region", name="How to teach")).to_have_count(0)
    expect(page.get_by_role("button", name="Save with recordings")).to_be_visible()
    page.locator("#sp-teach-run").click()
    taught(page)
    page.locator("#sp-teach-try input[type=file]").set_input_files(clips["stop"][0])
    expect(page.locator("#sp-teach-answer .sp-label")).to_contain_text("stop")
    expect(page.locator("#sp-teach-answer [role=status]").first).to_contain_text("My words: stop")
    assert above_the_record_button(page, "#sp-teach-answer .sp-brief")
    page.context.close()


SPEAKER = """#!/bin/sh
# Stands for espeak-ng: the last argument names the label, whose recording is what it says.
for label; do :; done
exec cat "{folder}/$label.wav"
"""


def test_labels_without_recordings_are_spoken(
    browser: Browser, clips: dict[str, list[Path]], tmp_path: Path
) -> None:
    """By espeak-ng where it is installed, else by a program of its name that plays recordings."""
    path = os.environ["PATH"]
    if shutil.which("espeak-ng") is None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "espeak-ng").write_text(SPEAKER.format(folder=tmp_path))
        (tmp_path / "bin" / "espeak-ng").chmod(0o755)
        for word in WORDS:
            shutil.copy(clips[word][1], tmp_path / f"{word}.wav")
        path = f"{tmp_path / 'bin'}{os.pathsep}{path}"
    (tmp_path / "app").mkdir()
    with app_process(tmp_path / "app", GRADIO_TEMP_DIR=str(tmp_path / "g"), PATH=path) as (_, address):
        page = open_page(browser, address)
        open_teach(page)
        for word in (*WORDS, "7"):
            add_label(page, word)
        expect(page.locator("#sp-teach-panel")).to_contain_text("7: only words can be spoken")
        page.get_by_role("button", name="Remove the label 7").click()
        expect(page.locator("#sp-teach-panel")).to_contain_text(
            "Ready: 2 labels, 0 clips. yes, stop: the computer"
        )
        page.locator("#sp-teach-run").click()
        expect(taught(page)).to_contain_text("spoken by espeak-ng, as there are no recordings")
        assert try_in_try_tab(page, "My words", clips["stop"][0]).startswith("stop")
        page.context.close()
