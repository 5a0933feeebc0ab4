"""Original files, downloaded or local, held against their digests and converted into a backbone's folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.making import sources
from speechprompt.making.download import check_space, download, extract
from speechprompt.making.sources import Source, at_mirror
from speechprompt.storage.bundled import find
from speechprompt.storage.folders import read_json, replaced_file, replaced_folder, sha256_file, write_json
from speechprompt.storage.hub import OFFLINE, is_offline
from speechprompt.units import UNIT_OFFSET

NOTES_NAME = "fetched.json"
LOCAL = "a local file"
INSTALLED_BYTES = 900 << 20  # an encoder or a unit LM, and the pieces it is made of


class Installation:
    """One run: the backbone's folder, the folder for downloads inside it, and the digests to enforce.

    given: file name -> sha256 that it must have. mirror: address below which the files lie at their paths.
    """

    def __init__(self, folder: Path, given: dict[str, str], mirror: str | None = None) -> None:
        self.folder, self.work, self.given, self.mirror = folder, folder / ".fetch", given, mirror
        # file name -> {sha256, from}; written once the files proved good
        self.notes: dict[str, dict[str, str]] = {}
        if (folder / NOTES_NAME).is_file():
            files = read_json(folder, NOTES_NAME, "Notes").get("files")
            if not isinstance(files, dict) or not all(isinstance(note, dict) for note in files.values()):
                raise SpeechPromptError(
                    f"{NOTES_NAME} is damaged: delete it to trust the next downloads anew."
                )
            self.notes = files

    def keep_notes(self) -> None:
        with replaced_file(self.folder / NOTES_NAME) as aside:
            write_json(aside, {"format_version": 1, "files": self.notes})

    def file(self, source: Source, local: Path | None) -> Path:
        """The local copy of a source, or its download, held against the digest that is known for it."""
        source = at_mirror(source, self.mirror)
        path, expected = local or self.work / source.name, self.given.get(source.name)
        if local is None:
            if source.option == "--hubert" and self.mirror is None and is_offline():
                raise SpeechPromptError(
                    f"{source.name} of HuBERT cannot be downloaded because {OFFLINE}: unset it, or give "
                    f"a local copy with {source.option}."
                )
            self.work.mkdir(exist_ok=True)
            download(source.url, path, source.max_bytes, f"give a local copy with {source.option}")
            expected = expected or source.sha256 or self.noted(source)
        elif not local.is_file():
            raise SpeechPromptError(f"{source.option}: there is no file {local.name!r}.")
        found = sha256_file(path)
        if expected not in (None, found):
            if local is None:
                path.unlink()
            raise SpeechPromptError(
                f"{source.name} has the sha256 {found}, but {expected} was expected, so it was not installed: "
                + (
                    "give the right file."
                    if local
                    else "run the command again, or ask why the file has changed."
                )
            )
        if found not in (expected, source.sha256):
            print(f"{source.name}: sha256 {found}, not known before", flush=True)
        self.notes[source.name] = {"sha256": found, "from": LOCAL if local else source.url}
        return path

    def noted(self, source: Source) -> str | None:
        """The sha256 of an earlier download of a source, from wherever it came."""
        note = self.notes.get(source.name, {})
        return None if note.get("from") == LOCAL else note.get("sha256")

    def hubert(self, local: Path | None) -> Path:
        """A folder as on the Hub, or fairseq's own file: what was given, or the folder with the downloads."""
        if local is None:
            check_space(self.work, sources.HUBERT_BYTES)
            for source in sources.HUBERT:
                self.file(source, None)
            return self.work
        if local.is_file():
            return self.file(sources.FAIRSEQ_HUBERT, local)
        if not local.is_dir():
            raise SpeechPromptError(f"--hubert: there is no folder {local.name!r}, nor such a file.")
        for source in (*sources.HUBERT, sources.HUBERT_SAFETENSORS):
            if (local / source.name).is_file():
                self.file(source, local / source.name)
        return local

    def install_encoder(self, n_units: int, hubert: Path | None, km: Path | None) -> None:
        from speechprompt.making.convert import kmeans
        from speechprompt.making.convert.hubert import from_fairseq, from_hub_folder

        centroids = kmeans.read(self.file(sources.KM, km))
        check_count(sources.KM.name, len(centroids), n_units)
        original = self.hubert(hubert)
        encoder = (from_fairseq if original.is_file() else from_hub_folder)(original, centroids)
        encoder.units(
            torch.randn(16_000, generator=torch.Generator().manual_seed(0)).mul(0.1).numpy()
        )  # it runs
        check_space(self.folder / "encoder", INSTALLED_BYTES)
        encoder.save(self.folder / "encoder")
        self.keep_notes()

    def share_encoder(self, other: str) -> bool:
        """Copy the encoder of the other backbone that runs on HuBERT-base, if it is here already."""
        theirs = find(other)
        if theirs == self.folder or not (theirs / "encoder").is_dir():
            return False
        with replaced_folder(self.folder / "encoder") as aside:
            shutil.copytree(theirs / "encoder", aside, dirs_exist_ok=True)
        of_lms = {source.name for source in sources.OF_LMS}
        known = Installation(theirs, {}).notes
        self.notes |= {name: note for name, note in known.items() if name not in of_lms}
        self.keep_notes()
        print(f"encoder: copied from backbone {other}, which has the same", flush=True)
        return True

    def install_lm(self, n_units: int, lm: Path | None) -> None:
        """GSLM's unit LM, from the archive that it is published in."""
        from speechprompt.making.convert import unit_lm

        archive = self.file(sources.LM, lm)
        self.work.mkdir(exist_ok=True)
        try:
            extract(archive, sources.LM_MEMBERS, self.work)
        except SpeechPromptError:  # a page in place of the file, which has no published digest
            if lm is None:
                archive.unlink()
            raise
        check_space(self.folder / "unit_lm", INSTALLED_BYTES)
        checkpoint, dictionary = (self.work / name for name in sources.LM_MEMBERS)
        made = unit_lm.convert(checkpoint, dictionary, self.work / "unit_lm")
        self.put_lm(sources.LM, made.config.vocab_size, n_units)

    def install_prosody_lm(self, n_units: int, lm: Path | None, edges: Path | None) -> None:
        """pGSLM's LM with prosody in and out, with the edges of its F0 bins."""
        from speechprompt.making.convert import prosody_lm

        files = [self.file(sources.PROSODY_LM, lm), self.file(sources.F0_EDGES, edges)]
        self.work.mkdir(exist_ok=True)
        check_space(self.folder / "unit_lm", INSTALLED_BYTES)
        try:
            made = prosody_lm.convert(files[0], self.work / "unit_lm", files[1])
        except SpeechPromptError:  # pages in place of the files, or a half, which no published digest tells
            for path, local in zip(files, (lm, edges), strict=True):
                if local is None:
                    path.unlink()
            raise
        self.put_lm(sources.PROSODY_LM, made.config.vocab_size, n_units)

    def put_lm(self, source: Source, vocab_size: int, n_units: int) -> None:
        check_count(source.name, vocab_size - UNIT_OFFSET, n_units)
        (self.work / "unit_lm").replace(self.folder / "unit_lm")
        self.keep_notes()


def check_count(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise SpeechPromptError(f"{name} has {found} units, but the backbone has {expected}.")
