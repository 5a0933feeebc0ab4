"""The settings of a tuning as options of `tune`, and what was given of them as a TuneConfig."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.tuning.config import TuneConfig, choices
from speechprompt.tuning.papers import settings

METAVARS: dict[type, str] = {int: "N", float: "X"}
LM_LR = 1e-3  # of the LM's own weights
NO_FINE_TUNING = ("prompt_length", "input_prompts", "average", "optimizer")  # settings of prompts alone


def add_settings(parser: argparse.ArgumentParser) -> None:
    """An option for each field of TuneConfig."""
    for one in fields(TuneConfig):
        add_setting(parser, one)


def add_setting(parser: argparse.ArgumentParser, one: Field[Any]) -> None:
    """The option of one field of TuneConfig; whether a number is within its bounds, TuneConfig says."""
    option, description = "--" + one.name.replace("_", "-"), one.metadata["help"]
    absent = argparse.SUPPRESS  # what is not given is as the recipe has it, see config_of
    if one.default is False:
        parser.add_argument(option, action="store_true", default=absent, help=description)
    elif words := choices(one):
        parser.add_argument(
            option, choices=words, default=absent, help=f"{description} (default {one.default})"
        )
    else:
        description += f" ({one.metadata['low']:,} to {one.metadata['high']:,}, default {one.default})"
        number = type(one.default)
        parser.add_argument(option, type=number, default=absent, metavar=METAVARS[number], help=description)


def config_of(args: argparse.Namespace) -> TuneConfig:
    """What was given, on top of what the recipe sets; SpeechPromptError for what has no meaning together."""
    given = {one.name: getattr(args, one.name) for one in fields(TuneConfig) if hasattr(args, one.name)}
    if args.fine_tune:
        prompts_alone = [f"--{name.replace('_', '-')}" for name in NO_FINE_TUNING if name in given]
        prompts_alone += ["--init-from"] * bool(args.init_from) + ["--seeds"] * (args.seeds > 1)
        if prompts_alone:
            raise SpeechPromptError(
                f"{prompts_alone[0]} belongs to prompts, and --fine-tune learns none: leave one of the two out."
            )
        if args.lm_lr is not None and not 0 < args.lm_lr <= 1:
            raise SpeechPromptError("--lm-lr must be above 0 and at most 1.")
        given |= {"input_prompts": True, "prompt_length": 1}  # the format's least, which adds next to nothing
    elif args.lm_lr is not None:
        raise SpeechPromptError("--lm-lr belongs to --fine-tune: without it the LM is frozen.")
    return TuneConfig(**{**settings(args.recipe, args.task, args.fine_tune), **given})


def lm_lr_of(args: argparse.Namespace, config: TuneConfig) -> float | None:
    """The learning rate that the LM's own weights peak at; None where they are frozen."""
    if not args.fine_tune:
        return None
    return args.lm_lr or (LM_LR if args.recipe == "ours" else config.lr)
