"""Folders of JSON and tensors: checked before they are believed, written aside before they count.

A prompt or a model may come from anywhere, so files must lie inside their folder and be of bounded size;
`tensors` checks what their safetensors hold. Knows no model.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from speechprompt.errors import SpeechPromptError

JSON_BYTES = 1 << 18  # of a JSON file, at most
REST_SECONDS = 3600  # after which what a writer left aside counts as left by one that was killed
ATTEMPTS = 100  # of a writer, when others write the same folder


def file_inside(folder: Path, name: str, what: str, max_bytes: int) -> Path:
    """The regular file `name` of the folder, at most max_bytes long; `what` begins every error."""
    put_back(folder)
    path = folder / name
    if not path.is_file():
        raise SpeechPromptError(f"{what}: {name} is missing.")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SpeechPromptError(
            f"{what}: {name} is a link that leads out of the folder; copy the file itself."
        )
    size = path.stat().st_size
    if size > max_bytes:
        raise SpeechPromptError(f"{what}: {name} has {size} bytes, more than the {max_bytes} allowed.")
    return path


def read_json(
    folder: Path,
    name: str,
    what: str,
    version: int | None = None,
    older: str = "update speechprompt",
) -> dict[str, Any]:
    """The JSON object in a file; NaN and Infinity, which JSON does not have, are refused.

    version: what its format_version must be, which is then left out. older: what to do with an earlier one.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    path = file_inside(folder, name, what, JSON_BYTES)
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise SpeechPromptError(f"{what}: {name} is not valid JSON.") from error
    if not isinstance(value, dict):
        raise SpeechPromptError(f"{what}: {name} must hold one JSON object.")
    if version is None:
        return value
    found = value.pop("format_version", None)
    if type(found) is not int or found != version:
        earlier = type(found) is int and 0 < found < version
        raise SpeechPromptError(
            f"{what}: {name} has format version {str(found)[:20]}, this program reads version {version}; "
            f"{older if earlier else 'update speechprompt'}."
        )
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def check_apart(out: Path, source: Path) -> None:
    """Raise SpeechPromptError where the output would replace what is read: a file, or parquet in a folder."""
    within = source.is_dir() and out.suffix == ".parquet" and out.resolve().is_relative_to(source.resolve())
    if out.is_file() and (within or (source.is_file() and out.samefile(source))):
        raise SpeechPromptError(f"{out.name} is itself read here: choose another output.")


def cannot_write(what: str, error: Exception) -> SpeechPromptError:
    """What to say when a file cannot be written; libraries hide the cause in their own exceptions."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "the disk may be full"
    return SpeechPromptError(
        f"{what} cannot be written ({reason}): free some space or choose another folder."
    )


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # elsewhere folders cannot be opened
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed, by this process's death at the latest.

    False when another holds the lock. Where there are no such locks (Windows, some network disks) there is
    nothing to wait for.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give a hidden sibling to write; when the block ends well it takes the file's place, whole and on the disk.

    What is written of it goes when the block fails; a writer that is killed leaves it, and the next one begins it anew.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        yield aside
        sync(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path, drop: Collection[str] = ()) -> Iterator[Path]:
    """Give a hidden sibling to write into; when the block ends well it takes the folder's place.

    Readers see the old files or the new ones, never half of each, but for the moment between two renames in
    which there is no folder: whoever then reads its files is told that they are missing or puts the old folder
    back, which a writer that is killed in this moment leaves beside. An interrupted write leaves the old folder,
    and a write an hour later clears its rest away. Files of the old folder that the block did not write are kept,
    but for those named in `drop`. Of two writers at once the last wins, whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder)
    for rest in folder.parent.glob(f".{glob.escape(folder.name)}.*.aside*"):
        with suppress(OSError):
            if time.time() - rest.stat().st_ctime >= REST_SECONDS:
                discard(rest)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".aside", dir=folder.parent))
    try:
        yield aside
        aside.chmod(0o755)  # mkdtemp's 0700 would hide the folder from other users
        keep_rest(folder, aside, drop)
        for path in aside.rglob("*"):
            if path.is_file() and not path.is_symlink():
                sync(path)
        sync(aside)
        swap(aside, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def keep_rest(folder: Path, aside: Path, drop: Collection[str]) -> None:
    """Copy what the old folder has beside what was written, again where another writer replaces it meanwhile."""
    written = {path.name for path in aside.iterdir()} | set(drop)

    def copy() -> None:
        for path in aside.iterdir():  # of an attempt before
            if path.name not in written:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in written:
                keep(path, aside / path.name)

    try_again(copy)


def try_again(work: Callable[[], object]) -> None:
    """Do what another writer may be in the way of, ATTEMPTS times at most."""
    for attempt in range(ATTEMPTS):
        try:
            work()
            return
        except (OSError, shutil.Error):
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.01)


def keep(path: Path, copy: Path) -> None:
    """Copy a file or a folder, links as the links they are."""
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, copy, symlinks=True)
    else:
        shutil.copy2(path, copy, follow_symlinks=False)


def swap(new: Path, folder: Path) -> None:
    """Let `new` become `folder` in two renames, whatever other writers and readers do in between."""
    old = new.with_name(f"{new.name}.old")

    def rename() -> None:
        put_back(folder)
        if folder.exists():
            discard(old)  # of an attempt before, in which another writer was faster
            folder.rename(old)
        new.rename(folder)

    try_again(rename)
    discard(old)


def discard(rest: Path) -> None:
    """Delete a folder that was left aside, under a name by which put_back never takes what is half deleted."""
    gone = rest.with_name(f"{rest.name}.gone")
    with suppress(OSError):
        rest.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def put_back(folder: Path) -> None:
    """If there is no folder since a writer was killed between its two renames, take the latest old one again."""
    if not folder.name or folder.exists():
        return
    found = {}
    for old in folder.parent.glob(f".{glob.escape(folder.name)}.*.aside.old"):
        with suppress(OSError):
            found[old] = old.stat().st_ctime_ns
    for old in sorted(found, key=lambda old: found[old], reverse=True):
        with suppress(OSError):  # it is back already, or the disk is for reading only
            old.rename(folder)
            return


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
