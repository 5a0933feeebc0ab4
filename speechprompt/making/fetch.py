"""Get the papers' own models and install them into a backbone of this package.

  python -m speechprompt fetch gslm          HuBERT-base, its 100 units (km100) and the unit LM of 151 M parameters
  python -m speechprompt fetch hubert-mini   HuBERT-base and km100, for our small unit LM, which is bundled

HuBERT-base comes from the Hub (facebook/hubert-base-ls960, at a fixed revision), km.bin and hubert100_lm.tgz
from dl.fbaipublicfiles.com. Run it again to go on after a broken connection; what is installed is skipped.
Files that are here already are taken with --hubert, --km and --lm instead. Nothing of a pickle is run.

A download must have the sha256 that is published for it. None is for hubert100_lm.tgz: its own is printed
when first seen, noted in fetched.json beside the backbone once the file has been converted, and enforced on
later downloads. --sha256 NAME=HEX enforces another, also on a local file.
"""

from __future__ import annotations

import argparse
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_url

from speechprompt.backbone import FETCHED, Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making.download import check_space, download, extract
from speechprompt.storage.bundled import BACKBONE_JSON, find
from speechprompt.storage.folders import read_json, replaced_folder, sha256_file, write_json
from speechprompt.units import UNIT_OFFSET

REPOSITORY = "facebook/hubert-base-ls960"
REVISION = "dba3bb02fda4248b6e082697eee756de8fe8aa8a"
FILES = "https://dl.fbaipublicfiles.com/textless_nlp/gslm/hubert"
NOTES_NAME = "fetched.json"
HUBERT_BYTES = 400 << 20  # pytorch_model.bin has 377,569,754
INSTALLED_BYTES = 900 << 20  # an encoder or a unit LM, and the pieces it is made of
LM_MEMBERS = {"checkpoint_best.pt": 6 << 30, "dict.txt": 4 << 20}


@dataclass(frozen=True)
class Source:
    """One original file: where it is, the option that takes a local copy, and the sha256 that is published."""

    name: str
    url: str
    option: str
    max_bytes: int
    sha256: str | None = None


def _of_hubert(name: str, sha256: str | None = None) -> Source:
    return Source(name, hf_hub_url(REPOSITORY, name, revision=REVISION), "--hubert", HUBERT_BYTES, sha256)


HUBERT = (
    _of_hubert("config.json", "56be398848bbd9cbc720172b0d45b2f01cac7652f2968f0f31f5faf9f2986acc"),
    _of_hubert("pytorch_model.bin", "062249fffb353eab67547a2fbc129f7c31a2f459faf641b19e8fb007cc5c48ad"),
)
HUBERT_SAFETENSORS = _of_hubert("model.safetensors")  # in a local folder
KM = Source(
    "km.bin",
    f"{FILES}/km100/km.bin",
    "--km",
    1 << 30,
    "f14a3104615485381fc489701d6761c9abbdbb0d43607cf55518a1e2891023fe",  # published in textlesslib
)
LM = Source("hubert100_lm.tgz", f"{FILES}/lm_km100/hubert100_lm.tgz", "--lm", 6 << 30)


class Fetch:
    """One run: the backbone's folder, the folder for downloads inside it, and the digests to enforce."""

    def __init__(self, folder: Path, given: dict[str, str]) -> None:
        self.folder, self.work, self.given = folder, folder / ".fetch", given
        self.notes: dict[
            str, dict[str, str]
        ] = {}  # file name -> {sha256, from}; written once the files proved good
        if (folder / NOTES_NAME).is_file():
            files = read_json(folder, NOTES_NAME, "Notes").get("files")
            if not isinstance(files, dict) or not all(isinstance(note, dict) for note in files.values()):
                raise SpeechPromptError(
                    f"{NOTES_NAME} is damaged: delete it to trust the next downloads anew."
                )
            self.notes = files

    def keep_notes(self) -> None:
        aside = self.folder / f".{NOTES_NAME}"
        write_json(aside, {"format_version": 1, "files": self.notes})
        aside.replace(self.folder / NOTES_NAME)

    def file(self, source: Source, local: Path | None) -> Path:
        """The local copy of a source, or its download, held against the digest that is known for it."""
        path, expected = local or self.work / source.name, self.given.get(source.name)
        if local is None:
            if source in HUBERT and constants.HF_HUB_OFFLINE:
                raise SpeechPromptError(
                    f"{source.name} of HuBERT cannot be downloaded because HF_HUB_OFFLINE is set: unset it, or give "
                    f"a local copy with {source.option}."
                )
            self.work.mkdir(exist_ok=True)
            download(source.url, path, source.max_bytes, f"give a local copy with {source.option}")
            note = self.notes.get(source.name, {})
            noted = note.get("sha256") if note.get("from") == source.url else None
            expected = expected or source.sha256 or noted
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
        self.notes[source.name] = {"sha256": found, "from": "a local file" if local else source.url}
        return path

    def hubert(self, local: Path | None) -> Path:
        """A folder as on the Hub: the given one, or the one with the downloads."""
        if local is None:
            check_space(self.work, HUBERT_BYTES)
            for source in HUBERT:
                self.file(source, None)
            return self.work
        if not local.is_dir():
            raise SpeechPromptError(f"--hubert: there is no folder {local.name!r}.")
        for source in (*HUBERT, HUBERT_SAFETENSORS):
            if (local / source.name).is_file():
                self.file(source, local / source.name)
        return local

    def install_encoder(self, n_units: int, hubert: Path | None, km: Path | None) -> None:
        from speechprompt.making.convert import kmeans
        from speechprompt.making.convert.hubert import from_hub_folder

        centroids = kmeans.read(self.file(KM, km))
        check_count(KM.name, len(centroids), n_units)
        encoder = from_hub_folder(self.hubert(hubert), centroids)
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
        self.notes |= {name: note for name, note in Fetch(theirs, {}).notes.items() if name != LM.name}
        self.keep_notes()
        print(f"encoder: copied from backbone {other}, which has the same", flush=True)
        return True

    def install_lm(self, n_units: int, lm: Path | None) -> None:
        from speechprompt.making.convert import unit_lm

        archive = self.file(LM, lm)
        self.work.mkdir(exist_ok=True)
        try:
            extract(archive, LM_MEMBERS, self.work)
        except SpeechPromptError:  # a page in place of the file, which has no published digest
            if lm is None:
                archive.unlink()
            raise
        check_space(self.folder / "unit_lm", INSTALLED_BYTES)
        checkpoint, dictionary = (self.work / name for name in LM_MEMBERS)
        made = unit_lm.convert(checkpoint, dictionary, self.work / "unit_lm")
        check_count(LM.name, made.config.vocab_size - UNIT_OFFSET, n_units)
        (self.work / "unit_lm").replace(self.folder / "unit_lm")
        self.keep_notes()


