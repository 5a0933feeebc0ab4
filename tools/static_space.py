"""Build the folder of a Space without a server: the page of web/ with `mini` as ONNX, and ask it in Chromium.

Any host of files serves it. The check does so on loopback, loads the page once, shuts the server down and asks every
example about the tasks that it is labelled for.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speechprompt.audio import speech_detector
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making.export import onnx_folder
from speechprompt.storage.folders import replaced_folder, sha256_file

MARK = "files.json"  # by which a folder is known as built here
GLUE, WASM = "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
GPU = "gpu/"  # what asks WebGPU: loaded by browsers that have it, once the page is there
GPU_GLUE = ("ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi.mjs")
GPU_WASM = "ort-wasm-simd-threaded.jspi.wasm"
FRONT_MATTER = """---
title: SpeechPrompt in the browser
emoji: 🗣️
sdk: static
license: apache-2.0
short_description: One frozen speech model, many tasks, no server
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
---

# SpeechPrompt in the browser

Everything runs in the visitor's browser; nothing is uploaded. Built by `python -m tools.space --static OUT`.
"""
NEEDED = (
    "The page is built with Node 20 or newer and npm: install them, or take a folder that was built before."
)
LOAD_MS, ANSWER_MS = 180_000, 60_000


def run(root: Path, out: Path, models: Path | None) -> int:
    build(root, out, models)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{size / 1e6:.1f} MB in {out}; a first visit loads {first_visit(out) / 1e6:.1f} MB", flush=True)
    n, scores = check(out)
    print(f"{n} example clips answered as labelled in Chromium, without a network; {scores} tasks compared")
    print(f"Push it to a static Space: hf upload YOU/speechprompt {out} . --repo-type space")
    return 0


# The folder


def build(root: Path, out: Path, models: Path | None = None) -> None:
    """Write OUT, whole or not at all. models: what `export onnx` wrote, None to run it."""
    if not (root / "web" / "package.json").is_file():
        raise SpeechPromptError("A Space is built from a checkout of the repository: run this in one.")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).is_file())):
        raise SpeechPromptError("OUT is not empty and no static Space built before: choose a new folder.")
    with tempfile.TemporaryDirectory(prefix="speechprompt-static-") as folder:
        page = built_page(root / "web", Path(folder) / "page")
        if models is None:
            models = Path(folder) / "models"
            onnx_folder.export(Backbone.load("mini"), models, onnx_folder.example_recordings())
        elif not (models / onnx_folder.MODEL_JSON).is_file():
            raise SpeechPromptError(
                f"{models} holds no {onnx_folder.MODEL_JSON}: give what `export onnx` wrote."
            )
        with replaced_folder(out, drop=("assets", "models", "examples", "ort", "gpu", "live")) as aside:
            shutil.copytree(page, aside, dirs_exist_ok=True)
            add_models(models, aside / "models")
            (aside / "ort").mkdir()
            runtime = root / "web" / "node_modules" / "onnxruntime-web" / "dist"
            shutil.copyfile(runtime / GLUE, aside / "ort" / GLUE)
            packed(runtime / WASM, aside / "ort")
            packed(runtime / GPU_WASM, aside / GPU)
            for name in GPU_GLUE:
                shutil.copyfile(runtime / name, aside / GPU / name)
            packed(speech_detector.FOLDER / "model.safetensors", aside / "live")
            shutil.copyfile(speech_detector.FOLDER / "LICENSE", aside / "live" / "LICENSE")
            add_examples(root / "examples", aside / "examples")
            shutil.copyfile(root / "LICENSE", aside / "LICENSE")
            (aside / "README.md").write_text(FRONT_MATTER, encoding="utf-8")
            add_lists(aside)


def built_page(web: Path, out: Path) -> Path:
    """Run the page's own build; its packages are installed where they are not."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise SpeechPromptError(NEEDED)
    commands = [[npm, "run", "--silent", "build", "--", "--outDir", str(out), "--emptyOutDir"]]
    if not (web / "node_modules" / "onnxruntime-web").is_dir():
        commands.insert(0, [npm, "ci", "--no-audit", "--no-fund"])
    for command in commands:
        done = subprocess.run(command, cwd=web, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "it gave no reason").splitlines()[-1]
            raise SpeechPromptError(f"The page could not be built ({command[1]}): {last[:300]}")
    return out


