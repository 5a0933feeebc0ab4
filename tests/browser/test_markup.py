"""Nothing that people name runs in the page: titles, labels, folders and files that hold markup, in every tab.

Whether it runs is what is looked at: every name here notes itself in `ran` when a browser takes it for HTML.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from speechprompt.models import lm_config, unit_lm
from speechprompt.prompts.archive import pack
from tests import tiny

from .conftest import DESKTOP, EXAMPLES, launch, open_page, running_app, words_in_a_row

PATIENT = 120_000  # ms that a teaching may take on a busy machine


def markup(name: str) -> str:
    return f"<img src=x onerror=ran.push('{name}')>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with a backbone of ours whose own names and whose tasks' are markup."""
    labels = tuple(markup(f"label {n}") for n in "abc")
    facts = {"title": markup("title"), "group": markup("g")}
    words = tiny.make_prompt("words", labels, **facts)
    slots = tiny.make_prompt(
        "slots", (*labels, "x"), kind="slots", slots={markup("s"): 2, "colour": 2}, seed=1, **facts
    )
    spelt = tiny.make_prompt("spelt", labels, kind="sequence", max_steps=3, seed=2, **facts)
    folder = tiny.make_backbone(tmp_path_factory.mktemp("root"), prompts=(words, slots, spelt))
    info = json.loads((folder / "backbone.json").read_text())
    info |= {"title": markup("backbone"), "description": markup("description")}
    (folder / "backbone.json").write_text(json.dumps(info))
    with running_app(tmp_path_factory.mktemp("app"), "--backbone", str(folder)) as address:
        yield address


@pytest.fixture
def opened(
    playwright: Playwright, browser: Browser, hostile: str, tmp_path: Path
) -> Iterator[Callable[..., Page]]:
    """Call it for a page that notes what ran; with a microphone that plays two words if told to."""
    with ExitStack() as stack:

        def make(microphone: bool = False) -> Page:
            running = browser
            if microphone:
                running = launch(playwright, words_in_a_row(["yes", "stop"], tmp_path / "words.wav"))
                stack.callback(running.close)
            page = open_page(running, hostile, DESKTOP, script="window.ran = [];")
            stack.callback(page.context.close)
            return page

        yield make


def upload(page: Page, recorder: str, clip: Path) -> None:
    page.locator(f"{recorder} input[type=file]").set_input_files(clip)


def nothing_ran(page: Page) -> bool:
    page.wait_for_timeout(500)  # a picture that fails does so later
    return page.evaluate("window.ran") == []


def test_the_test_sees_what_runs(opened: Callable[..., Page]) -> None:
    page = opened()
    assert nothing_ran(page)
    page.evaluate("html => document.querySelector('.sp-panel').innerHTML = html", markup("control"))
    page.wait_for_function("window.ran.length")
    assert page.evaluate("window.ran") == ["control"]


