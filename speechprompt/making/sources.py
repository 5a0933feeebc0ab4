"""The papers' original files: where they are, how large they may be, and the sha256 that is published for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from huggingface_hub import hf_hub_url

from speechprompt.errors import SpeechPromptError

REPOSITORY = "facebook/hubert-base-ls960"
REVISION = "dba3bb02fda4248b6e082697eee756de8fe8aa8a"
FILES = "https://dl.fbaipublicfiles.com"
HUBERT_BYTES = 400 << 20  # pytorch_model.bin has 377,569,754
LM_MEMBERS = {"checkpoint_best.pt": 6 << 30, "dict.txt": 4 << 20}  # of LM, and the most bytes each may have


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
# fairseq's own file of the same model, taken as a local copy: it has the optimizer too, so 1,136,468,879 bytes.
FAIRSEQ_HUBERT = Source(
    "hubert_base_ls960.pt",
    f"{FILES}/hubert/hubert_base_ls960.pt",
    "--hubert",
    2 << 30,
    "1703cf8d2cdc76f8c046f5f6a9bcd224e0e6caf4744cad1a1f4199c32cac8c8d",  # published in textlesslib
)
KM = Source(
    "km.bin",
    f"{FILES}/textless_nlp/gslm/hubert/km100/km.bin",
    "--km",
    1 << 30,
    "f14a3104615485381fc489701d6761c9abbdbb0d43607cf55518a1e2891023fe",  # published in textlesslib
)
LM = Source(
    "hubert100_lm.tgz", f"{FILES}/textless_nlp/gslm/hubert/lm_km100/hubert100_lm.tgz", "--lm", 6 << 30
)
PROSODY_LM = Source(
    "discrete_prosody_shift_1_1.pt",
    f"{FILES}/textless_nlp/pgslm/ulm_checkpoints/discrete_prosody_shift_1_1.pt",
    "--lm",
    4 << 30,
)
F0_EDGES = Source(
    "mean_norm_log_f0_seg_bin.th",
    f"{FILES}/textless_nlp/pgslm/vocoder/blizzard2013/mean_norm_log_f0_seg_bin.th",
    "--edges",
    1 << 20,
)
OF_LMS = (LM, PROSODY_LM, F0_EDGES)  # the others are of the encoder, which all backbones to be fetched share


def at_mirror(source: Source, mirror: str | None) -> Source:
    """The source where a mirror has it: the same path below the mirror's address."""
    if mirror is None:
        return source
    return replace(source, url=mirror.rstrip("/") + urlsplit(source.url).path)


def check_mirror(address: str | None) -> str | None:
    """The address of a mirror as it was given; SpeechPromptError unless files can lie below it."""
    if address is None:
        return None
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or re.search(r"[\s\x00-\x1f\x7f]", address):
        raise SpeechPromptError(
            "--mirror takes an address such as https://mirror.example.org/models, without a password or a query."
        )
    return address


def read_digests(texts: Sequence[str] | None) -> dict[str, str]:
    """["km.bin=HEX"] -> {"km.bin": "hex"}."""
    known = [source.name for source in (*HUBERT, HUBERT_SAFETENSORS, FAIRSEQ_HUBERT, KM, *OF_LMS)]
    digests = {}
    for text in texts or []:
        name, _, value = text.partition("=")
        if name not in known or not re.fullmatch("[0-9a-fA-F]{64}", value):
            raise SpeechPromptError(
                f"--sha256 takes NAME=64 HEX DIGITS, with NAME one of {', '.join(known)}."
            )
        digests[name] = value.lower()
    return digests
