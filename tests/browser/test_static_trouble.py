"""What goes wrong on the page without a server gets one sentence each, and nothing is lost by it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, Playwright

from speechprompt.audio.load import load
from speechprompt.backbone import Backbone
from speechprompt.teaching import lesson_zip
from tools import static_space

from .conftest import EXAMPLES, built, launch

pytestmark = built
LESSON = ("bed", "cat")
# The page's own audio contexts, so that a test can do to them what a browser does to a tab that sleeps.
CONTEXTS = """window.contexts = [];
    window.AudioContext = class extends AudioContext { constructor() { super(); contexts.push(this); } };"""


@contextmanager
def opened(playwright: Playwright, address: str, script: str = "", allowed: bool = True) -> Iterator[Page]:
    browser = launch(playwright, allowed=allowed)
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.set_default_timeout(static_space.ANSWER_MS)
    page.add_init_script(script)
    page.goto(address)
    yield page
    browser.close()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with static_space.served(site) as (address, _):
        yield address


@pytest.fixture
def open_page(playwright: Playwright, address: str) -> Iterator[Callable[..., Page]]:
    """Call it with JavaScript that runs before the page's, and whether the microphone is allowed: the page, loaded."""
    with ExitStack() as stack:

        def make(script: str = "", allowed: bool = True) -> Page:
            page = stack.enter_context(opened(playwright, address, script, allowed))
            page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
            return page

        yield make


def sentence(page: Page) -> str:
    return page.locator("#sp-panel .sp-alert p").inner_text()


def test_a_folder_opened_as_a_file_says_how_to_serve_it(playwright: Playwright, site: Path) -> None:
    with opened(playwright, (site / "index.html").as_uri()) as page:
        text = page.locator("#sp-loading").inner_text()
        assert "run `python -m http.server` in its folder and open http://localhost:8000" in text
        assert page.locator("#sp-progress").count() == 0  # nothing seems to load


def test_without_simd_the_page_says_which_browsers_have_it(playwright: Playwright, address: str) -> None:
    with opened(playwright, address, "WebAssembly.validate = () => false") as page:
        page.wait_for_selector(".sp-alert")
        assert "has no SIMD: use Chrome, Edge, Firefox or Safari" in page.locator(".sp-alert p").inner_text()


def test_a_full_storage_is_told_and_the_page_answers(playwright: Playwright, address: str) -> None:
    with opened(playwright, "about:blank") as page:
        quota = {"origin": address.rstrip("/"), "quotaSize": 100_000}
        page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", quota)
        page.goto(address)
        page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
        page.get_by_text("storage is full: the page works, but will need the network again").wait_for()
        assert static_space.ask(page, "keyword_spotting", "yes.flac")["label"] == "yes"


def test_a_denied_microphone_says_how_to_allow_it(open_page: Callable[..., Page]) -> None:
    page = open_page(allowed=False)
    for tab, button in (("Try", "Record"), ("Live", "Start listening")):
        page.get_by_role("tab", name=tab).click()
        page.locator(f"#sp-tab-{tab}").get_by_role("button", name=button, exact=True).click()
        told = page.locator(f"#sp-tab-{tab} .sp-alert p")
        told.wait_for()
        assert "allow it in the address bar, or choose a file" in told.inner_text()


def test_what_was_recorded_before_the_tab_slept_is_kept(open_page: Callable[..., Page]) -> None:
    page = open_page(CONTEXTS)
    page.get_by_role("tab", name="Teach").click()
    card = page.get_by_label("Label 1").first
    card.get_by_role("button", name="Record", exact=True).click()
    card.get_by_text(re.compile(r"[1-9]\.\d s")).wait_for()
    page.get_by_role("button", name="Add a label").click()  # would take the recorder away
    page.get_by_text("A card is recording: stop that first.").wait_for()
    page.evaluate("contexts.at(-1).suspend()")
    page.locator(".sp-clips li").first.wait_for()
    page.get_by_text("The recording ended early, as this tab was put to sleep").wait_for()
    page.get_by_role("tab", name="Try").click()
    page.get_by_role("button", name="Record", exact=True).and_(page.locator("#sp-tab-Try *")).click()
    assert page.locator("#sp-notice").inner_text() == ""
    page.locator("#sp-tab-Try [data-part=time]").get_by_text(re.compile(r"[1-9]\.\d s")).wait_for()
    page.evaluate("contexts.at(-1).suspend()")
    page.wait_for_selector(".sp-answer, #sp-panel .sp-alert")
    assert "what was recorded is kept" in page.locator("#sp-notice").inner_text()  # beside what was answered
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start listening").click()
    page.get_by_role("button", name="Stop listening").wait_for()
    page.evaluate("contexts.at(-1).suspend()")
    page.get_by_text("Listening ended, as this tab was put to sleep").wait_for()


