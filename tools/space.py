"""Build the folder of a Hugging Face Space, and try it in a clean environment.

What this checkout holds goes into OUT, except what git ignores: no caches, no fetched weights. --check
installs requirements.txt into a fresh virtual environment, starts the folder's app without the Hub and
compares its answers about the example clips with their labels; that takes minutes.

--static builds a Space without a server instead (web/, static_space.py), and asks it in Chromium.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder, or one that this built before")
    parser.add_argument("--check", action="store_true", help="also install and start it, and ask it")
    parser.add_argument(
        "--static", action="store_true", help="a page that answers in the browser, and its check"
    )
    parser.add_argument(
        "--models", type=Path, help="of --static: what `export onnx` wrote (default: it is run)"
    )
    parser.add_argument("--port", type=int, default=None, help="of --check (default: a free one)")


def run(args: argparse.Namespace) -> int:
    if args.static:
        from tools import static_space

        return static_space.run(ROOT, args.out, args.models)
    if args.models is not None:
        raise SpeechPromptError("--models belongs to --static.")
    files = build(ROOT, args.out)
    size = sum((args.out / file).stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1e6:.1f} MB, in {args.out}")
    if args.check:
        from tools.space_check import check

        for line in check(args.out, check_front_matter(ROOT)["python_version"], args.port):
            print(line, flush=True)
    print("Push it, either way, to a Space of your own (SDK Gradio; ZeroGPU and CPU both work):")
    print(f"  hf upload YOU/speechprompt {args.out} . --repo-type space")
    print(
        f"  cd {args.out} && git init -b main && git lfs install --local && git add . && git commit -m SpeechPrompt"
        " && git push -f https://huggingface.co/spaces/YOU/speechprompt main"
    )
    return 0


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


if __name__ == "__main__":
    sys.exit(run_command("python -m tools.space", sys.modules[__name__]))
