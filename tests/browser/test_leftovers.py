"""Every way of asking writes into one folder that nobody else may read, and that is gone when the app ends."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
import zipfile
from pathlib import Path

from gradio_client import Client, handle_file
from playwright.sync_api import Browser, expect

from tests import tiny

from .conftest import EXAMPLES, app_process, open_page

PATIENT = 120_000  # ms that a teaching may take on a busy machine


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def ask_as_agents_do(address: str, clip: Path) -> str:
    """Call the tool `classify` with the recording itself, as `data:`."""
    data = f"data:audio/flac;base64,{base64.b64encode(clip.read_bytes()).decode()}"
    arguments = {"audio_file": data, "task": "colours", "backbone": "tiny"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    call |= {"params": {"name": "classify", "arguments": arguments}}
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"{address}/gradio_api/mcp/", json.dumps(call).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.read().decode()


def test_all_is_in_one_folder_and_sigterm_leaves_nothing(browser: Browser, tmp_path: Path) -> None:
    backbone = tiny.make_backbone(tmp_path / "root")
    places = {name: tmp_path / name for name in ("tmp", "home", "app")}
    for place in places.values():
        place.mkdir()
    variables = {"TMPDIR": str(places["tmp"]), "HOME": str(places["home"])}
    archive = tmp_path / "words.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for word in ("yes", "stop"):
            for n in range(2):
                packed.writestr(f"{word}/{n}.flac", (EXAMPLES / f"{word}.flac").read_bytes())
    with app_process(places["app"], "--backbone", str(backbone), **variables) as (app, address):
        (ours,) = places["tmp"].glob("speechprompt*")

        def check(n: int) -> int:
            """How many files there are now, more than n, all of them ours."""
            found = files(ours)
            assert len(found) > n
            outside = set().union(*map(files, places.values())) - found - {places["app"] / "log"}
            assert not outside
            for path in (ours, *ours.rglob("*")):
                assert path.stat().st_mode & 0o077 == 0 and path.stat().st_uid == os.getuid()
            return len(found)

        n = 0
        client = Client(address, verbose=False, analytics_enabled=False)
        assert client.predict(
            handle_file(str(EXAMPLES / "house.flac")), "colours", "tiny", api_name="/classify"
        )["label"]
        client.close()
        n = check(n)
        assert "'label': " in ask_as_agents_do(address, EXAMPLES / "nine.flac")
        n = check(n)
        page = open_page(browser, address)
        page.locator("#sp-audio input[type=file]").set_input_files(EXAMPLES / "yes.flac")
        expect(page.locator("#sp-panel .sp-answer")).to_be_visible()
        n = check(n)
        page.get_by_role("tab", name="Compare").click()
        expect(page.locator("#sp-compare-csv")).to_be_visible()
        n = check(n)
        page.get_by_role("tab", name="Teach").click()
        page.locator("#sp-teach-files input[type=file]").set_input_files(archive)
        expect(page.locator(".sp-clips li")).to_have_count(4)
        n = check(n)
        page.get_by_role("button", name="Play 0").first.click()
        page.wait_for_function("document.querySelector('#sp-teach-player').src")
        n = check(n)
        page.locator("#sp-teach-run").click()
        expect(page.locator("#sp-teach-result .sp-taught")).to_be_visible(timeout=PATIENT)
        with page.expect_download() as download:
            page.locator("#sp-teach-download").click()
        assert zipfile.is_zipfile(download.value.path())
        check(n)
        page.context.close()
        app.terminate()
        assert app.wait(60) == 0
    assert not list(places["tmp"].iterdir()) and not files(places["home"])
    assert files(places["app"]) == {places["app"] / "log"}