def check_count(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise SpeechPromptError(f"{name} has {found} units, but the backbone has {expected}.")


def read_digests(texts: list[str] | None) -> dict[str, str]:
    """["km.bin=HEX"] -> {"km.bin": "hex"}."""
    known = [source.name for source in (*HUBERT, KM, LM, HUBERT_SAFETENSORS)]
    digests = {}
    for text in texts or []:
        name, _, value = text.partition("=")
        if name not in known or not re.fullmatch("[0-9a-fA-F]{64}", value):
            raise SpeechPromptError(
                f"--sha256 takes NAME=64 HEX DIGITS, with NAME one of {', '.join(known)}."
            )
        digests[name] = value.lower()
    return digests


def prepare(name: str, out: Path | None) -> Path:
    """The folder to install into: the bundled one, or `out`, which gets a copy of what is bundled."""
    bundled = find(name)
    if out is None:
        return bundled
    if not (out / BACKBONE_JSON).is_file():
        out.mkdir(parents=True, exist_ok=True)
        for part in (BACKBONE_JSON, "README.md"):
            if (bundled / part).is_file():
                shutil.copyfile(bundled / part, out / part)
        if name != "gslm" and not (out / "unit_lm").exists():
            shutil.copytree(bundled / "unit_lm", out / "unit_lm")
    elif Backbone(out).name != name:
        raise SpeechPromptError(f"--out: {out.name} holds the backbone {Backbone(out).name}, not {name}.")
    return out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backbone", choices=FETCHED)
    parser.add_argument("--out", type=Path, metavar="DIR", help="backbone folder (default: the bundled one)")
    parser.add_argument(
        "--hubert", type=Path, metavar="DIR", help="local folder as facebook/hubert-base-ls960"
    )
    parser.add_argument("--km", type=Path, metavar="km.bin", help="local file, or centroids as .npy")
    parser.add_argument("--lm", type=Path, metavar="hubert100_lm.tgz", help="local file (gslm only)")
    parser.add_argument(
        "--sha256", action="append", metavar="NAME=HEX", help="digest that a file must have; repeatable"
    )


def run(args: argparse.Namespace) -> None:
    given = read_digests(args.sha256)
    fetch = Fetch(prepare(args.backbone, args.out), given)
    backbone = Backbone(fetch.folder)
    local_files = args.hubert or args.km or given
    here = "already here (delete its folder to install it anew)"
    try:
        if backbone.has_encoder:
            print(f"encoder: {here}", flush=True)
        elif local_files or not any(fetch.share_encoder(other) for other in {*FETCHED} - {args.backbone}):
            fetch.install_encoder(backbone.n_units, args.hubert, args.km)
            print("encoder: installed", flush=True)
        if args.backbone == "gslm" and not backbone.has_lm:
            fetch.install_lm(backbone.n_units, args.lm)
            print("unit LM: installed", flush=True)
        elif args.backbone == "gslm":
            print(f"unit LM: {here}", flush=True)
        shutil.rmtree(fetch.work, ignore_errors=True)
    finally:
        with suppress(OSError):  # it is kept where it holds a download to go on from
            fetch.work.rmdir()
    print(f"Backbone {args.backbone} is complete; use it with --backbone {args.out or args.backbone}")
