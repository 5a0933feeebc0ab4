"""The page without a server answers as the package does: in Node, and in Chromium with its network cut.

Needs the packages of web/, which `npm ci` there installs, as tests/run.sh does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making.export import onnx_folder
from tools import golden, static_space

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
GOLDEN: dict[str, Any] = json.loads((WEB / "test" / "golden.json").read_text(encoding="utf-8"))
TASK = "keyword_spotting"

built = pytest.mark.skipif(
    shutil.which("npm") is None or not (WEB / "node_modules" / "onnxruntime-web").is_dir(),
    reason="the packages of web/ are not installed: run `npm ci` there, with Node 20 or newer",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mini`, exported; checked on two recordings, as all are asked below."""
    out = tmp_path_factory.mktemp("web") / "models"
    onnx_folder.export(Backbone.load("mini"), out, onnx_folder.example_recordings()[:2])
    return out


def test_the_golden_numbers_are_those_of_the_package() -> None:
    backbone = Backbone.load("mini")
    again = "make it again: python -m tools.golden web/test/golden.json"
    assert GOLDEN["unit_lm_sha256"] == backbone.unit_lm_sha256, again
    assert GOLDEN["encoder_sha256"] == backbone.encoder_sha256, again
    found = golden.of_recordings(backbone, onnx_folder.example_recordings(), [TASK])
    assert [one["file"] for one in found] == [one["file"] for one in GOLDEN["recordings"]], again
    for one, expected in zip(found, GOLDEN["recordings"], strict=True):
        assert one["units"] == expected["units"], again
        (now, then) = (entry["answers"][TASK] for entry in (one, expected))
        score, before = now.pop("score", 0.0), then.get("score", 0.0)
        assert now == {name: value for name, value in then.items() if name != "score"}, again
        assert score == pytest.approx(before, abs=1e-4), again
    for made, expected in zip(golden.of_sounds(), GOLDEN["sounds"], strict=True):
        assert (made["span"], made["silent"], made["no_speech"]) == (
            expected["span"], expected["silent"], expected["no_speech"],
        ), again  # fmt: skip
        for rate, resampled in expected["resampled"].items():
            np.testing.assert_allclose(made["resampled"][rate]["samples"], resampled["samples"], atol=1e-5)
    assert golden.of_stream() == GOLDEN["stream"], again
    fit = golden.of_closed_form()
    np.testing.assert_allclose(fit["weight"], GOLDEN["closed_form"]["weight"], atol=1e-5)


@built
def test_models_answer_in_node(models: Path, tmp_path: Path) -> None:
    """Every example and task: units, labels, slots and judgements are equal, scores within 0.01."""
    golden.write_wav(onnx_folder.example_recordings(), tmp_path)
    given = {**os.environ, "SPEECHPROMPT_MODELS": str(models), "SPEECHPROMPT_WAV": str(tmp_path)}
    done = subprocess.run(
        ["npx", "vitest", "run", "test/answers.test.ts", "--reporter=json"], cwd=WEB, env=given,
        capture_output=True, text=True,
    )  # fmt: skip
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert done.returncode == 0, done.stdout[-3000:]
    assert report["numPassedTests"] == len(GOLDEN["recordings"])


@pytest.fixture(scope="module")
def page(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page in Chromium, loaded once; its server is gone, and so is the network."""
    sync_api = pytest.importorskip("playwright.sync_api")
    out = tmp_path_factory.mktemp("site") / "space"
    static_space.build(ROOT, out, models)
    try:
        binary = static_space.chromium()
    except SpeechPromptError as error:
        pytest.skip(str(error))
    with sync_api.sync_playwright() as playwright, static_space.served(out) as (address, server):
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
        server.shutdown()
        server.server_close()
        page.reload()
        page.wait_for_selector("#sp-task", timeout=static_space.LOAD_MS)
        yield page
        browser.close()


@built
def test_the_page_answers_without_a_network(page: Any) -> None:
    assert page.evaluate("crossOriginIsolated")  # so that WebAssembly may use threads
    expected = {one["file"]: one for one in GOLDEN["recordings"]}
    for task, file in (
        ("keyword_spotting", "yes.flac"),
        ("language_id", "read_by_a_man.flac"),  # in stretches
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
def test_files_that_are_no_recordings_get_a_sentence(page: Any, tmp_path: Path) -> None:
    def answer(name: str, data: bytes) -> str:
        page.set_input_files("[data-part=input]", {"name": name, "mimeType": "audio/wav", "buffer": data})
        page.wait_for_selector("#sp-panel .sp-alert")
        return page.locator("#sp-panel .sp-alert p").inner_text()

    page.evaluate("document.querySelector('#sp-panel').replaceChildren()")
    assert "cannot decode the file" in answer("letter.wav", b"Dear Sir" * 100)
    page.evaluate("document.querySelector('#sp-panel').replaceChildren()")
    assert "0 bytes" in answer("nothing.wav", b"")
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
    sentence = answer("long.wav", bytes(half_an_hour) + bytes(5_000_000))
    assert "the limit is 60 s: cut it into parts" in sentence


def test_a_static_space_needs_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(SpeechPromptError, match="OUT is not empty"):
        static_space.build(ROOT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
