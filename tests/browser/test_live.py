"""Somebody speaks to the Live tab: a browser whose microphone plays words in a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from .conftest import DESKTOP, PHONE, launch, open_page, words_in_a_row
from .test_contrast import PALE


@pytest.fixture
def live_page(playwright: Playwright, server: str, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Call it with names of clips: the Live tab of a page whose microphone plays them once, in some noise."""
    with ExitStack() as stack:

        def make(names: list[str], size: tuple[int, int] = DESKTOP) -> Page:
            running = launch(playwright, words_in_a_row(names, tmp_path / "words.wav"))
            stack.callback(running.close)
            return open_tab(running, server, size)

        yield make


def open_tab(browser: Browser, server: str, size: tuple[int, int], scheme: str = "light") -> Page:
    page = open_page(browser, server, size, scheme)
    page.get_by_role("tab", name="Live").click()
    expect(page.get_by_role("button", name="Start listening")).to_be_visible()
    return page


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_words_appear_in_order_and_stopping_stops(
    live_page: Callable[..., Page], size: tuple[int, int]
) -> None:
    page = live_page(["yes", "stop"], size)
    what_to_say = page.locator(".sp-words:visible")
    expect(what_to_say).to_contain_text("Say one of")
    assert "stop" in what_to_say.inner_text() and "silence" not in what_to_say.inner_text()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.get_by_role("button", name="Start listening").click()
    state = page.locator("#sp-live-state")
    expect(state).to_have_text(re.compile("Listening|Hearing"), timeout=30_000)  # the models are being loaded
    expect(state).to_have_text("Hearing speech.")
    answers = page.locator(".sp-live-history li bdi")
    expect(answers).to_have_text(["yes"])
    expect(answers).to_have_text(["stop", "yes"])
    now = page.locator(".sp-live-now")
    expect(now).to_have_attribute("data-kind", "final")
    expect(now.locator("bdi")).to_have_text("stop")
    expect(now).to_be_in_viewport()
    expect(now.locator(".sp-bars li")).to_have_count(3)  # what was answered, and what came next
    expect(now.locator(".sp-bars li").first).to_contain_text("stop")
    unit = now.locator(".sp-live-unit .sp-chip").inner_text()
    assert unit.isdigit() and unit == page.locator(".sp-live-history li .sp-chip").first.inner_text()
    expect(page.locator(".sp-sr-only[role=status]").last).to_contain_text("stop, ")
    assert page.locator(".sp-live-ribbon > i").count() > 10
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.get_by_role("button", name="Stop listening").click()
    expect(state).to_have_text("Not listening.")
    expect(page.get_by_role("meter", name="Microphone level")).to_have_attribute("aria-valuetext", "off")
    expect(answers).to_have_text(["stop", "yes"])  # what was heard stays to be read
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.wait_for_timeout(700)
    assert not sent and not faults
    assert page.evaluate(PALE)["pale"] == []
    page.get_by_role("button", name="Start listening").click()
    expect(state).to_have_text("Listening.")
    expect(answers).to_have_count(0)


def test_another_task_is_asked_while_one_listens(live_page: Callable[..., Page]) -> None:
    page = live_page(["seven"])
    page.get_by_label("Live task").select_option("spoken_digits")
    page.get_by_role("button", name="Start listening").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sp-live-history li bdi")).to_have_text(["7"])
    assert "gender" not in page.locator("#sp-live-task option").evaluate_all(
        "all => all.map((one) => one.value)"
    )
    page.get_by_label("Live backbone").select_option("whisper-mini")
    expect(page.get_by_label("Live task")).to_have_value("spoken_digits")
    expect(page.locator("#sp-live-state")).to_have_text("Listening.")
    expect(page.locator("#sp-live-note")).to_have_text("")
    page.get_by_role("tab", name="Try").click()  # nobody is listened to behind another tab
    page.wait_for_timeout(1000)
    page.go_back()
    assert "tab=live" in page.url and "task=spoken_digits" in page.url
    expect(page.locator("#sp-live-state")).to_have_text("Not listening.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_missing_is_said_in_one_sentence(browser: Browser, server: str, scheme: str) -> None:
    page = open_tab(browser, server, (320, 700), scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.evaluate(
        """() => {
            const denied = () => Promise.reject(new DOMException("", "NotAllowedError"));
            navigator.mediaDevices.getUserMedia = denied;
        }"""
    )
    page.get_by_role("button", name="Start listening").click()
    expect(page.get_by_role("alert")).to_contain_text("did not allow the microphone")
    expect(page.locator("#sp-live-state")).to_have_text("Not listening.")
    painted = page.evaluate(PALE)
    assert painted["seen"] > 10 and painted["pale"] == []
    page.evaluate("() => { Object.defineProperty(navigator, 'mediaDevices', { value: undefined }); }")
    page.get_by_role("button", name="Start listening").click()
    expect(page.get_by_role("alert")).to_contain_text("over https or on this machine")
    page.context.close()


def test_sound_that_could_not_be_sent_goes_with_the_next_message(live_page: Callable[..., Page]) -> None:
    """The network stalls in the middle of a word, and the word is answered all the same."""
    page = live_page(["yes"])
    stalled: list[int] = []

    def slow(route: object) -> None:
        message = json.loads(route.request.post_data)  # type: ignore[attr-defined]
        data = message.get("event_data") or {}
        if data.get("kind") == "sound" and data["sequence"] in (15, 20):  # 1.5 to 2 s in
            stalled.append(data["sequence"])
            page.wait_for_timeout(600)
        route.continue_()  # type: ignore[attr-defined]

    page.route("**/queue/join*", slow)
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator(".sp-live-history li bdi")).to_have_text(["yes"])
    assert stalled
