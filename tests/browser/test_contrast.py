"""What the browser paints can be read: WCAG 2 contrast of every visible text (4.5) and icon (3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .conftest import DESKTOP, PHONE, open_page

# Colours go through a canvas, so that whatever notation the style sheet uses becomes red, green, blue.
PALE = """() => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data];
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgba(getComputedStyle(element).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return [255, 255, 255, 255];
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pale = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    const isText = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const isIcon = element.matches("button svg");
    const hidden = getComputedStyle(element).visibility === "hidden" || element.closest(".sp-sr-only");
    if (!box.width || !box.height || hidden || !(isText || isIcon)) continue;
    seen += 1;
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= getComputedStyle(e).opacity;
    const back = ground(element);
    const front = rgba(getComputedStyle(element).color).map((v, i) => v * opacity + back[i] * (1 - opacity));
    const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const name = element.textContent.trim() || element.closest("button").ariaLabel;
    if (ratio < (isText ? 4.5 : 3)) pale.push(`${name}: ${ratio.toFixed(2)}`);
  }
  return { seen, pale };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_text_and_icon_has_enough_contrast(
    browser: Browser, server: str, size: tuple[int, int], scheme: str
) -> None:
    page = open_page(browser, server, size, scheme)
    empty = page.evaluate(PALE)
    page.locator(".sp-examples button").first.click()
    page.locator(".sp-answer").wait_for()
    page.wait_for_timeout(500)
    answered = page.evaluate(PALE)
    page.locator("#sp-audio input[type=file]").set_input_files(Path(__file__))  # no recording
    page.locator("#sp-panel [role=alert]").wait_for()
    page.wait_for_timeout(500)  # it fades in
    failed = page.evaluate(PALE)
    page.get_by_role("tab", name="Compare").click()
    page.locator("#sp-compare-audio .sp-record").wait_for()
    page.wait_for_timeout(500)
    nothing_compared = page.evaluate(PALE)
    page.locator(".sp-examples button:visible").first.click()
    page.locator("#sp-compare-panel .sp-grid").wait_for()
    page.wait_for_timeout(500)
    compared = page.evaluate(PALE)
    for state in (empty, answered, failed, nothing_compared, compared):
        assert state["seen"] > 20 and state["pale"] == []
    page.context.close()
