"""The papers' baseline: a unit LM whose own weights learnt one task becomes a backbone with that one prompt.

`tune --fine-tune` hands the LM's weights to tune_task and the result to `keep_lm`. What is written stands beside every
other backbone: the LM in float32, a copy of the encoder, and a prompt that is one input vector, the separator and the
verbalizer.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.models.backbone_config import FORMAT_VERSION
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.bundled import BACKBONE_JSON, NAME_PATTERN, list_backbones
from speechprompt.storage.folders import cannot_write, replaced_folder, write_json

CARD = """---
library_name: speechprompt
---

# Backbone `{name}`

The unit LM of the backbone `{base}` (sha256 of its weights {sha256}), all of whose weights learnt the task `{task}`:
the papers' fine-tuning, not a prompt. It answers that task alone; prompts of `{base}` do not fit it. Its licence is
that of `{base}` and of the data, which the card of the prompt names.

```
{command}
```
"""


def check_place(out: Path, backbone: Backbone) -> Path:
    """The folder that a fine-tuned backbone goes into; SpeechPromptError where it may not."""
    name = out.absolute().name
    if not NAME_PATTERN.fullmatch(name):
        raise SpeechPromptError(
            f"--out: {name[:80]!r} becomes the backbone's name, so it needs 1 to 64 of a-z, 0-9, - and _: choose "
            "another."
        )
    if not backbone.lm_config.projects:
        raise SpeechPromptError(
            f"--fine-tune: the unit LM of backbone {backbone.name} is one of transformers' own, which is tuned there: "
            "choose a backbone with XGLM, or tune a prompt."
        )
    folder = out / "backbones" / name
    if name in (*list_backbones(), backbone.name) or folder.exists():
        raise SpeechPromptError(
            f"--out: there is a backbone {name} already, which is never written over: choose another --out, or delete "
            "it."
        )
    return out


def keep_lm(backbone: Backbone, prompt: Prompt, out: Path) -> Path:
    """Write the LM as it is in memory, with a copy of the encoder and the prompt; the folder of the new backbone.

    It is there when it is whole. SpeechPromptError where it cannot be written.
    """
    from speechprompt.models import prosody_lm, unit_lm  # transformers takes seconds to import
    from speechprompt.models.lm_config import sha256
    from speechprompt.models.prosody_lm import ProsodyLM

    name = out.absolute().name
    folder = out / "backbones" / name
    info = asdict(backbone.info) | {
        "name": name,
        "title": f"{backbone.title[:200]}, fine-tuned for {prompt.title}",
        "description": f"The unit LM of {backbone.name} with all its weights tuned for one task, {prompt.task}.",
        "encoder": "bundled" if backbone.has_encoder else backbone.info.encoder,
    }
    card = CARD.format(
        name=name,
        base=backbone.name,
        sha256=backbone.unit_lm_sha256,
        task=prompt.task,
        command=prompt.commands["tuned"],
    )
    lm = backbone.lm
    try:
        with replaced_folder(folder) as aside:
            if isinstance(lm, ProsodyLM):
                prosody_lm.save(lm, aside / "unit_lm", lm.dtype)
            else:
                unit_lm.save(lm, aside / "unit_lm", lm.dtype)
            if backbone.has_encoder:
                shutil.copytree(backbone.encoder_folder, aside / "encoder")
            write_json(aside / BACKBONE_JSON, {"format_version": FORMAT_VERSION, **info})
            (aside / "README.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise cannot_write(f"The backbone {name}", error) from error
    kept = replace(prompt, backbone=name, unit_lm_sha256=sha256(folder / "unit_lm"))
    kept.save(Backbone(folder).prompt_folder(prompt.task), prompt_card(kept))
    return folder
