"""A visitor who chooses while something is on its way keeps what was chosen, and a link that is too old says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, Route, expect

from .conftest import EXAMPLES, open_page

AT_ONCE = (
    "**/run/predict*"  # what the page asks outside of the queue: contents of tabs, examples, another task
)


@contextmanager
def held(page: Page) -> Iterator[list[Route]]:
    """The server is slow: what is asked for within the block gets its answer after it."""
    waiting: list[Route] = []
    page.route(AT_ONCE, lambda route: waiting.append(route))
    yield waiting
    assert waiting
    for route in waiting:
        route.continue_()
    page.unroute(AT_ONCE)
    page.wait_for_timeout(1500)  # what came is there, and nothing takes the choice back afterwards


def test_a_live_task_that_is_chosen_while_the_tab_opens_stays(page: Page) -> None:
    with held(page), page.expect_request(AT_ONCE):
        page.get_by_role("tab", name="Live").click()
        task = page.get_by_label("Live task")
        task.select_option("spoken_digits")
    expect(task).to_have_value("spoken_digits")
    expect(page.locator(".sp-say:visible")).to_contain_text("9")
    assert task.locator("option").count() > 3


def test_a_recording_that_is_brought_while_compare_opens_stays(page: Page) -> None:
    page.locator(".sp-say .sp-examples button").first.click()
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("yes")
    with held(page):
        page.get_by_role("tab", name="Compare").click()
        page.locator("#sp-compare-audio input[type=file]").set_input_files(EXAMPLES / "stop.flac")
        page.wait_for_function("document.querySelector('#sp-compare-audio audio').src.endsWith('stop.flac')")
    assert page.locator("#sp-compare-audio audio").evaluate("(one) => one.src").endswith("stop.flac")
    expect(page.locator("#sp-compare-panel tr", has_text="Keyword spotting")).to_contain_text("stop")


def test_a_visitor_who_chooses_goes_before_the_address(page: Page, server: str) -> None:
    page.route(AT_ONCE, lambda route: None)
    page.goto(f"{server}/?tab=try&task=spoken_digits&example=seven")
    task = page.get_by_label("Task", exact=True)
    expect(task).to_have_value("spoken_digits")
    page.unroute(AT_ONCE)
    task.select_option("words20")
    page.wait_for_timeout(2000)
    expect(task).to_have_value("words20")
    assert "task=words20" in page.url and "example" not in page.url


def test_back_goes_through_tabs_and_tasks_with_their_titles(page: Page) -> None:
    task = page.get_by_label("Task", exact=True)
    task.select_option("words20")
    page.get_by_role("tab", name="Teach").click()
    page.get_by_role("tab", name="Live").click()
    expect(page).to_have_title("Keyword spotting · Live · SpeechPrompt")
    page.go_back()
    expect(page.get_by_role("tab", name="Teach")).to_have_attribute("aria-selected", "true")
    expect(page).to_have_title("Teach · SpeechPrompt")
    page.go_back()
    expect(page.get_by_role("tab", name="Try")).to_have_attribute("aria-selected", "true")
    expect(task).to_have_value("words20")
    expect(page).to_have_title("Mandarin and English words · SpeechPrompt")
    page.go_forward()
    expect(page.get_by_role("tab", name="Teach")).to_have_attribute("aria-selected", "true")


def test_a_link_to_what_is_no_longer_here_says_so_in_one_sentence(browser: Browser, server: str) -> None:
    page = open_page(browser, f"{server}/?task=whale_songs&example=yes")
    hint = page.locator("#sp-task-hint")
    expect(hint).to_have_text("The link’s task “whale_songs” is no longer here: choose another.")
    assert "whale" not in page.url
    page.get_by_label("Task", exact=True).select_option("spoken_digits")
    expect(hint).to_contain_text("Right")
    page.goto(f"{server}/?task=spoken_digits&example=whale")
    expect(hint).to_have_text("The link’s example “whale” is no longer here: choose another.")
    expect(page.get_by_label("Task", exact=True)).to_have_value("spoken_digits")
    page.context.close()
