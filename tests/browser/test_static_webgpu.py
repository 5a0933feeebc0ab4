"""The page without a server lets a GPU answer as the package does, and loads nothing for it otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright

from tools import static_space

from .conftest import WEB, built

GOLDEN: dict[str, Any] = json.loads((WEB / "test" / "golden.json").read_text(encoding="utf-8"))
TASK = "keyword_spotting"


@built
@pytest.mark.long
def test_webgpu_answers_as_webassembly_does(playwright: Playwright, site: Path) -> None:
    """By a GPU that the processor plays, which the page takes only where the address says so."""
    browser = playwright.chromium.launch(
        executable_path=static_space.chromium(),
        args=["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
    )
    with static_space.served(site) as (address, _):
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
        if not page.evaluate("navigator.gpu && navigator.gpu.requestAdapter().then(Boolean)"):
            pytest.skip("this Chromium plays no GPU")
        assert static_space.ask(page, TASK, "yes.flac")["label"] == "yes"
        assert "threads of WebAssembly" in page.locator(".sp-facts").inner_text()
        assert not [url for url in asked if "/gpu/" in url]  # nobody loads it for nothing
        page.goto(f"{address}?webgpu=on")
        page.wait_for_selector("html[data-webgpu]", timeout=600_000, state="attached")
        assert (
            page.locator("html").get_attribute("data-webgpu") == "WebGPU"
        )  # it has passed the page's own trial
        static_space.choose(page, TASK)
        page.locator(".sp-examples button[data-file='stop.flac']").click()
        page.wait_for_selector(f'.sp-answer[data-task="{TASK}"]', timeout=200_000)
        assert "WebGPU" in page.locator(".sp-facts").inner_text()
        found = page.evaluate("({...document.querySelector('.sp-answer').dataset})")
    (then,) = (one["answers"][TASK] for one in GOLDEN["recordings"] if one["file"] == "stop.flac")
    assert (found["label"], found["fits"]) == (then["label"], then["fits"])
    assert float(found["score"]) == pytest.approx(then["score"], abs=0.01)
    browser.close()
