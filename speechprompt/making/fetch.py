"""Get the papers' own models and install them into a backbone of this package.

The command `fetch` says how and why.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.making.install import Installation
from speechprompt.making.sources import check_mirror, read_digests
from speechprompt.models.backbone_config import FETCHED
from speechprompt.storage.bundled import BACKBONE_JSON, find


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
        if name == "hubert-mini" and not (out / "unit_lm").exists():
            shutil.copytree(bundled / "unit_lm", out / "unit_lm")
    elif Backbone(out).name != name:
        raise SpeechPromptError(f"--out: {out.name} holds the backbone {Backbone(out).name}, not {name}.")
    return out


def fetch(
    name: str,
    out: Path | None,
    *,
    hubert: Path | None,
    km: Path | None,
    lm: Path | None,
    edges: Path | None,
    sha256: Sequence[str] | None,
    mirror: str | None,
) -> None:
    """Install what the backbone `name` lacks, from the files that are given and the network; print what happens.

    SpeechPromptError for a file that is not what it should be, an address that does not answer or a full disk.
    """
    given, address = read_digests(sha256), check_mirror(mirror)
    for option, file, takes in (
        ("--lm", lm, ("gslm", "pgslm")),
        ("--edges", edges, ("pgslm",)),
    ):
        if file is not None and name not in takes:
            raise SpeechPromptError(f"{option} is a file of {' and '.join(takes)}, not of {name}.")
    installation = Installation(prepare(name, out), given, address)
    backbone = Backbone(installation.folder)
    local_files = hubert or km or given
    here = "already here (delete its folder to install it anew)"
    others = [other for other in FETCHED if other != name]
    try:
        if backbone.has_encoder:
            print(f"encoder: {here}", flush=True)
        elif local_files or not any(installation.share_encoder(other) for other in others):
            installation.install_encoder(backbone.n_units, hubert, km)
            print("encoder: installed", flush=True)
        if name == "hubert-mini":
            pass  # its unit LM is bundled
        elif backbone.has_lm:
            print(f"unit LM: {here}", flush=True)
        else:
            if name == "pgslm":
                installation.install_prosody_lm(backbone.n_units, lm, edges)
            else:
                installation.install_lm(backbone.n_units, lm)
            print("unit LM: installed", flush=True)
        shutil.rmtree(installation.work, ignore_errors=True)
    finally:
        with suppress(OSError):  # it is kept where it holds a download to go on from
            installation.work.rmdir()
    print(f"Backbone {name} is complete; use it with --backbone {out or name}")
