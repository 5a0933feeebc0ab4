"""Which labels a converted prompt answers, from the reference's verbalizer.json, a list of labels or of units."""

from __future__ import annotations

import re
from pathlib import Path

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import read_json


def read_verbalizer(path: Path) -> dict[str, int]:
    """The reference's verbalizer.json: label -> symbol (a unit, or a class of a learned verbalizer)."""
    stored = read_json(path.absolute().parent, path.name, "Verbalizer")
    symbols: dict[str, int] = {}
    for label, symbol in stored.items():
        if not re.fullmatch(r"\d{1,6}", str(symbol)):
            raise SpeechPromptError(f"Verbalizer: {path.name} must map each label to a whole number.")
        symbols[label] = int(symbol)
    if len(set(symbols.values())) != len(symbols) or not symbols:
        raise SpeechPromptError(f"Verbalizer: {path.name} must map each label to a number of its own.")
    return symbols


def name_labels(
    n_classes: int | None, labels: list[str] | None, mapping: dict[str, int] | None, units: list[int] | None
) -> tuple[list[str], list[int] | None]:
    """Labels in the prompt's order, and their units: None where the verbalizer is learned (n_classes).

    If a mapping's labels are the numbers 0 to C - 1, `labels` gives them names.
    """
    if n_classes is None and mapping is None and units is None:
        raise SpeechPromptError(
            "This prompt answers with units, but which unit stands for which label is not in the checkpoint: "
            "give its verbalizer.json with --verbalizer, or --verbalizer-units such as 4,9,1."
        )
    if units is not None and (n_classes is not None or mapping is not None):
        raise SpeechPromptError(
            "--verbalizer-units is for a fixed verbalizer without a verbalizer.json; leave it out here."
        )
    if mapping is not None:
        if labels is not None and mapping.keys() == {str(number) for number in range(len(labels))}:
            mapping = {labels[int(number)]: symbol for number, symbol in mapping.items()}
        if labels is not None and mapping.keys() != set(labels):
            raise SpeechPromptError(
                "The labels are not those of the verbalizer: give all of them, or none, to use the verbalizer's."
            )
        if n_classes is None:
            numbered = mapping.keys() == {str(number) for number in range(len(mapping))}
            order = labels or (sorted(mapping, key=int) if numbered else list(mapping))
            return order, [mapping[label] for label in order]
        if sorted(mapping.values()) != list(range(n_classes)):
            raise SpeechPromptError(
                f"The verbalizer must map its labels to the classes 0 to {n_classes - 1} of the checkpoint."
            )
        return sorted(mapping, key=lambda label: mapping[label]), None
    n = n_classes if units is None else len(units)
    named = [str(number) for number in range(n or 0)] if labels is None else labels
    if len(named) != n:
        raise SpeechPromptError(f"There are {len(named)} labels, but the checkpoint's prompt answers {n}.")
    return named, units
