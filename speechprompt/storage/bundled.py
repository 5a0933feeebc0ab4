"""Where backbones/ and prompts/ lie, in a clone and in an installed wheel."""

from __future__ import annotations

import re
from pathlib import Path

from speechprompt.errors import SpeechPromptError

BACKBONE_JSON = "backbone.json"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PACKAGE = Path(__file__).parents[1]
# A clone keeps backbones/ and prompts/ beside the package, an installed wheel in a folder inside it.
ROOTS = (PACKAGE.parent, PACKAGE / "bundled")


def list_backbones() -> list[str]:
    """Names of the bundled backbones, sorted, `mini` (the default) first."""
    names = {path.parent.name for root in ROOTS for path in root.glob(f"backbones/*/{BACKBONE_JSON}")}
    return sorted(names, key=lambda name: (name != "mini", name))


def find(name_or_folder: str | Path) -> Path:
    """The folder of a bundled backbone, or the given folder when it holds one."""
    if isinstance(name_or_folder, str) and NAME_PATTERN.fullmatch(name_or_folder):
        for root in ROOTS:
            if (root / "backbones" / name_or_folder / BACKBONE_JSON).is_file():
                return root / "backbones" / name_or_folder
    folder = Path(name_or_folder)
    try:
        if (folder / BACKBONE_JSON).is_file():
            return folder
    except OSError:  # a name that is too long to be one
        pass
    known = ", ".join(list_backbones()) or "none"
    raise SpeechPromptError(
        f"There is no backbone {folder.name[:80]!r}; bundled here: {known} (or give a folder with {BACKBONE_JSON})."
    )