def packed(file: Path, folder: Path) -> None:
    """Write a file as NAME.gz: hosts of files do not compress what is large."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(folder / f"{file.name}.gz", "wb", 9, mtime=0) as out:
        out.write(file.read_bytes())


def add_models(models: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(models / onnx_folder.MODEL_JSON, folder / onnx_folder.MODEL_JSON)
    for name in (onnx_folder.ENCODER_ONNX, onnx_folder.LM_ONNX):
        packed(models / name, folder)
    for task in (models / onnx_folder.PROMPTS).iterdir():
        (folder / onnx_folder.PROMPTS / task.name).mkdir(parents=True)
        for name in ("prompt_config.json", "prompt.safetensors"):
            shutil.copyfile(task / name, folder / onnx_folder.PROMPTS / task.name / name)


def add_examples(examples: Path, folder: Path) -> None:
    folder.mkdir()
    clips = json.loads((examples / "examples.json").read_text(encoding="utf-8"))
    clips = [clip for clip in clips if "file" in clip]
    for clip in clips:
        shutil.copyfile(examples / clip["file"], folder / clip["file"])
    shutil.copytree(examples / "lesson", folder / "lesson")
    (folder / "examples.json").write_text(json.dumps(clips, ensure_ascii=False), encoding="utf-8")


def add_lists(folder: Path) -> None:
    """files.json, what is loaded with a bar and its bytes; and the service worker's version and files."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    loaded = [name for name in names if name.startswith(("models/", f"ort/{WASM}"))]
    sizes = {name: (folder / name).stat().st_size for name in loaded}
    (folder / MARK).write_text(json.dumps(sizes), encoding="utf-8")
    later = (*loaded, "README.md", "LICENSE", "sw.js", "index.html", MARK)
    page = ["./", MARK, *(name for name in names if name not in later and not name.startswith(GPU))]
    digests = "".join(f"{name} {sha256_file(folder / name)}\n" for name in names)
    worker = folder / "sw.js"
    text = worker.read_text(encoding="utf-8")
    text = text.replace("__VERSION__", hashlib.sha256(digests.encode()).hexdigest()[:16])
    text = text.replace('["./"]; // __FILES__', f"{json.dumps(page)};")
    worker.write_text(text, encoding="utf-8")


def first_visit(folder: Path) -> int:
    """Bytes that the page, its models and the examples take, once, in a browser without WebGPU."""
    beside = ("README.md", "LICENSE")
    files = [f for f in folder.rglob("*") if f.is_file() and f.name not in beside]
    return sum(f.stat().st_size for f in files if not f.is_relative_to(folder / GPU))


# The check


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, http.server.ThreadingHTTPServer]]:
    """The folder on loopback, as any host of files serves it; the caller may shut it down before."""
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check(out: Path) -> tuple[int, int]:
    """Ask the page about every example with its network cut; how many clips, and how many answers."""
    from playwright.sync_api import sync_playwright

    clips = json.loads((out / "examples" / "examples.json").read_text(encoding="utf-8"))
    with sync_playwright() as playwright, served(out) as (address, server):
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("#sp-task", timeout=LOAD_MS)
            server.shutdown()
            server.server_close()
            page.reload()
            page.wait_for_selector("#sp-task", timeout=LOAD_MS)
            n = 0
            for clip in clips:
                for task, label in clip["labels"].items():
                    if page.locator(f'#sp-task option[value="{task}"]').count():
                        found = ask(page, task, clip["file"])
                        n += 1
                        if found["label"] != label:
                            raise SpeechPromptError(
                                f"The page answers {clip['file']} with {found['label']!r} instead of {label!r}."
                            )
            return len(clips), n
        finally:
            browser.close()


def ask(page: Any, task: str, file: str) -> dict[str, Any]:
    """The page's answer to a task about an example: label, score, fits, units."""
    choose(page, task)
    page.locator(f'.sp-examples button[data-file="{file}"]').click()
    answer = page.wait_for_selector(f'.sp-answer[data-task="{task}"], .sp-alert', timeout=ANSWER_MS)
    page.wait_for_selector("#sp-panel:not([aria-busy])", timeout=ANSWER_MS)
    if answer.get_attribute("role") == "alert":
        raise SpeechPromptError(f"The page answers {file} with: {answer.inner_text()[:300]}")
    facts = page.evaluate("({...document.querySelector('.sp-answer').dataset})")
    units = page.evaluate("document.querySelector('.sp-text code').textContent")
    return {**facts, "score": float(facts["score"]), "units": [int(unit) for unit in units.split()]}


def choose(page: Any, task: str) -> None:
    """Choose a task, and forget what it answers about the recording before."""
    page.select_option("#sp-task", task)
    page.wait_for_selector("#sp-panel:not([aria-busy])", timeout=ANSWER_MS)
    page.evaluate("document.querySelector('#sp-panel').replaceChildren()")


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise SpeechPromptError("The check needs Chromium: install it so that it is on the PATH.")
