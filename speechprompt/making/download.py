"""Files from the network: resumed where a connection broke, of bounded size, unpacked with care.

Knows addresses and files; knows no model.
"""

from __future__ import annotations

import errno
import http.client
import shutil
import tarfile
import time
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from speechprompt.errors import SpeechPromptError

CHUNK = 1 << 20  # bytes read at a time
TIMEOUT = 60  # seconds without a byte after which a connection counts as broken
ATTEMPTS = 5  # connections in a row that may bring nothing, once something has come
PAUSE = 1.0  # seconds before the second of them; doubles each time
RESERVE = 256 << 20  # bytes of the disk that are left free
MAX_UNPACKED = 16 << 30  # bytes of all members of an archive, the unwanted ones included


class Broken(Exception):
    """A connection that did not come about or broke, and why."""


def download(url: str, target: Path, max_bytes: int, otherwise: str) -> None:
    """Get `url` into `target`, unless it is there; `target`.part, which a broken connection leaves, is continued.

    That both belong to the same file is for the caller to check, by its digest. otherwise: what a user can do
    instead, the end of the sentence. Raises SpeechPromptError for the network, OSError for the disk.
    """
    part, failures = target.with_name(target.name + ".part"), 0
    while not target.is_file():
        had = part.stat().st_size if part.is_file() else 0
        try:
            receive(url, part, had, max_bytes)
            part.replace(target)
        except Broken as reason:
            have = part.stat().st_size if part.is_file() else 0
            failures = failures + 1 if have <= had else 0
            if had and str(reason).startswith("416"):  # nothing lies behind what is here
                part.unlink()
                continue
            if failures >= ATTEMPTS or not have:
                raise SpeechPromptError(
                    f"{url} could not be reached ({reason}): check the network and run the command again, which "
                    f"continues where it stopped, or {otherwise}."
                ) from reason
            time.sleep(PAUSE * 2**failures)


def receive(url: str, part: Path, have: int, max_bytes: int) -> None:
    """One connection: write what comes to `part`, behind the `have` bytes there if the server sends the rest."""
    headers = {"User-Agent": "speechprompt", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {}))
    with network():
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    with response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise SpeechPromptError(f"{url} led to an address without encryption: nothing was downloaded.")
        start = have if response.status == 206 else 0
        total = start + int(response.headers.get("Content-Length", 0))
        if total > max_bytes:
            raise SpeechPromptError(f"{url} has {total} bytes, more than the {max_bytes} expected.")
        check_space(part, total - start)
        bar = tqdm(
            total=total or None, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None
        )
        with part.open("ab" if start else "wb", buffering=0) as file, bar:
            while True:
                with network():
                    chunk = response.read(CHUNK)
                if not chunk:
                    break
                if file.tell() + len(chunk) > max_bytes:
                    raise SpeechPromptError(f"{part.stem} is longer than the {max_bytes} bytes expected.")
                file.write(chunk)
                bar.update(len(chunk))
            if file.tell() < total:
                raise Broken("the connection broke")


@contextmanager
def network() -> Iterator[None]:
    """Tell errors of the network from those of the disk."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise Broken(
            f"{getattr(error, 'code', '')} {getattr(error, 'reason', error)}".strip()[:100]
        ) from error


def check_space(target: Path, n_bytes: int) -> None:
    """Raise OSError unless the disk of `target` has room for so many bytes more."""
    free = shutil.disk_usage(target.parent).free
    if n_bytes + RESERVE > free:
        needs = f"it needs {n_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on this disk"
        raise OSError(errno.ENOSPC, needs, target.name.removesuffix(".part"))


def extract(archive: Path, wanted: Mapping[str, int], folder: Path) -> None:
    """Unpack members of a tar archive into `folder` by their last name; wanted: name -> most bytes it may have.

    Nothing else is unpacked, and no path of the archive is followed. SpeechPromptError when one is missing,
    there twice, no regular file or too large, or the archive is damaged.
    """
    found: set[str] = set()
    total = 0
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                name, total = PurePosixPath(member.name).name, total + member.size
                if total > MAX_UNPACKED:
                    raise SpeechPromptError(f"{archive.name} unpacks to more than {MAX_UNPACKED} bytes.")
                if name not in wanted:
                    continue
                if not member.isreg() or member.issparse() or name in found or member.size > wanted[name]:
                    raise SpeechPromptError(
                        f"{archive.name}: {name} must be there once, as a regular file of at most {wanted[name]} "
                        "bytes: it was refused."
                    )
                check_space(folder / name, member.size)
                source = tar.extractfile(member)
                assert source is not None  # a regular file has content
                with source, (folder / name).open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
                found.add(name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise SpeechPromptError(
            f"{archive.name} is damaged or no .tgz archive: download it again."
        ) from error
    if missing := sorted(wanted.keys() - found):
        raise SpeechPromptError(f"{archive.name} lacks {missing[0]}: is it the right archive?")
