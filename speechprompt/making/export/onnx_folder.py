"""Export a backbone and its prompts to ONNX: two graphs that run without Python, in a browser for one.

The command `export onnx` says how and why.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.bundled import PACKAGE
from speechprompt.storage.folders import replaced_folder, sha256_file, write_json

if TYPE_CHECKING:
    from speechprompt.backbone import Backbone
    from speechprompt.making.export.check import Found

FORMAT_VERSION = 1
MODEL_JSON = "model.json"
ENCODER_ONNX, LM_ONNX, PROMPTS = "encoder.onnx", "unit_lm.onnx", "prompts"
SOUNDS = (".flac", ".wav", ".ogg", ".mp3")


def export(backbone: Backbone, out: Path, recordings: Sequence[Path]) -> Found:
    """Write OUT, whole or not at all; SpeechPromptError where the backbone or a recording does not serve."""
    from speechprompt.making.export.check import compare
    from speechprompt.making.export.graphs import EncoderGraph, LMGraph
    from speechprompt.making.export.onnx_files import require_onnx, write_encoder, write_lm

    require_onnx()
    check_kind(backbone)
    check_out(out)
    with replaced_folder(out, drop=(PROMPTS,)) as aside:
        write_encoder(EncoderGraph(backbone.encoder), aside / ENCODER_ONNX)  # type: ignore[arg-type]
        write_lm(LMGraph(backbone.lm), aside / LM_ONNX)
        found = compare(backbone, aside / ENCODER_ONNX, aside / LM_ONNX, recordings)
        for task in backbone.prompts:
            shutil.copytree(backbone.prompt_folder(task), aside / PROMPTS / task)
        write_json(aside / MODEL_JSON, facts(backbone, aside))
    return found


def check_kind(backbone: Backbone) -> None:
    """SpeechPromptError for a backbone of which there are no graphs."""
    from speechprompt.models.encoder import UnitEncoder
    from speechprompt.models.lm_config import LMConfig

    if not backbone.complete:
        raise SpeechPromptError(str(backbone.missing))
    if not isinstance(backbone.lm_config, LMConfig):
        kind = "a prosody LM" if backbone.needs_f0 else "an LM of transformers"
        raise SpeechPromptError(
            f"Backbone {backbone.name} has {kind}, which cannot be exported: only XGLM's unit LMs can, as that of mini."
        )
    if not isinstance(backbone.encoder, UnitEncoder):
        raise SpeechPromptError(
            f"Backbone {backbone.name} has an encoder of transformers (HuBERT or Whisper), which cannot be exported: "
            "only our own can, as that of mini."
        )


def check_out(out: Path) -> None:
    """SpeechPromptError where OUT is something else than what this wrote before."""
    if out.exists() and not out.is_dir():
        raise SpeechPromptError("OUT is a file: choose a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / MODEL_JSON).is_file():
        raise SpeechPromptError("OUT is not empty and was not exported before: choose a new folder.")


def facts(backbone: Backbone, folder: Path) -> dict[str, Any]:
    """What model.json says: whose graphs these are, their sizes, and each file with its bytes and sha256."""
    from speechprompt.decoding.fits import NAMES

    config = backbone.lm.config
    files = [ENCODER_ONNX, LM_ONNX]
    prompts = {
        task: sorted(path.name for path in (folder / PROMPTS / task).iterdir()) for task in backbone.prompts
    }
    return {
        "format_version": FORMAT_VERSION,
        "backbone": backbone.name,
        "title": backbone.title,
        "licence": backbone.info.licence,
        "unit_lm_sha256": backbone.unit_lm_sha256,
        "encoder_sha256": backbone.encoder_sha256,
        "n_units": backbone.n_units,
        "layers": int(config.num_layers),
        "heads": int(config.attention_heads),
        "width": int(config.d_model),
        "parameters": backbone.n_parameters,
        "languages": NAMES,
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
            for name in files
        },
        "prompts": prompts,
    }


def example_recordings() -> list[Path]:
    """Those of a clone; SpeechPromptError where there are none, as in an installed package."""
    folder = PACKAGE.parent / "examples"
    found = sorted(path for path in folder.glob("*") if path.suffix in SOUNDS)
    if not found:
        raise SpeechPromptError(
            "There are no example recordings beside this package: name some with --recordings."
        )
    return found
