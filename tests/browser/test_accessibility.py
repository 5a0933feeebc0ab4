"""axe-core finds no barrier: every tab, empty and with content, light on a desktop and dark on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from .conftest import DESKTOP, EXAMPLES, PHONE, open_page
from .test_compare import LONG, ROWS, open_choices, open_compare
from .test_teach import add_label, give, open_teach, taught

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "tags => axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] })"
# The icon in gradio's footer repeats the word beside it; neither labels nor elem attributes reach it.
KNOWN = {("image-redundant-alt", 'img[alt="Settings"]')}
# Colours count once they stand: gradio fades what waits for an answer, and buttons fade when they change.
SETTLED = """() => !document.querySelector(".pending")
  && document.getAnimations().every((one) =>
    one.playState !== "running" || one.effect.getTiming().iterations === Infinity)"""


def barriers(page: Page) -> list[str]:
    """What axe finds on the page as it is: impact, rule, where, and what to do about it."""
    page.wait_for_timeout(300)  # an answer that was just asked for
    page.wait_for_function(SETTLED)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(RUN, RULES)
    assert len(found["passes"]) > 20  # it has looked
    return [
        f"{rule['impact']} {rule['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
        if (rule["id"], node["target"][-1]) not in KNOWN
    ]


@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, server: str) -> Page:
    return open_page(browser, server, *request.param)


def test_axe_finds_no_barrier_on_any_tab(page: Page) -> None:
    found = {"try, empty": barriers(page)}
    open_compare(page)
    found["compare, empty"] = barriers(page)
    open_teach(page)
    found["teach, empty"] = barriers(page)
    add_label(page, "yes")
    add_label(page, "stop")
    give(page, "stop", EXAMPLES / "stop.flac")
    expect(page.locator(".sp-clips li")).to_have_count(1)
    found["teach, labels"] = barriers(page)
    page.get_by_role("tab", name="Live").click()
    expect(page.locator("#sp-listen")).to_be_visible()
    found["live"] = barriers(page)

    page.get_by_role("tab", name="Try").click()
    page.locator("#sp-audio input[type=file]").set_input_files(Path(__file__))  # no recording
    page.locator("#sp-panel [role=alert]").wait_for()
    found["try, alert"] = barriers(page)
    page.locator(".sp-examples button:visible").first.click()
    page.locator(".sp-answer").wait_for()
    page.locator("#sp-panel details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    found["try, answered"] = barriers(page)
    open_compare(page)  # takes the recording over
    page.locator(ROWS).first.wait_for()
    open_choices(page)
    found["compare, answered"] = barriers(page)

    page.get_by_role("tab", name="Try").click()
    page.locator("#sp-task").select_option("intent_classification")
    page.get_by_role("textbox", name="Units").fill("71 12 63 40 5 5 99 12 71 30")
    page.get_by_role("textbox", name="Units").press("Enter")
    expect(page.locator("#sp-panel .sp-scores")).to_contain_text("action: ", timeout=LONG)
    page.locator("#sp-panel details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    found["try, slots of units"] = barriers(page)
    open_teach(page)
    give(page, "yes", EXAMPLES / "yes.flac")
    expect(page.locator(".sp-clips li")).to_have_count(2)
    page.locator("#sp-teach-run").click()
    taught(page)
    page.locator("#sp-teach-try input[type=file]").set_input_files(EXAMPLES / "yes.flac")
    page.locator("#sp-teach-answer .sp-label").wait_for()
    for fold in ("Push to the Hugging Face Hub", "Add a task from the Hugging Face Hub"):
        page.get_by_role("button", name=fold).click()
    found["teach, taught"] = barriers(page)
    page.get_by_role("tab", name="Try").click()
    for fold in (".sp-history > summary", ".sp-header summary"):
        page.locator(fold).click()
    found["try, history"] = barriers(page)
    page.context.set_offline(True)
    page.evaluate("void fetch(location.pathname)")
    page.locator("#sp-lost").wait_for()
    found["without a server"] = barriers(page)
    faults = [f"{state}: {fault}" for state, faults in found.items() for fault in faults]
    assert not faults, "\n\n".join(faults)
    page.context.close()
