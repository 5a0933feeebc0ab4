"""Build the folder of a Hugging Face Space, and try it in a clean environment.

What this checkout holds goes into OUT, except what git ignores: no caches, no fetched weights. --check
installs requirements.txt into a fresh virtual environment, starts the folder's app without the Hub and
compares its answers about the example clips with their labels; that takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub.repocard import metadata_load

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError

ROOT = Path(__file__).parent.parent
PARTS = (
    "app.py", "requirements.txt", "packages.txt", "README.md", "LICENSE", "speechprompt", "backbones", "prompts",
    "examples",
)  # fmt: skip
ATTRIBUTES = ".gitattributes"
BUILT = "# A Space built by `python -m tools.space`.\n"
LARGE = ("safetensors", "flac", "png")  # the Hub takes binary files through LFS only
LONGEST_DESCRIPTION = 60  # what the Hub takes
START_SECONDS = 120
NOWHERE = "http://127.0.0.1:9"  # nobody listens there: whatever asks through this proxy fails at once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder, or one that this built before")
    parser.add_argument("--check", action="store_true", help="also install and start it, and ask it")
    parser.add_argument("--port", type=int, default=None, help="of --check (default: a free one)")


def run(args: argparse.Namespace) -> int:
    files = build(ROOT, args.out)
    size = sum((args.out / file).stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1e6:.1f} MB, in {args.out}")
    if args.check:
        for line in check(args.out, args.port):
            print(line, flush=True)
    print("Push it, either way, to a Space of your own (SDK Gradio; ZeroGPU and CPU both work):")
    print(f"  hf upload YOU/speechprompt {args.out} . --repo-type space")
    print(
        f"  cd {args.out} && git init -b main && git lfs install --local && git add . && git commit -m SpeechPrompt"
        " && git push -f https://huggingface.co/spaces/YOU/speechprompt main"
    )
    return 0


# The folder


def build(root: Path, out: Path) -> list[Path]:
    """Copy the Space of a checkout into `out`; what was written, as paths in it."""
    if not (root / "app.py").is_file() or not (root / "pyproject.toml").is_file():
        raise SpeechPromptError("A Space is built from a checkout of the repository: run this in one.")
    check_front_matter(root)
    here, there = root.resolve(), out.resolve()
    if here == there or any(there.is_relative_to(here / part) for part in PARTS):
        raise SpeechPromptError("OUT lies in what would be copied: choose a folder elsewhere.")
    if out.exists() and not out.is_dir():
        raise SpeechPromptError("OUT is a file: choose a folder.")
    if out.is_dir() and any(out.iterdir()) and not was_built(out):
        raise SpeechPromptError("OUT is not empty and no Space built before: choose a new folder.")
    files = list(dict.fromkeys([*contents(root), *linked(root)]))
    for part in (*PARTS, "docs"):  # what an earlier version had goes; a .git beside it stays
        old = out / part
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    lines = [f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in LARGE]
    (out / ATTRIBUTES).write_text(BUILT + "".join(lines), encoding="utf-8")  # first: a half copy is known
    for file in files:
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, out / file)
    return [Path(ATTRIBUTES), *files]


def was_built(out: Path) -> bool:
    file = out / ATTRIBUTES
    return file.is_file() and file.read_bytes().startswith(BUILT.encode())


def contents(root: Path) -> list[Path]:
    """The files of the parts, as paths in the checkout, without hidden, linked and ignored ones."""
    for part in PARTS:
        if not (root / part).exists():
            raise SpeechPromptError(f"{part} is not in this checkout: a Space needs it.")
    command = ["git", "ls-files", "-coz", "--exclude-standard", "--", *PARTS]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise SpeechPromptError("A Space is built from a git clone, with git installed: clone it.") from error
    files = {Path(os.fsdecode(name)) for name in listed.split(b"\0") if name}
    hidden = {file for file in files if any(part.startswith(".") for part in file.parts)}
    return sorted(f for f in files - hidden if (root / f).is_file() and not (root / f).is_symlink())


def linked(root: Path) -> Iterator[Path]:
    """The files under docs/ that the README shows or links to; the Space's own page is that README."""
    text = (root / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\((docs/[\w./-]+)\)", text):
        if (root / name).is_file() and ".." not in name:
            yield Path(name)


def check_front_matter(root: Path) -> dict[str, Any]:
    """The README's front matter; SpeechPromptError where a Space could not start by it."""
    facts = metadata_load(root / "README.md")
    if not isinstance(facts, dict):
        raise SpeechPromptError("README.md does not begin with the front matter of a Space.")
    for name in ("title", "sdk", "sdk_version", "python_version", "app_file", "license"):
        if not facts.get(name):
            raise SpeechPromptError(f"The front matter of README.md must give {name}.")
    if facts["sdk"] != "gradio":
        raise SpeechPromptError("The front matter of README.md must say sdk: gradio.")
    requirements = (root / "requirements.txt").read_text(encoding="utf-8")
    pin = re.search(r"^gradio(?:\[[^]]*\])?==([\w.]+)", requirements, re.MULTILINE)
    if pin is None or pin[1] != facts["sdk_version"]:
        raise SpeechPromptError(
            f"sdk_version in README.md is {facts['sdk_version']}, and requirements.txt pins "
            f"gradio {pin[1] if pin else 'nowhere'}: make them one."
        )
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', (root / "pyproject.toml").read_text("utf-8"))
    version = re.fullmatch(r"3\.(\d+)", str(facts["python_version"]))
    if oldest is None or version is None or int(version[1]) < int(oldest[1]):
        raise SpeechPromptError(
            f"python_version {facts['python_version']} in README.md is not one of requires-python's."
        )
    if facts["app_file"] != "app.py" or not (root / facts["app_file"]).is_file():
        raise SpeechPromptError("app_file in README.md must be app.py.")
    if len(facts.get("short_description", "")) > LONGEST_DESCRIPTION:
        raise SpeechPromptError(f"short_description in README.md has over {LONGEST_DESCRIPTION} characters.")
    return facts


# The check


def check(space: Path, port: int | None = None) -> Iterator[str]:
    """Install and start a Space, ask it about its example clips: a line about each stage.

    SpeechPromptError where it does not install, start or answer as the clips are labelled.
    """
    with tempfile.TemporaryDirectory(prefix="speechprompt-space-") as folder:
        home = Path(folder)
        began = time.perf_counter()
        version = check_front_matter(ROOT)["python_version"]
        chosen = f"python{version}"  # the Space's own where it is here, else this one
        if not works(chosen):
            chosen, version = sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}"
        make = [chosen, "-m", "venv", folder + "/venv"]
        python = home / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]
        for command in (make, [*pip, str(space / "requirements.txt")]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise SpeechPromptError(f"The requirements could not be installed: {last[:300]}")
        yield f"installed for Python {version} in {time.perf_counter() - began:.0f} s, {mb(home):.0f} MB"
        yield from ask(space, python, home, port)


def works(python: str) -> bool:
    """Whether a command is a Python; one that is found may still be a version manager's empty promise."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def ask(space: Path, python: Path, home: Path, port: int | None = None) -> Iterator[str]:
    """Start a Space's app with a Python, its temporary files in `home`, and compare what it answers."""
    port = port or free_port()
    environment = {
        name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "OMP_NUM_THREADS")
    } | {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1",
         "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}  # fmt: skip
    began = time.perf_counter()
    with (home / "app.log").open("w+") as log:
        app = subprocess.Popen(
            [str(python), "app.py", "--host", "127.0.0.1", "--port", str(port)],
            cwd=space, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not answers(port):
                if app.poll() is not None or time.perf_counter() - began > START_SECONDS:
                    log.seek(0)
                    last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
                    raise SpeechPromptError(f"The app did not start: {last[:300]}")
                time.sleep(0.1)
            yield f"started without the Hub in {time.perf_counter() - began:.1f} s"
            yield from compare_labels(space, port)
        finally:
            app.terminate()
            try:
                app.wait(20)
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def compare_labels(space: Path, port: int) -> Iterator[str]:
    from gradio_client import Client, handle_file

    client = Client(f"http://127.0.0.1:{port}", verbose=False, analytics_enabled=False)
    try:
        tasks = {task["task"] for task in client.predict("mini", api_name="/tasks")}
        yield f"{len(tasks)} tasks of mini"
        clips: list[dict[str, Any]] = json.loads(
            (space / "examples" / "examples.json").read_text(encoding="utf-8")
        )
        asked = [(c["file"], t, label) for c in clips if "file" in c for t, label in c["labels"].items()]
        asked = [one for one in asked if one[1] in tasks]
        if not asked:
            raise SpeechPromptError("No example clip has a task that the app knows.")
        began = time.perf_counter()
        for file, task, label in asked:
            clip = handle_file(str(space / "examples" / file))
            answer = client.predict(clip, task, "mini", api_name="/classify")["label"]
            if answer != label:
                raise SpeechPromptError(f"The app answers {file} with {answer!r} instead of {label!r}.")
        took = (time.perf_counter() - began) / len(asked)
        yield f"{len(asked)} example clips answered as labelled, {took:.2f} s each"
    finally:
        client.close()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mb(folder: Path) -> float:
    files = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files) / 1e6


if __name__ == "__main__":
    sys.exit(run_command("python -m tools.space", sys.modules[__name__]))