def test_try_and_compare(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened()
    clip = tmp_path / f"{markup('file')}.wav"
    soundfile.write(clip, *soundfile.read(EXAMPLES / "yes.flac"))
    upload(page, "#sp-audio", clip)
    for task in ("words", "slots", "spelt"):
        page.locator("#sp-task").select_option(task)
        expect(page.locator("#sp-panel .sp-answer")).to_be_visible()
        expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text(markup("title"))
        assert nothing_ran(page)
    page.locator(".sp-history > summary").click()
    expect(page.locator(".sp-history li")).to_have_count(3)
    expect(page.locator(".sp-history li > span").first).to_have_text(markup("title"))
    page.reload()
    expect(page.locator(".sp-history li")).to_have_count(3)
    assert nothing_ran(page)
    upload(page, "#sp-audio", clip)
    page.get_by_role("tab", name="Compare").click()

    def ours(part: str) -> Locator:
        return page.locator(f"#sp-compare-panel {part}", has_text=markup("title"))

    expect(ours(".sp-one")).to_have_count(3, timeout=PATIENT)
    expect(ours(".sp-grid tbody tr")).to_have_count(3)
    assert nothing_ran(page)
    status = page.locator(".sp-sr-only[role=status]").nth(1)
    expect(status).to_contain_text(markup("title"))  # as text, all of it


def test_teach(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened()
    page.get_by_role("tab", name="Teach").click()
    page.get_by_label("Title of the task").fill(markup("taught"))
    page.get_by_label("Name of a label").fill(markup("typed"))
    page.get_by_label("Name of a label").press("Enter")
    name = page.get_by_label("Name of label 1")
    expect(name).to_have_value(markup("typed"))
    name.fill(markup("renamed"))
    name.press("Enter")
    expect(page.locator(".sp-card-said").first).to_contain_text("It is called")
    expect(name).to_have_value(markup("renamed"))
    archive = tmp_path / f"{markup('archive')}.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for word, folder in (("yes", markup("folder")), ("stop", markup("renamed"))):
            for n in range(3):
                packed.writestr(
                    f"{folder}/{n}{markup('clip')}.flac", (EXAMPLES / f"{word}.flac").read_bytes()
                )
    page.locator("#sp-teach-files input[type=file]").set_input_files(archive)
    expect(page.locator(".sp-clips li")).to_have_count(6)
    assert nothing_ran(page)
    page.get_by_role("button", name="Play 0").first.click()
    page.wait_for_function("document.querySelector('#sp-teach-player').src")
    page.locator("#sp-teach-run").click()
    expect(page.locator("#sp-teach-result .sp-taught")).to_be_visible(timeout=PATIENT)
    assert nothing_ran(page)
    upload(page, "#sp-teach-try", EXAMPLES / "yes.flac")
    expect(page.locator("#sp-teach-answer .sp-label")).to_be_visible()
    assert nothing_ran(page)
    page.get_by_role("tab", name="Try").click()
    value = page.locator("#sp-task option", has_text=markup("taught")).get_attribute("value")
    page.locator("#sp-task").select_option(value)
    upload(page, "#sp-audio", EXAMPLES / "yes.flac")
    expect(page.locator("#sp-panel .sp-verdict > .sp-eyebrow")).to_have_text(markup("taught"))
    assert nothing_ran(page)


def test_a_prompt_that_comes_in_a_zip(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened()
    unit_lm.save(tiny.make_lm(), tmp_path / "unit_lm")
    sha256 = lm_config.sha256(tmp_path / "unit_lm")
    labels = (markup("label"), "b")
    prompt = tiny.make_prompt("from_elsewhere", labels, title=markup("packed"), sha256=sha256)
    (tmp_path / "prompt.zip").write_bytes(pack(prompt))
    page.get_by_role("tab", name="Teach").click()
    page.locator("#sp-teach-files input[type=file]").set_input_files(tmp_path / "prompt.zip")
    expect(page.locator("#sp-teach-result .sp-taught")).to_contain_text(markup("packed"))
    assert nothing_ran(page)
    page.get_by_role("tab", name="Try").click()
    upload(page, "#sp-audio", EXAMPLES / "yes.flac")
    verdict = page.locator("#sp-panel .sp-verdict > .sp-eyebrow")
    expect(verdict).to_have_text(markup("title"), timeout=PATIENT)
    page.locator("#sp-task").select_option("from_elsewhere")
    expect(verdict).to_have_text(markup("packed"), timeout=PATIENT)
    expect(page.locator(".sp-sr-only[role=status]").first).to_contain_text(markup("packed"))
    assert nothing_ran(page)


def test_live(opened: Callable[..., Page]) -> None:
    page = opened(microphone=True)
    page.get_by_role("tab", name="Live").click()
    page.wait_for_timeout(1000)  # the tab asks for its tasks as it opens
    page.locator("#sp-live-task").select_option("words")
    expect(page.locator("#sp-live-task")).to_have_value("words")
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator(".sp-live-history li bdi").first).to_contain_text("<img")
    expect(page.locator(".sp-sr-only[role=status]").last).to_contain_text("<img")
    assert nothing_ran(page)
