"""One folder that is this program's alone, for all that it writes while it runs: recordings, and what is made of them.

gradio reads where to write when it is imported, so the app calls `use_private_folder` before that; this module
imports neither gradio nor torch. Each server has a folder of its own in the user's; one that was killed leaves
it, and the next that starts deletes it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from speechprompt.errors import SpeechPromptError

LONGEST_STAY = 3600.0  # seconds that a recording may be kept
VARIABLE = "GRADIO_TEMP_DIR"  # by which gradio is told; what it names at first is where our folder is made
UPLOADS, SCRATCH = "uploads", "scratch"  # what gradio keeps, and tempfile's

_made: dict[Path, int] = {}  # the folders of this process, each with the open descriptor that locks it


def use_private_folder() -> None:
    """Write everything into a folder of ours, with files that nobody else may read, until the program ends.

    SpeechPromptError when there can be no such folder.
    """
    os.umask(0o077)
    scratch = uploads_folder().parent / SCRATCH
    scratch.mkdir(exist_ok=True)
    tempfile.tempdir = str(scratch)


def uploads_folder() -> Path:
    """Where gradio keeps uploads: in our folder, which is made by the first call."""
    named = os.environ.get(VARIABLE)
    if named and Path(named).parent in _made:
        return Path(named)
    base = Path(named or tempfile.gettempdir()).resolve()
    try:
        uploads = _make(base) / UPLOADS
        uploads.mkdir(mode=0o700)
    except OSError as error:
        raise SpeechPromptError(
            f"No folder for recordings can be made ({error.strerror}): "
            f"let the variable {VARIABLE} name one that you may write to."
        ) from error
    os.environ[VARIABLE] = str(uploads)
    return uploads


def _make(base: Path) -> Path:
    """A locked folder in the user's folder, after those that nobody holds were deleted from there."""
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        users = _users_folder(base)
        try:
            for other in users.iterdir():
                _clear(other)
            folder = Path(tempfile.mkdtemp(dir=users))
            descriptor = _lock(folder)
        except FileNotFoundError:  # a server that ended or started has just deleted it
            continue
        if descriptor is None or not folder.is_dir():
            continue
        _made[folder] = descriptor
        atexit.register(_remove, folder, os.getpid())
        return folder


def _users_folder(base: Path) -> Path:
    """The user's folder in base, which nobody else may enter; of another name where somebody took that one."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = base / f"speechprompt-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or (os.name == "posix" and facts.st_uid != user):
        return Path(tempfile.mkdtemp(prefix="speechprompt-", dir=base))
    folder.chmod(0o700)
    return folder


def _lock(folder: Path) -> int | None:
    """The open descriptor that locks a folder until this process ends; None when another process holds it.

    -1 where folders cannot be locked.
    """
    try:
        import fcntl
    except ImportError:
        return -1
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        return None if isinstance(error, BlockingIOError) else -1
    return descriptor


def _clear(folder: Path) -> None:
    """Delete what a server left that was killed; where nothing can be locked, only what is old."""
    with suppress(OSError):
        if folder in _made or folder.is_symlink() or not folder.is_dir():
            return
        descriptor = _lock(folder)
        if descriptor is None or (
            descriptor == -1 and time.time() - folder.stat().st_mtime < 24 * LONGEST_STAY
        ):
            return
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor != -1:
            os.close(descriptor)


def _remove(folder: Path, process: int) -> None:
    """Delete the folder at the end of the process that made it, not of one that was forked."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another server's is in it
            folder.parent.rmdir()
