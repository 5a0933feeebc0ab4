"""Take a causal LM of transformers over units (OPT, Llama, Qwen2, Qwen3, GPT-2, Mistral) as a backbone's unit LM.

The command `convert causal-lm` says how and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert.unit_lm import check_out
from speechprompt.models.causal_config import FORMAT_VERSION, UNITS_JSON
from speechprompt.models.lm_config import LM_JSON, MAX_BYTES, WEIGHTS_NAME
from speechprompt.storage.folders import file_inside, read_json, replaced_folder, write_json
from speechprompt.storage.repository import put

MAX_VOCABULARY = 64 << 20  # bytes


def vocabulary(folder: Path) -> dict[str, int]:
    """Token -> id of tokenizer.json (with what was added to it) or vocab.json."""
    name = "tokenizer.json" if (folder / "tokenizer.json").is_file() else "vocab.json"
    path = file_inside(folder, name, "Tokenizer", MAX_VOCABULARY)
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        if name == "vocab.json":
            return dict(held)
        words = dict(held["model"].get("vocab", {}))
        return words | {added["content"]: added["id"] for added in held.get("added_tokens", [])}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpeechPromptError(f"Tokenizer: {name} holds no vocabulary of words and numbers.") from error


def unit_tokens(folder: Path, pattern: str, n_units: int) -> list[int]:
    """The token of each unit by how the tokenizer spells it."""
    if pattern.count("{}") != 1:
        raise SpeechPromptError("--tokens must hold {} once, where the unit's number stands.")
    words = vocabulary(folder)
    names = [pattern.replace("{}", str(unit)) for unit in range(n_units)]
    if missing := [name for name in names if type(words.get(name)) is not int]:
        raise SpeechPromptError(
            f"The tokenizer has no token {missing[0][:80]!r}: check --tokens and --units."
        )
    return [words[name] for name in names]


def convert(
    source: Path,
    out: Path,
    n_units: int,
    offset: int | None,
    pattern: str | None,
    start: int | None,
    end: int | None,
) -> None:
    """A folder of transformers' -> a unit LM's; SpeechPromptError before anything is written."""
    from speechprompt.models.causal_lm import load

    check_out(out)
    settings = read_json(source, LM_JSON, "Unit LM")
    start = settings.get("bos_token_id") if start is None else start
    end = settings.get("eos_token_id") if end is None else end
    if type(start) is not int or type(end) is not int:
        raise SpeechPromptError(
            "config.json does not name the tokens that begin and end a row: give --start and --end."
        )
    units: dict[str, Any] = {"format_version": FORMAT_VERSION, "start": start, "end": end}
    if pattern is not None:
        units["tokens"] = unit_tokens(source, pattern, n_units)
    else:
        units |= {"offset": offset, "n_units": n_units}
    with replaced_folder(out) as aside:
        write_json(aside / LM_JSON, settings)
        put(
            file_inside(source, WEIGHTS_NAME, "Unit LM", MAX_BYTES).resolve(),
            aside / WEIGHTS_NAME,
            link=False,
        )
        write_json(aside / UNITS_JSON, units)
        load(aside)
