"""Files from the network: resumed where a connection broke, of bounded size, unpacked with care.

Knows addresses and files; knows no model.
"""

from __future__ import annotations

import errno
import http.client
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from speechprompt.errors import SpeechPromptError

CHUNK = 1 << 20  # bytes read at a time
TIMEOUT = 60  # seconds without a byte after which a connection counts as broken
ATTEMPTS = 5  # connections in a row that may bring nothing, once something has come
PAUSE = 1.0  # seconds before the second of them; doubles each time
RESERVE = 256 << 20  # bytes of the disk that are left free
MAX_UNPACKED = 16 << 30  # bytes of all members of an archive, the unwanted ones included


def download(url: str, target: Path, max_bytes: int, otherwise: str) -> None:
    """Get `url` into `target`, unless it is there; what a broken connection left in `target`.part is gone on from.

    otherwise: what a user can do instead, the end of the sentence when the address cannot be reached.
    Raises SpeechPromptError for the network, OSError for the disk.
    """
    if target.is_file():
        return
    part = target.with_name(target.name + ".part")
    failures, moved = 0, False
    while (trouble := receive(url, part, max_bytes)) is not None:
        reason, came = trouble
        moved |= came
        failures = 0 if came else failures + 1
        if not moved or failures >= ATTEMPTS:
            kept = " and it goes on where it stopped" if part.is_file() else ""
            raise SpeechPromptError(
                f"{url} could not be reached ({reason}): check the network and run the command again{kept}, "
                f"or {otherwise}."
            )
        time.sleep(PAUSE * 2**failures)
    part.replace(target)
    validator_of(part).unlink(missing_ok=True)


def validator_of(part: Path) -> Path:
    """The file that holds the ETag or date by which a server knows that the rest belongs to the same file."""
    return part.with_name(part.name + ".tag")


def receive(url: str, part: Path, max_bytes: int) -> tuple[str, bool] | None:
    """One connection: add what comes to `part`; None when that is all, else why not and whether anything came."""
    request = urllib.request.Request(
        url, headers={"User-Agent": "speechprompt", "Accept-Encoding": "identity"}
    )
    have = 0
    if part.is_file() and validator_of(part).is_file():
        have = part.stat().st_size
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator_of(part).read_text(encoding="ascii"))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing lies beyond what is here
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return None
            part.unlink()
            return receive(url, part, max_bytes)
        return f"it answered {error.code} {error.reason}", False
    except (OSError, http.client.HTTPException) as error:
        return reason_of(error), False
    with response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise SpeechPromptError(f"{url} led to an address without encryption: nothing was downloaded.")
        start, total = extent(response, have)
        if (total or 0) > max_bytes:
            raise SpeechPromptError(
                f"{url} has {total} bytes, more than the {max_bytes} expected: nothing was kept."
            )
        check_space(part.with_suffix(""), (total or 0) - start)
        validator = response.headers.get("ETag", "")
        if not validator or validator.startswith("W/"):  # a weak tag does not promise the same bytes
            validator = response.headers.get("Last-Modified", "")
        if validator:
            validator_of(part).write_text(validator, encoding="ascii", errors="replace")
        else:
            validator_of(part).unlink(missing_ok=True)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            return copy(response, file, total, max_bytes, part.stem)


def extent(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """First byte that this response brings, and the size of the whole file where the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise SpeechPromptError(
                f"{response.url} answered with another part than asked for: try again later."
            )
        return have, int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def copy(
    response: http.client.HTTPResponse, file: IO[bytes], total: int | None, max_bytes: int, name: str
) -> tuple[str, bool] | None:
    """Write what comes behind the file's position; as `receive`."""
    start = file.tell()
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=None) as bar:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                return reason_of(error), file.tell() > start
            if not chunk:
                break
            if file.tell() + len(chunk) > max_bytes:
                raise SpeechPromptError(f"{name} is longer than the {max_bytes} bytes expected.")
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise OSError(error.errno, error.strerror, name) from error
            bar.update(len(chunk))
    if total is not None and file.tell() < total:
        return "the connection broke", file.tell() > start
    return None


def reason_of(error: Exception) -> str:
    """The cause of a network error in a few words."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)[:100]


def download_from_hub(repository: str, revision: str, name: str, folder: Path, otherwise: str) -> Path:
    """Get one file of a repository on the Hugging Face Hub into `folder`; huggingface_hub resumes by itself."""
    from huggingface_hub import constants, errors, hf_hub_download  # takes a moment to import

    # HTTPError is that of its HTTP library, whichever it is: no connection, or a broken one.
    kinds = (
        errors.HTTPError,
        errors.FileMetadataError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
    )
    try:
        return Path(hf_hub_download(repository, name, revision=revision, local_dir=folder))
    except kinds as error:
        response = getattr(error, "response", None)
        reason = "no connection" if response is None else f"it answered {response.status_code}"
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else reason
        raise SpeechPromptError(
            f"{name} of {repository} on the Hub could not be reached ({reason}): check the network and run the "
            f"command again, or {otherwise}."
        ) from error


def check_space(target: Path, n_bytes: int) -> None:
    """Raise OSError unless the disk of `target` has room for so many bytes more."""
    free = shutil.disk_usage(target.parent).free
    if n_bytes + RESERVE > free:
        raise OSError(
            errno.ENOSPC,
            f"it needs {n_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on this disk",
            target.name,
        )


def extract(archive: Path, wanted: Mapping[str, int], folder: Path) -> None:
    """Unpack members of a tar archive into `folder` by their last name; wanted: name -> most bytes it may have.

    Nothing else is unpacked. SpeechPromptError when one is missing, there twice, no regular file or too
    large, when any member's path leads elsewhere, or the archive is damaged.
    """
    found: set[str] = set()
    total = 0
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                total += member.size
                if path.is_absolute() or ".." in path.parts:
                    raise SpeechPromptError(
                        f"{archive.name} holds a path that leads elsewhere: it was refused."
                    )
                if total > MAX_UNPACKED:
                    raise SpeechPromptError(f"{archive.name} unpacks to more than {MAX_UNPACKED} bytes.")
                if path.name not in wanted:
                    continue
                if not member.isreg() or member.issparse() or path.name in found:
                    raise SpeechPromptError(
                        f"{archive.name}: {path.name} must be there once, as a regular file: it was refused."
                    )
                if member.size > wanted[path.name]:
                    raise SpeechPromptError(f"{archive.name}: {path.name} has {member.size} bytes, too many.")
                check_space(folder / path.name, member.size)
                source = tar.extractfile(member)
                assert source is not None  # a regular file has content
                with source, (folder / path.name).open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
                found.add(path.name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise SpeechPromptError(
            f"{archive.name} is damaged or no .tgz archive: download it again."
        ) from error
    if missing := sorted(wanted.keys() - found):
        raise SpeechPromptError(f"{archive.name} lacks {missing[0]}: is it the right archive?")