# A browser whose person thinks for a second about every microphone, and counts those that run.
SLOW = """window.running = 0; const devices = navigator.mediaDevices; const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (what) => { await new Promise((then) => setTimeout(then, 1000));
        const stream = await ask(what); running++; const [track] = stream.getTracks();
        const stop = track.stop.bind(track);
        track.stop = () => { running--; stop(); }; return stream; };"""


def test_who_presses_twice_while_the_browser_asks_starts_one_microphone(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(SLOW)
    for tab, start, stop in (("Try", "Record", "Stop"), ("Live", "Start listening", "Stop listening")):
        page.get_by_role("tab", name=tab).click()
        panel = page.locator(f"#sp-tab-{tab}")
        for _ in range(2):
            panel.get_by_role("button", name=start, exact=True).click()
        panel.get_by_role("button", name=stop, exact=True).wait_for()
        page.wait_for_timeout(1500)
        assert page.evaluate("running") == 1
        panel.get_by_role("button", name=stop, exact=True).click()
        assert page.evaluate("running") == 0


def test_files_that_cannot_be_answered_leave_the_recording_before_them(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page()
    static_space.ask(page, "keyword_spotting", "yes.flac")
    second = io.BytesIO()
    soundfile.write(second, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000, format="MP3")
    half_an_hour = second.getvalue() * 1800
    box = b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00M4A mp42isom\x00\x00\x00\x00"
    for name, data, expected in (
        ("voice.m4a", box + bytes(5000), "cannot decode the file: choose a recording such as WAV"),
        ("long.mp3", half_an_hour, "the limit is 60 s: cut it into parts"),
        ("letter.wav", b"Dear Sir" * 100, "cannot decode the file"),
        ("nothing.wav", b"", "0 bytes"),
    ):
        page.evaluate("document.querySelector('#sp-panel').replaceChildren()")
        file = {"name": name, "mimeType": "audio/*", "buffer": data}
        page.set_input_files("#sp-tab-Try [data-part=input]", file)
        page.wait_for_selector("#sp-panel .sp-alert")
        assert expected in sentence(page), name
    page.select_option("#sp-task", "language_id")  # asks about the recording that is there
    page.wait_for_selector('.sp-answer[data-task="language_id"]')


def test_a_lesson_of_python_comes_in_whole_and_asks_before_it_replaces(
    open_page: Callable[..., Page],
) -> None:
    lesson = lesson_zip.LessonFile(format_version=1, title="Two words", labels=LESSON, language="English")
    clips = [
        (word, f"{word}_{i}", (32767 * load(EXAMPLES / "lesson" / f"{word}_{i}.flac")).astype(np.int16))
        for word in LESSON
        for i in (1, 2)
    ]
    data = lesson_zip.pack(lesson, clips, Backbone.load("mini").prompt("keyword_spotting"))
    page = open_page()
    page.get_by_role("tab", name="Teach").click()

    def give() -> None:
        file = {"name": "lesson.zip", "mimeType": "application/zip", "buffer": data}
        page.set_input_files("[data-part=zip]", file)

    def cards() -> dict[str, int]:
        found = page.locator(".sp-cards > .sp-card").all()
        return {
            card.locator("input[type=text]").input_value(): card.locator(".sp-clips li").count()
            for card in found
        }

    give()
    page.get_by_text("can be asked now").wait_for()
    assert cards() == {"bed": 2, "cat": 2}
    page.locator(".sp-cards input[type=text]").first.fill("sofa")
    give()
    page.get_by_text("This lesson has 4 clips of 2 labels; what comes has 2 labels.").wait_for()
    page.get_by_role("button", name="Keep it as it is").click()
    assert cards() == {"sofa": 2, "cat": 2}
    give()
    page.get_by_role("button", name="Add to this lesson").click()
    assert cards() == {"sofa": 2, "cat": 4, "bed": 2}
    page.get_by_label("Label 1").first.get_by_role("button", name="Remove the label").click()
    page.get_by_text("sofa has 2 clips, which would be gone.").wait_for()
    page.get_by_role("button", name="Remove it").click()
    assert cards() == {"cat": 4, "bed": 2}
    give()
    page.get_by_role("button", name="Replace this lesson").click()
    assert cards() == {"bed": 2, "cat": 2}
