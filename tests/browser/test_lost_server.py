"""The network goes away while the page is open: one sentence says so, nothing is lost, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from .conftest import EXAMPLES
from .test_bar import answer_example
from .test_teach import add_label, card, give, open_teach

SENTENCE = "The server does not answer: keep the page open"


def cut_off(page: Page, off: bool = True) -> None:
    page.context.set_offline(off)


def test_what_is_asked_while_the_server_is_away_is_answered_when_it_is_back(
    page: Page, tmp_path: Path
) -> None:
    line = page.locator("#sp-lost")
    answer_example(page)
    open_teach(page)
    add_label(page, "yes")

    cut_off(page)
    give(page, "yes", EXAMPLES / "yes.flac")
    expect(line).to_contain_text(SENTENCE)
    page.get_by_role("tab", name="Try").click()
    page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / "right.flac")
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("yes")  # what was there stays
    expect(line).to_have_count(1)
    assert page.locator(".toast-body").count() == 0
    cut_off(page, False)
    expect(line).to_have_count(0)
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("right")

    cut_off(page)
    page.get_by_label("Task", exact=True).select_option("spelled_words")
    expect(line).to_contain_text(SENTENCE)
    cut_off(page, False)
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text("Spelled words")
    open_teach(page)
    expect(card(page, "yes").locator(".sp-clips li")).to_have_count(1)


def test_a_server_that_was_started_anew_is_said_to_be_another(page: Page) -> None:
    answer_example(page)
    page.route("**/gradio_api/queue/join*", lambda route: route.abort())
    page.route("**/gradio_api/app_id", lambda route: route.fulfill(json={"app_id": 1}))
    page.get_by_label("Task", exact=True).select_option("spelled_words")
    expect(page.locator("#sp-lost")).to_contain_text("reload the page")


def test_a_request_that_fails_by_itself_is_given_up_at_once(page: Page) -> None:
    page.route("**/gradio_api/upload*", lambda route: route.abort())
    page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / "right.flac")
    note = page.locator("#sp-audio [role=alert]")
    expect(note).to_contain_text("could not be sent")
    expect(page.locator("#sp-lost")).to_have_count(0)
    page.unroute("**/gradio_api/upload*")
    page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / "right.flac")
    expect(page.locator("#sp-panel .sp-label bdi")).to_have_text("right")
    expect(note).to_be_empty()
