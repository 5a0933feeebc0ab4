"""The README's pictures, taken from the running app in a real browser. Door: `make`."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from speechprompt.backbone import Backbone
from speechprompt.storage.folders import sha256_file
from speechprompt.ui import preview
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
SHARED = (1280, 672)  # in the proportions of preview.WIDTH and HEIGHT
COLOURS = 160  # of a picture: it takes a third of the bytes, and looks the same
PICTURES = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
    "shared": (SHARED, "light"),
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


def take(page: Page, path: Path, size: tuple[int, int] | None = None) -> None:
    """What is above the fold, as a small file; size: pixels that it is brought to."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    with Image.open(io.BytesIO(page.screenshot(full_page=False))) as picture:
        small = picture.convert("RGB")
    if size is not None:
        small = small.resize(size, Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def compare(page: Page, folder: Path) -> None:
    page.locator("#sp-compare-audio").wait_for()
    page.locator(".sp-examples button:visible").nth(EXAMPLE).click()
    page.wait_for_selector("#sp-compare-panel .sp-grid tbody tr")


def teach(page: Page, folder: Path) -> None:
    page.get_by_label("Title of the task").fill("Three words")
    for word in WORDS:
        add_label(page, word)
        clips = takes(word, 5, folder)
        give(page, word, *clips)
        page.get_by_text("5 clips added.").wait_for()
    page.locator("#sp-teach-run").click()
    page.wait_for_selector("#sp-teach-result .sp-taught")
    page.locator("#sp-teach-try input[type=file]").set_input_files(clips[-1])
    page.wait_for_selector("#sp-teach-answer .sp-label")


def live(page: Page, folder: Path) -> None:
    page.get_by_role("button", name="Start listening").click()
    page.locator(".sp-live-history li").nth(len(WORDS) - 1).wait_for()


TABS: dict[str, Callable[[Page, Path], None]] = {"Compare": compare, "Teach": teach, "Live": live}


def make() -> None:
    """Write them to docs/images, and the picture that a shared link shows."""
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
                    if name == "shared":
                        take(page, preview.PICTURE, (preview.WIDTH, preview.HEIGHT))
                    else:
                        take(page, images / f"{name}.png")
                    page.context.close()
                for (tab, use), size in itertools.product(TABS.items(), (DESKTOP, PHONE)):
                    microphone = words_in_a_row(WORDS, Path(folder) / "words.wav")
                    running = launch(playwright, "--hide-scrollbars", microphone)
                    page = open_page(running, address, size)
                    page.get_by_role("tab", name=tab).click()
                    page.wait_for_timeout(1500)
                    use(page, Path(folder))
                    page.wait_for_timeout(1500)
                    take(page, images / f"{tab.lower()}{'-phone' * (size == PHONE)}.png")
                    running.close()
            made_with = json.dumps(shown_prompts(), indent=2) + "\n"
            (images / MADE_WITH).write_text(made_with, encoding="utf-8")
        finally:
            app.terminate()
            app.wait(20)
