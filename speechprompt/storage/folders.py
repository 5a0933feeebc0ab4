"""Folders of JSON and tensors: checked before they are believed, written aside before they count.

A prompt or a model may come from anywhere, so files must lie inside their folder, be of bounded
size and hold exactly the expected tensors; nothing is ever unpickled. Knows no model.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechprompt.errors import SpeechPromptError

JSON_BYTES = 1 << 18  # of a JSON file, at most
REST_SECONDS = 3600  # after which what a writer left aside counts as left by one that was killed
ATTEMPTS = 100  # of a writer, when others write the same folder
FLOATS = ("F16", "BF16", "F32")  # safetensors' names of the dtypes that weights may be stored in


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


class TensorFile:
    """A safetensors file whose header has been read: `shapes` and `dtypes` by name, no values yet."""

    def __init__(self, folder: Path, name: str, what: str, max_bytes: int) -> None:
        self.label = f"{what}: {name}"
        self.path = file_inside(folder, name, what, max_bytes)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        try:
            with safe_open(self.path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (a safe_open handle is no dict)
                    view = file.get_slice(key)
                    self.shapes[key] = tuple(view.get_shape())
                    self.dtypes[key] = view.get_dtype()
        except (OSError, SafetensorError) as error:
            raise SpeechPromptError(
                f"{self.label} is damaged or not a safetensors file (pickles are never loaded)."
            ) from error

    def expect(self, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, tuple[str, ...]]) -> None:
        """Raise unless the file holds exactly these names and shapes, in one of the dtypes (FLOATS if unnamed)."""
        if missing := sorted(shapes.keys() - self.shapes.keys()):
            raise SpeechPromptError(f"{self.label} lacks the tensor {missing[0]!r}.")
        if unexpected := sorted(self.shapes.keys() - shapes.keys()):
            raise SpeechPromptError(f"{self.label} holds an unexpected tensor {unexpected[0][:80]!r}.")
        for name, shape in shapes.items():
            if self.shapes[name] != tuple(shape):
                raise SpeechPromptError(
                    f"{self.label}: {name} has the shape {list(self.shapes[name])}, expected {list(shape)}."
                )
            if self.dtypes[name] not in dtypes.get(name, FLOATS):
                raise SpeechPromptError(f"{self.label}: {name} has the dtype {self.dtypes[name]}.")

    def read(self, dtype: torch.dtype, device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """All tensors, floats as `dtype` (integers keep theirs); raise when a value is not finite."""
        tensors = {}
        with safe_open(self.path, framework="pt") as file:
            for name in self.shapes:
                stored = file.get_tensor(name)
                if not stored.is_floating_point():
                    tensors[name] = stored.clone().to(device)
                    continue
                tensor = stored.to(device=device, dtype=dtype, copy=True)
                if not bool(torch.isfinite(tensor).all()):
                    raise SpeechPromptError(f"{self.label}: {name} holds values that are not finite numbers.")
                tensors[name] = tensor
        return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], what: str) -> None:
    """Write safetensors; raise when a value is not finite (fp16 ends at 65504), before anything is written."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise SpeechPromptError(f"{what}: {name} holds values that are not finite as {tensor.dtype}.")
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except (OSError, SafetensorError) as error:
        raise cannot_write(f"{what}: {path.name}", error) from error
    path.chmod(0o644)  # safetensors leaves 0600


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


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
                shutil.rmtree(rest, ignore_errors=True)
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
    for attempt in range(ATTEMPTS):
        try:
            for path in folder.iterdir() if folder.exists() else ():
                if path.name not in written:
                    keep(path, aside / path.name)
            return
        except (OSError, shutil.Error):
            if attempt == ATTEMPTS - 1:
                raise
            for path in aside.iterdir():
                if path.name not in written:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
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
    for attempt in range(ATTEMPTS):
        try:
            put_back(folder)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
            break
        except OSError:  # another was faster
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.01)
    shutil.rmtree(old, ignore_errors=True)


def put_back(folder: Path) -> None:
    """If there is no folder since a writer was killed between its two renames, take the old one again."""
    if not folder.name or folder.exists():
        return
    for old in folder.parent.glob(f".{glob.escape(folder.name)}.*.aside.old"):
        with suppress(OSError):  # it is back already, or the disk is for reading only
            old.rename(folder)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
