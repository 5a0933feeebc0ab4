"""Make the README's pictures from the running app: `python -m docs.screenshots`.

Starts app.py, clicks an example in a real browser and writes docs/images/*.png. Needs what the browser
tests need.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import DESKTOP, PHONE, ROOT, launch, open_page, wait_for_page

PICTURES = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
}
TABS = ("Compare", "Teach", "Live")
EXAMPLE = 0  # index of the example that is shown


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
                    page.screenshot(path=images / f"{name}.png", full_page=True)
                    page.context.close()
                for tab in TABS:
                    page = open_page(browser, address)
                    page.get_by_role("tab", name=tab).click()
                    page.wait_for_timeout(1500)
                    if tab == "Compare":
                        page.locator(".sp-examples button:visible").nth(EXAMPLE).click()
                        page.wait_for_selector(".sp-cards > article")
                    page.wait_for_timeout(1500)
                    page.screenshot(path=images / f"{tab.lower()}.png", full_page=True)
                    page.context.close()
                browser.close()
        finally:
            app.terminate()
            app.wait(20)


if __name__ == "__main__":
    main()
