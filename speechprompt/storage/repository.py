"""What a repository of the Hub holds at one commit: judged by its list before a file is downloaded, then file by file.

Each file is held against the digest in that list. Knows no prompt and no model.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from speechprompt.errors import SpeechPromptError
from speechprompt.storage import hub
from speechprompt.storage.folders import sha256_file

ALL_BYTES = 16 << 30  # of the files of one repository that are fetched

if TYPE_CHECKING:  # imported when the Hub is first asked
    from huggingface_hub import RepoFile


@dataclass(frozen=True)
class Listed:
    """One file of a repository: its bytes, and its digest where the Hub says it, of the file or of git's blob."""

    size: int
    sha256: str | None = None
    blob: str | None = None

    @classmethod
    def of(cls, file: RepoFile) -> Listed:
        """SpeechPromptError where the list has no size for it."""
        lfs = file.lfs
        if type(file.size) is not int or file.size < 0:
            raise SpeechPromptError("The Hub lists a file without its size: it was refused.")
        return cls(file.size, lfs.sha256, None) if lfs is not None else cls(file.size, None, file.blob_id)

    def is_whole(self, path: Path) -> bool:
        """Whether a local file is this one."""
        if path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return sha256_file(path) == self.sha256
        header = f"blob {self.size}\0".encode()
        return self.blob in (
            None,
            hashlib.sha1(header + path.read_bytes(), usedforsecurity=False).hexdigest(),
        )


class Repository:
    """A repository at one `commit`, by the list of its `files` (path -> Listed).

    Where the Hub cannot be reached, what is in the client's cache is taken for it. SpeechPromptError in one sentence
    when there is none, or its list is not one of honest files.
    """

    def __init__(
        self, address: str, revision: str | None = None, token: hub.Token = None, cache: Path | None = None
    ) -> None:
        """token: see Token. cache: the client's, by default where it keeps all that was ever downloaded."""
        from huggingface_hub import HfApi, RepoFile, errors

        self.name, self.revision = hub.parse(address, revision)
        self.files: dict[str, Listed] = {}
        self._token, self._cache, self._cached = token, cache, False

        def ask() -> tuple[str, list[RepoFile]]:
            api = HfApi(token=token)
            # What is not there is said by this; the list below is asked for again and again.
            api.model_info(self.name, revision=self.revision)
            at = api.resolve_revision(self.name, revision=self.revision, cache_dir=cache, token=token)
            tree = api.list_repo_tree(self.name, recursive=True, revision=str(getattr(at, "resolved", at)))
            return at, [entry for entry in islice(tree, 4 * hub.MAX_FILES) if isinstance(entry, RepoFile)]

        with hub.in_a_sentence(self.name, self.revision):
            try:
                self._at, found = hub.in_time(self.name, ask)
                self.commit = str(getattr(self._at, "resolved", self._at))
            except errors.HfHubHTTPError:
                raise
            except Exception:  # no network, or no answer
                self._cached = True
                place = self._snapshot([])
                self._at = self.commit = place.name
                local = [path for path in place.rglob("*") if path.is_file()]
                self.files = {p.relative_to(place).as_posix(): Listed(p.stat().st_size) for p in local}
            else:
                self.files = {file.path: Listed.of(file) for file in found}
        self._check_names()

    def _check_names(self) -> None:
        if len(self.files) > hub.MAX_FILES:
            raise SpeechPromptError(
                f"{self.name} holds more than {hub.MAX_FILES} files: it is not one to be used here."
            )
        for name in self.files:
            path = PurePosixPath(name)
            odd = "\\" in name or ":" in name or not name.isprintable() or len(name) > hub.MAX_NAME
            if odd or path.is_absolute() or ".." in path.parts:
                raise SpeechPromptError(f"{self.name} lists a file that points out of it: it was refused.")

    def _snapshot(self, names: list[str], again: bool = False) -> Path:
        """The folder of the client's cache with these files; `again` downloads what is there already."""
        from huggingface_hub import snapshot_download

        place = snapshot_download(
            self.name,
            revision=self._at if self.files else self.revision,
            allow_patterns=names,
            local_files_only=self._cached,
            force_download=again,
            token=self._token,
            cache_dir=self._cache,
        )
        return Path(place)

    def fetch(
        self, wanted: Mapping[str, int], needed: Sequence[str], what: str, into: Path, link: bool = False
    ) -> None:
        """Put the files that match a pattern of `wanted` (-> the most bytes of one) into a folder that is there.

        needed: names without which the repository is not `what` ("prompt"). link: as hard links into the client's
        cache where the disk can, for what nobody edits. SpeechPromptError before anything is downloaded when a file
        is missing or too large, and afterwards when one did not come whole.
        """
        self._check_needed(needed, what)
        chosen = {name: size for name in self.files if (size := most(wanted, name))}
        for name, size in chosen.items():
            if self.files[name].size > size:
                raise SpeechPromptError(
                    f"{self.name}: {name} has {self.files[name].size} bytes, more than the {size} allowed."
                )
        n_bytes = sum(self.files[name].size for name in chosen)
        if n_bytes > ALL_BYTES:
            raise SpeechPromptError(
                f"{self.name} would bring {n_bytes >> 30} GB, more than the {ALL_BYTES >> 30} allowed."
            )
        with hub.in_a_sentence(self.name, self.revision):
            for again in (False, True):
                place = hub.in_time(self.name, partial(self._snapshot, [*chosen], again), n_bytes)
                broken = [name for name in chosen if not self.files[name].is_whole(place / name)]
                if not broken or self._cached:
                    break
        if broken:
            raise SpeechPromptError(
                f"{self.name}: {broken[0]} is not the file that the Hub lists, so it was refused: try again later."
            )
        for name in chosen:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            put((place / name).resolve(), target, link)

    def _check_needed(self, needed: Sequence[str], what: str) -> None:
        if missing := [name for name in needed if name not in self.files]:
            pickled = any(name.endswith(hub.PICKLES) for name in self.files)
            raise SpeechPromptError(
                f"{self.name} on the Hub is no {what}: it lacks {missing[0]}"
                f"{', and pickles are never loaded' if pickled else ''}."
            )


def most(wanted: Mapping[str, int], name: str) -> int:
    """The most bytes that a file of this name may have; 0 where no pattern wants it.

    A * of a pattern stands for one folder's name, not for several.
    """
    depth = name.count("/")
    found = (
        size for pattern, size in wanted.items() if fnmatchcase(name, pattern) and pattern.count("/") == depth
    )
    return next(found, 0)


def put(source: Path, target: Path, link: bool) -> None:
    """A file at a second place, as a hard link where that is asked for and the disk can."""
    if link:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copyfile(source, target)
