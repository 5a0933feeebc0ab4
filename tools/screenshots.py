"""Make the README's pictures from the running app: `python -m tools.screenshots`.

Starts app.py, uses it in a real browser as a visitor would (clicks an example, teaches three words, speaks
three) and writes what is above the fold to docs/images/*.png, with the digests of the prompts that were shown, so
that a test can tell when they are out of date. Needs what the browser tests need; takes about a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from speechprompt.backbone import Backbone
from speechprompt.storage.folders import sha256_file
from tests.browser.conftest import (
    PHONE,
    ROOT,
    launch,
    open_page,
    takes,
    wait_for_page,
    words_in_a_row,
)
from tests.browser.test_teach import add_label, give

BACKBONE = "mini"  # whose prompts the pictures show
MADE_WITH = "prompts.json"  # beside the pictures: task -> digest of the prompt that they show
DESKTOP = (1280, 720)
PICTURES = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
}
EXAMPLE = 0  # index of the example that is shown
WORDS = ("yes", "stop", "right")


def shown_prompts() -> dict[str, str]:
    """Task -> sha256 of the prompt's weights, of every task that the pictures show."""
    backbone = Backbone.load(BACKBONE)
    return {
        task: sha256_file(backbone.prompt_folder(task) / "prompt.safetensors")
        for task in sorted(backbone.prompts)
    }


def compare(page: Page, folder: Path) -> None:
    page.locator("#sp-compare-audio").wait_for()
    page.locator(".sp-examples button:visible").nth(EXAMPLE).click()
    page.wait_for_selector("#sp-compare-panel .sp-grid tbody tr")


def teach(page: Page, folder: Path) -> None:
    page.get_by_label("Title of the task").fill("Three words")
    for word in WORDS:
        add_label(page, word)
        clips = takes(word, 5, folder)
        give(page, *clips)
        page.get_by_text("5 clips added.").wait_for()
    page.locator("#sp-teach-run").click()
    page.wait_for_selector("#sp-teach-panel .sp-taught")
    page.locator("#sp-teach-try input[type=file]").set_input_files(clips[-1])
    page.wait_for_selector("#sp-teach-answer .sp-label")


def live(page: Page, folder: Path) -> None:
    page.get_by_role("button", name="Start listening").click()
    page.locator(".sp-live-history li").nth(len(WORDS) - 1).wait_for()


TABS: dict[str, Callable[[Page, Path], None]] = {"Compare": compare, "Teach": teach, "Live": live}


def main() -> None:
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "log"
        with log_path.open("w") as log:
            app = subprocess.Popen(
                [sys.executable, "-u", str(ROOT / "app.py")], stdout=log, stderr=subprocess.STDOUT
            )
        try:
            address = wait_for_page(app, log_path)
            with sync_playwright() as playwright:
                browser = launch(playwright, "--hide-scrollbars")
                # The first page is thrown away: its timing would be that of models still being loaded.
                for name, (size, scheme) in [("", (DESKTOP, "light")), *PICTURES.items()]:
                    page = open_page(browser, address, size, scheme)
                    page.locator(".sp-examples button").nth(EXAMPLE).click()
                    page.wait_for_selector(".sp-answer")
                    page.wait_for_timeout(1500)
                    if not name:
                        page.context.close()
                        continue
                    page.mouse.move(0, 0)
                    page.evaluate("document.activeElement.blur()")
                    page.screenshot(path=images / f"{name}.png", full_page=False)
                    page.context.close()
                for tab, use in TABS.items():
                    microphone = words_in_a_row(WORDS, Path(folder) / "words.wav")
                    running = launch(playwright, "--hide-scrollbars", microphone)
                    page = open_page(running, address, DESKTOP)
                    page.get_by_role("tab", name=tab).click()
                    page.wait_for_timeout(1500)
                    use(page, Path(folder))
                    page.wait_for_timeout(1500)
                    page.screenshot(path=images / f"{tab.lower()}.png", full_page=False)
                    running.close()
            made_with = json.dumps(shown_prompts(), indent=2) + "\n"
            (images / MADE_WITH).write_text(made_with, encoding="utf-8")
        finally:
            app.terminate()
            app.wait(20)


if __name__ == "__main__":
    main()
