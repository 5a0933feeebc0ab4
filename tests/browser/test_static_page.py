"""The page without a server answers as the package does, in Chromium with its network cut.

Needs the packages of web/, which `npm ci` there installs, as tests/run.sh does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, Playwright

from speechprompt.audio.load import load
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts import archive
from speechprompt.teaching import lesson_zip
from tools import static_space

from .conftest import ROOT, WEB, built, launch

GOLDEN: dict[str, Any] = json.loads((WEB / "test" / "golden.json").read_text(encoding="utf-8"))
TASK = "keyword_spotting"
WORDS = ("yes", "stop", "right", "yes")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "tags => axe.run(document, { runOnly: { type: 'tag', values: tags } })"


def write_words(path: Path) -> Path:
    """WORDS with pauses between them, at the rate of the fake microphone."""
    room = np.random.default_rng(0)
    parts = []
    for word in WORDS:
        sound = load(ROOT / "examples" / f"{word}.flac")
        parts += [0.0003 * room.standard_normal(16_000), sound]
    parts.append(0.0003 * room.standard_normal(24_000))
    sound = torchaudio.functional.resample(torch.from_numpy(np.concatenate(parts)).float(), 16_000, 48_000)
    soundfile.write(path, sound.numpy(), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def page(playwright: Playwright, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page in Chromium, loaded once; its server is gone, and so is the network."""
    microphone = write_words(tmp_path_factory.mktemp("microphone") / "words.wav")
    browser = launch(playwright, f"--use-file-for-fake-audio-capture={microphone}%noloop")
    with static_space.served(site) as (address, server):
        page = browser.new_context(accept_downloads=True).new_page()
        page.goto(address)
        page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
        server.shutdown()
        server.server_close()
        page.reload()
        page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
        yield page
    browser.close()


@built
def test_the_page_answers_without_a_network(page: Page) -> None:
    assert page.evaluate("crossOriginIsolated")  # so that WebAssembly may use threads
    expected = {one["file"]: one for one in GOLDEN["recordings"]}
    for task, file in (
        ("keyword_spotting", "yes.flac"),
        ("language_id", "read_by_a_child.flac"),
        ("coffee_orders", "coffee_order.flac"),  # slots in a sequence
        ("spelled_words", "stop.flac"),  # beams
        ("sound_events", "rain.flac"),
    ):
        found, then = static_space.ask(page, task, file), expected[file]
        assert found["units"] == then["units"]["ids"]
        assert (found["label"], found["fits"]) == tuple(
            then["answers"][task][name] for name in ("label", "fits")
        )
        assert found["score"] == pytest.approx(then["answers"][task]["score"], abs=0.01)
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_selector("#sp-compare tbody tr", timeout=static_space.ANSWER_MS)
    assert page.locator("#sp-compare tbody tr").count() == len(expected["rain.flac"]["answers"])
    page.get_by_role("tab", name="Try").click()


@built
def test_a_header_of_half_an_hour_is_refused_unread(page: Page) -> None:
    half_an_hour = bytearray(44 + 64)
    size = 1800 * 16_000 * 2
    half_an_hour[:44] = (
        b"RIFF"
        + (36 + size).to_bytes(4, "little")
        + b"WAVEfmt "
        + bytes.fromhex("1000000001000100803e0000007d000002001000")
        + b"data"
        + size.to_bytes(4, "little")
    )
    page.evaluate("document.querySelector('#sp-panel').replaceChildren()")
    file = {"name": "long.wav", "mimeType": "audio/wav", "buffer": bytes(half_an_hour) + bytes(5_000_000)}
    page.set_input_files("#sp-tab-Try [data-part=input]", file)
    page.wait_for_selector("#sp-panel .sp-alert")
    assert "the limit is 60 s: cut it into parts" in page.locator("#sp-panel .sp-alert p").inner_text()


@built
def test_live_answers_each_word(page: Page) -> None:
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start listening").click()
    page.locator(".sp-words-said li").nth(len(WORDS) - 1).wait_for(timeout=90_000)
    page.get_by_role("button", name="Stop listening").click()
    said = page.locator(".sp-words-said li b").all_inner_texts()
    assert said[::-1] == list(WORDS)
    page.get_by_role("tab", name="Try").click()


def upload(page: Page, path: Path, task: str) -> dict[str, Any]:
    static_space.choose(page, task)
    page.set_input_files("#sp-tab-Try [data-part=input]", str(path))
    page.wait_for_selector(f'.sp-answer[data-task="{task}"]', timeout=static_space.ANSWER_MS)
    page.wait_for_selector("#sp-panel:not([aria-busy])", timeout=static_space.ANSWER_MS)
    facts = page.evaluate("({...document.querySelector('.sp-answer').dataset})")
    return {**facts, "score": float(facts["score"])}


