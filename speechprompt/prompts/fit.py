"""Whether a prompt belongs to a unit LM. Door: `check_fits`."""

from __future__ import annotations

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET


def check_fits(
    prompt: Prompt,
    unit_lm_sha256: str,
    d_model: int,
    n_layers: int,
    vocab_size: int,
    past_width: int | None = None,
    projects: bool = True,
) -> None:
    """Raise SpeechPromptError unless the prompt belongs to the unit LM with these facts.

    past_width: numbers in one key of all heads, d_model unless given. projects: whether its layers make keys and values
    of a prompt; where they don't, prompt vectors need positions, and deep prompts must be keys and values already.
    """
    what = f"Prompt {prompt.task}"
    if prompt.unit_lm_sha256 != unit_lm_sha256:
        raise SpeechPromptError(
            f"{what} was tuned for the unit LM {prompt.unit_lm_sha256[:12]} of backbone {prompt.backbone}, "
            f"but this unit LM is {unit_lm_sha256[:12]}: use the backbone it was made for, or tune it again."
        )
    facts = [("width", len(prompt.separator), d_model)]
    if prompt.key_prompts is not None:
        facts.append(("number of layers", len(prompt.key_prompts), n_layers))
        width = past_width if prompt.projected and past_width is not None else d_model
        facts.append(("width of keys", prompt.key_prompts.shape[-1], width))
    if prompt.verbalizer_weight is not None:
        facts.append(("vocabulary", prompt.verbalizer_weight.shape[1], vocab_size))
    for fact, found, needed in facts:
        if found != needed:
            raise SpeechPromptError(f"{what} has the {fact} {found}, but the unit LM has {needed}.")
    if prompt.verbalizer_units is not None and int(prompt.verbalizer_units.max()) >= vocab_size - UNIT_OFFSET:
        raise SpeechPromptError(
            f"{what} answers with unit {int(prompt.verbalizer_units.max())}, "
            f"but the unit LM has the units 0 to {vocab_size - UNIT_OFFSET - 1}."
        )
    if not projects and not prompt.deep and prompt.positions == "row":
        raise SpeechPromptError(
            f"{what} has vectors without positions, which the unit LM needs: tune it with --positions after_prompt."
        )
    if prompt.deep and not prompt.projected and not projects:
        raise SpeechPromptError(f"{what} needs layers that project it, which the unit LM has not.")
