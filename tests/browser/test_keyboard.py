"""Without a pointer: teach a task, use it, compare; the focus is seen and never lost."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import EXAMPLES
from .test_compare import ROWS
from .test_teach import card, taught

# Whether what has the focus is marked by an outline of two pixels at least, of its own or of its label.
SEEN = """() => [document.activeElement, document.activeElement.closest("label")].some((one) => {
  const style = one && getComputedStyle(one);
  return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
})"""


def to_tab(page: Page, name: str) -> None:
    tab = page.get_by_role("tab", name=name)
    tab.focus()
    page.keyboard.press("Enter")
    expect(tab).to_have_attribute("aria-selected", "true")


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press the key until the control of that name has the focus; each control on the way shows it."""
    wanted = page.get_by_role("button", name=name, exact=True).or_(page.get_by_label(name, exact=True))
    handle = wanted.and_(page.locator(":visible")).first.element_handle()
    for _ in range(60):
        page.keyboard.press(key)
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
        if handle.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"The key {key} does not reach {name!r}.")


def test_a_task_is_taught_and_used_by_keys_alone(page_recording: Callable[..., Page]) -> None:
    page = page_recording(EXAMPLES / "yes.flac", (1280, 720))
    to_tab(page, "Teach")
    tab_to(page, "Name of a label")
    for word in ("yes", "stop", "go"):  # the field has the focus again after each
        page.keyboard.type(word)
        page.keyboard.press("Enter")
        expect(card(page, word)).to_be_visible()
        expect(page.get_by_label("Name of a label")).to_be_focused()
        expect(page.get_by_label("Name of a label")).to_have_value("")

    tab_to(page, "Record stop", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(card(page, "stop")).to_have_attribute("data-state", "recording")
    page.wait_for_timeout(1200)
    page.keyboard.press("Enter")
    expect(card(page, "stop").locator(".sp-clips li")).to_have_count(1)
    expect(page.get_by_role("button", name="Record stop")).to_be_focused()
    tab_to(page, "Record yes", "Shift+Tab")
    for n in (1, 2):  # R records into the card that has the focus
        page.keyboard.press("r")
        expect(card(page, "yes")).to_have_attribute("data-state", "recording")
        page.wait_for_timeout(2000)  # as long as the other label's, it could be the same sound
        page.keyboard.press("r")
        expect(card(page, "yes").locator(".sp-clips li")).to_have_count(n)

    tab_to(page, "Remove Recording 2 of yes")
    page.keyboard.press("Enter")
    expect(card(page, "yes").locator(".sp-clips li")).to_have_count(1)
    expect(page.get_by_role("button", name="Remove Recording 1 of yes")).to_be_focused()
    tab_to(page, "Remove the label go")
    page.keyboard.press("Enter")
    expect(card(page, "go")).to_have_count(0)
    expect(page.get_by_label("Name of a label")).to_be_focused()

    tab_to(page, "Teach", "Shift+Tab")
    page.keyboard.press("Enter")
    taught(page)
    tab_to(page, "Use it in Try")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Try")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Task", exact=True)).to_be_focused()
    expect(page.locator("#sp-task option:checked")).to_have_text("My words")


def test_a_recording_is_compared_by_keys_alone(page: Page) -> None:
    to_tab(page, "Compare")
    tab_to(page, "yes")
    page.keyboard.press("Enter")
    expect(page.locator(ROWS).first).to_be_visible()
    tab_to(page, "Cards")
    page.keyboard.press("Enter")
    expect(page.locator(".sp-cards")).to_be_visible()
    tab_to(page, "Table", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(ROWS).first).to_be_visible()
    tab_to(page, "Download as CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".csv")