@built
def test_a_lesson_is_learnt_and_its_zip_answers_in_python(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Teach").click()
    page.get_by_role("button", name="Take a ready-made lesson").click()
    page.locator(".sp-clips li").nth(11).wait_for()
    page.get_by_role("button", name="Teach", exact=True).click()
    page.wait_for_selector(".sp-taught [data-task]", timeout=static_space.LOAD_MS)
    assert int(page.locator(".sp-taught .sp-label").inner_text().split("\u00a0")[0]) >= 75
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the zip").click()
    download.value.save_as(tmp_path / "lesson.zip")
    kept = lesson_zip.unpack(tmp_path / "lesson.zip")
    assert kept.lesson is not None and kept.prompt is not None
    assert kept.lesson.labels == ("bed", "cat", "happy") and len(kept.files) == 12
    sp = SpeechPrompt.from_pretrained("mini", "cpu")
    prompt = sp.add(kept.prompt)
    page.get_by_role("button", name="Use it in Try").click()
    for clip in sorted((ROOT / "examples" / "lesson").glob("*_1.flac")):
        (answer,) = sp.classify(clip, [prompt.task])
        found = upload(page, clip, prompt.task)
        assert (found["label"], found["fits"]) == (answer.label, answer.fits)
        assert found["score"] == pytest.approx(answer.score, abs=0.01)


def give_zip(page: Page, data: bytes) -> None:
    page.get_by_role("tab", name="Teach").click()
    page.evaluate("document.querySelector('.sp-taught').replaceChildren()")
    file = {"name": "prompt.zip", "mimeType": "application/zip", "buffer": data}
    page.set_input_files("[data-part=zip]", file)
    page.wait_for_selector(".sp-taught > *", timeout=static_space.ANSWER_MS)


@built
def test_a_zip_of_python_answers_in_the_page(page: Page) -> None:
    backbone = Backbone.load("mini")
    prompt = replace(backbone.prompt(TASK), task="my_words", title="My words")
    give_zip(page, archive.pack(prompt))
    assert "My words can be asked now" in page.locator(".sp-taught").inner_text()
    page.get_by_role("button", name="Use it in Try").click()
    yes = ROOT / "examples" / "yes.flac"
    (answer,) = SpeechPrompt(backbone, [prompt]).classify(yes)
    found = upload(page, yes, "my_words")
    assert found["label"] == answer.label and found["score"] == pytest.approx(answer.score, abs=0.01)
    give_zip(page, archive.pack(replace(prompt, unit_lm_sha256="0" * 64, backbone="another")))
    sentence = page.locator(".sp-taught .sp-alert p").inner_text()
    assert "was tuned for the unit LM 000000000000 of backbone another" in sentence
    page.get_by_role("tab", name="Try").click()


# A sum of what moves without anybody's doing, as browsers count it.
SHIFT = """window.shift = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });"""


@built
@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_nothing_moves_while_it_loads_and_answers(page: Page, size: tuple[int, int]) -> None:
    other = page.context.new_page()
    other.set_viewport_size({"width": size[0], "height": size[1]})
    other.add_init_script(SHIFT)
    other.goto(page.url.partition("#")[0])  # its server is gone
    other.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
    for task, file in ((TASK, "yes.flac"), ("coffee_orders", "coffee_order.flac")):
        other.evaluate("task => { const field = document.querySelector('#sp-task'); field.value = task;"
                       " field.dispatchEvent(new Event('change')); }", task)  # fmt: skip
        other.evaluate("file => document.querySelector(`[data-file='${file}']`).click()", file)
        other.wait_for_selector(f'.sp-answer[data-task="{task}"]', timeout=static_space.ANSWER_MS)
        bar = other.locator(".sp-answer .sp-label").bounding_box()
        assert bar and bar["y"] + bar["height"] <= size[1]  # the answer is in the first view
    assert other.evaluate("shift") < 0.05
    other.close()


@built
def test_axe_finds_no_barrier(page: Page) -> None:
    static_space.ask(page, TASK, "yes.flac")
    for scheme, size in (("light", (1280, 720)), ("dark", (390, 844))):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for tab in ("Try", "Compare", "Live", "Teach"):
            page.get_by_role("tab", name=tab).click()
            page.wait_for_selector(
                f"#sp-tab-{tab} [aria-busy]", state="detached", timeout=static_space.ANSWER_MS
            )
            if not page.evaluate("'axe' in window"):
                page.evaluate(AXE_SCRIPT)
            found = page.evaluate(RUN, RULES)
            assert len(found["passes"]) > 10
            barriers = [
                (rule["id"], node["target"]) for rule in found["violations"] for node in rule["nodes"]
            ]
            assert barriers == [], f"{tab}, {scheme}"


def test_a_static_space_needs_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(SpeechPromptError, match="OUT is not empty"):
        static_space.build(ROOT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
