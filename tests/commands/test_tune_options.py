"""The options of `tune` are the fields of its settings, and the commands that cards quote can be given again."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from speechprompt.cli import main
from speechprompt.commands import tune
from speechprompt.tuning.config import TuneConfig

CARDS = sorted(Path(__file__).parents[2].glob("prompts/*/*/README.md"))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    tune.add_arguments(made)
    return made


def test_what_is_not_asked_for_is_as_the_settings_have_it() -> None:
    args = parser().parse_args(["--task", "t", "--data", "d.parquet"])
    assert tune.config_of(args) == TuneConfig()


def test_every_setting_can_be_chosen() -> None:
    changed = {
        one.name: {bool: True, int: 2, float: 0.25}.get(type(one.default), "random")
        for one in fields(TuneConfig)
    }
    changed |= {"start": "units", "feedback": "units", "loss": "reference", "optimizer": "muon"}
    changed |= {"schedule": "constant", "choose": "loss"}
    changed |= {"tokens_per_batch": 64, "positions": "after_prompt"}
    options = []
    for name, value in changed.items():
        options += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    args = parser().parse_args(["--task", "t", "--data", "d.parquet", *options])
    assert tune.config_of(args) == TuneConfig(**changed)
    assert all(getattr(TuneConfig(), name) != value for name, value in changed.items())


@pytest.mark.parametrize(
    ("recipe", "length", "verbalizer", "patience"), [("v1", 6, "frequency", 5), ("v2", 5, "learned", 1)]
)
def test_a_recipe_sets_what_the_papers_code_does(recipe, length, verbalizer, patience) -> None:
    given = ["--task", "accent", "--data", "d.parquet", "--recipe", recipe]
    config = tune.config_of(parser().parse_args(given))
    assert (config.prompt_length, config.verbalizer, config.patience) == (length, verbalizer, patience)
    assert (config.lr, config.schedule, config.prompt_dropout, config.loss) == (
        5e-3,
        "constant",
        0.1,
        "reference",
    )
    assert (config.check_every, config.choose, config.augment, config.unit_noise) == (0, "loss", 0, 0.0)
    assert config.sentences_per_batch == 32 and config.start == "papers"
    assert (config.epochs, config.tokens_per_batch, config.seed) == (300, 4096, 100501)
    assert config.class_dropout == {"v1": 0.0, "v2": 0.1}[recipe] and config.feedback == "units"
    given[1] = "arabic_commands"  # by task in v2's code alone
    assert tune.config_of(parser().parse_args(given)).sentences_per_batch == {"v1": 32, "v2": 1}[recipe]
    changed = tune.config_of(parser().parse_args([*given, "--augment", "4", "--lr", "0.01"]))
    assert (changed.augment, changed.lr) == (4, 0.01)  # even where it is what ours would be


def test_the_papers_fine_tuning() -> None:
    given = ["--task", "accent", "--data", "d.parquet", "--fine-tune"]
    for more, rate, schedule, verbalizer in (
        (["--recipe", "v1"], 5e-4, "inverse_sqrt", "frequency"),
        (["--recipe", "v1", "--lm-lr", "0.01"], 0.01, "inverse_sqrt", "frequency"),
        ([], 1e-3, "cosine", "learned"),
    ):
        args = parser().parse_args([*given, *more])
        config = tune.config_of(args)
        assert (tune.lm_lr_of(args, config), config.schedule, config.verbalizer) == (
            rate,
            schedule,
            verbalizer,
        )


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.parts[-3]}-{card.parts[-2]}")
def test_the_command_that_a_card_quotes_can_be_given(card: Path) -> None:
    (commands,) = re.findall(r"^ *python -m speechprompt tune (.*)$", card.read_text(), re.MULTILINE)
    for command in commands.split(" && python -m speechprompt tune "):  # a teacher is tuned before
        args = parser().parse_args(shlex.split(command))
        assert args.task == card.parts[-2]
        tune.config_of(args)  # all numbers are within bounds


def test_a_sequence_can_be_as_long_as_asked_for() -> None:
    given = ["--task", "t", "--data", "d.parquet", "--text-column", "text"]
    assert tune.task_of(parser().parse_args(given)).form.max_steps == tune.MAX_LETTERS
    form = tune.task_of(parser().parse_args([*given, "--max-steps", "12"])).form
    assert form.kind == "sequence" and form.max_steps == 12


def test_a_number_out_of_bounds_is_said_before_anything_is_read(capsys) -> None:
    assert main(["tune", "--task", "t", "--data", "none.parquet", "--augment", "101"]) == 2
    assert "augment must be between 0 and 100" in capsys.readouterr().err


def test_help_says_bounds_and_needs_no_torch() -> None:
    code = (
        "import sys\nfrom speechprompt.cli import main\n"
        "try: main(['tune', '--help'])\nfinally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "(1 to 200, default 20)" in done.stdout and "--input-prompts" in done.stdout
