"""The running app and a real browser, whose microphone plays what a test gives it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

from speechprompt.audio import augment
from speechprompt.backbone import Backbone
from speechprompt.making.export import onnx_folder
from tools import static_space

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WEB = ROOT / "web"
DESKTOP, PHONE = (1280, 860), (390, 844)
START_SECONDS = 240  # a busy machine may take this long; the measured time is asserted elsewhere
expect.set_options(timeout=20_000)  # ms; a busy machine answers late, and no test is about how late
MICROPHONE_RATE = 48_000  # Chromium's fake device plays 16-bit WAV at its own rate


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python app.py` with what it offers by itself; yields its address."""
    with running_app(tmp_path_factory.mktemp("app")) as address:
        yield address


@contextmanager
def running_app(folder: Path, *arguments: str) -> Iterator[str]:
    """`python app.py` on a free port, in a folder that is not the repository's; gives its address."""
    with app_process(folder, *arguments, GRADIO_TEMP_DIR=str(folder / "gradio")) as (_, address):
        yield address


@contextmanager
def app_process(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The process of `python app.py` with these variables, and its address; ended by SIGTERM."""
    log_path = folder / "log"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("GRADIO_TEMP_DIR", None)
    environment |= variables
    with log_path.open("w") as log:
        app = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py"), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )
    try:
        yield app, wait_for_page(app, log_path)
    finally:
        app.terminate()
        app.wait(60)


def wait_for_page(app: subprocess.Popen, log_path: Path) -> str:
    """The address that the app prints, once it answers."""
    for _ in range(10 * START_SECONDS):
        printed = re.search(r"http://127\.0\.0\.1:\d+", log_path.read_text())
        if printed:
            try:
                urllib.request.urlopen(printed[0], timeout=5).close()
                return printed[0]
            except (urllib.error.URLError, OSError):
                pass
        if app.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"app.py did not start:\n{log_path.read_text()}")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


def launch(playwright: Playwright, *more: str, allowed: bool = True) -> Browser:
    """The system's Chromium, allowed to use a fake microphone, or refused it."""
    names = ("chromium", "google-chrome", "chromium-browser")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise RuntimeError("The browser tests need Chromium or Chrome on the PATH.")
    decided = "--use-fake-ui-for-media-stream" if allowed else "--deny-permission-prompts"
    fake = (decided, "--use-fake-device-for-media-stream")
    return playwright.chromium.launch(
        executable_path=path, args=["--no-sandbox", "--disable-gpu", *fake, *more]
    )


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    running = launch(playwright)
    yield running
    running.close()


def open_page(
    browser: Browser,
    server: str,
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
    script: str = "",
) -> Page:
    """A fresh page of the app, ready to use; script: JavaScript that runs before anything of the page."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.add_init_script(script)
    page.goto(server)
    page.wait_for_selector("#sp-task")
    page.wait_for_function("document.querySelector('#sp-task-hint').textContent")
    return page


def takes(word: str, n: int, folder: Path) -> list[Path]:
    """n recordings of an example's word: the clip, and as other people would say it in other rooms."""
    speech, rate = soundfile.read(EXAMPLES / f"{word}.flac", dtype="float32")
    paths = [folder / f"{word}{i}.wav" for i in range(n)]
    for i, path in enumerate(paths):
        take = augment.another_recording(speech, np.random.default_rng(i)) if i else speech
        soundfile.write(path, take, rate)
    return paths


def at_microphone_rate(clip: Path) -> np.ndarray:
    samples, rate = soundfile.read(clip, dtype="float32")
    return torchaudio.functional.resample(torch.from_numpy(samples), rate, MICROPHONE_RATE).numpy()


def record(recorder: Locator) -> None:
    """Speak for as long as the microphone's clip of one word lasts."""
    recorder.get_by_role("button", name="Record", exact=True).click()
    recorder.page.wait_for_timeout(2500)
    recorder.get_by_role("button", name="Stop", exact=True).click()


def words_in_a_row(words: Sequence[str], path: Path) -> str:
    """Write examples one after the other, in some noise; the option that makes them Chromium's microphone."""
    parts = [np.zeros(int(1.5 * MICROPHONE_RATE), np.float32)]
    for word in words:
        parts += [at_microphone_rate(EXAMPLES / f"{word}.flac"), np.zeros(MICROPHONE_RATE // 2, np.float32)]
    sound = np.concatenate([*parts, np.zeros(60 * MICROPHONE_RATE, np.float32)])
    sound += np.random.default_rng(0).normal(0, 0.001, len(sound))
    soundfile.write(path, sound, MICROPHONE_RATE, subtype="PCM_16")
    return f"--use-file-for-fake-audio-capture={path}%noloop"


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    opened = open_page(browser, server)
    yield opened
    opened.context.close()


@pytest.fixture
def page_recording(playwright: Playwright, server: str, tmp_path: Path) -> Iterator[Callable[[Path], Page]]:
    """Call it with a clip: a page whose microphone plays that clip once, with silence around it."""
    with ExitStack() as stack:

        def make(clip: Path, size: tuple[int, int] = DESKTOP) -> Page:
            pause = np.zeros(MICROPHONE_RATE // 2, np.float32)
            sound = np.concatenate([pause, at_microphone_rate(clip), pause, pause, pause, pause])
            soundfile.write(tmp_path / "microphone.wav", sound, MICROPHONE_RATE, subtype="PCM_16")
            flag = f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}%noloop"
            running = launch(playwright, flag)
            stack.callback(running.close)
            return open_page(running, server, size)

        yield make


built = pytest.mark.skipif(
    shutil.which("npm") is None or not (WEB / "node_modules" / "onnxruntime-web").is_dir(),
    reason="the packages of web/ are not installed: run `npm ci` there, with Node 20 or newer",
)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mini`, exported; checked on two recordings, as others ask all. SPEECHPROMPT_MODELS spares the export."""
    if given := os.environ.get("SPEECHPROMPT_MODELS"):
        return Path(given)
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("web") / "models"
    onnx_folder.export(Backbone.load("mini"), out, onnx_folder.example_recordings()[:2])
    return out


@pytest.fixture(scope="session")
def site(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page that needs no server."""
    out = tmp_path_factory.mktemp("site") / "space"
    static_space.build(ROOT, out, models)
    return out
