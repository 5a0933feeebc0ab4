"""What the tests of conversions share: files as the papers' programs write them, sound and hostile."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import unit_lm as unit_lms

FIXTURES = Path(__file__).parents[2] / "fixtures"
CHECKPOINTS, REFERENCE = FIXTURES / "checkpoints", FIXTURES / "reference"


def saved(content, tmp_path, **options):
    torch.save(content, tmp_path / "checkpoint.pt", **options)
    return tmp_path / "checkpoint.pt"


def write_dict(tmp_path, symbols):
    (tmp_path / "dict.txt").write_text("".join(f"{symbol} 1\n" for symbol in symbols))
    return tmp_path / "dict.txt"


def run(module, *argv):
    parser = argparse.ArgumentParser(description=module.__doc__)
    module.add_arguments(parser)
    module.run(parser.parse_args([str(argument) for argument in argv]))


def refuses_lm(path, out, match, dictionary=CHECKPOINTS / "dict.txt"):
    with pytest.raises(SpeechPromptError, match=match) as caught:
        unit_lms.convert(path, dictionary, out)
    assert str(path.parent) not in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


class Touch:
    """Unpickled by Python, it leaves a file behind."""

    def __init__(self, call, *args):
        self.call = call, args

    def __reduce__(self):
        return self.call


def attacks(marker):
    command = f"touch {marker}"
    return {
        "os.system": Touch(os.system, command),
        "eval": Touch(eval, f"__import__('os').system({command!r})"),
        "exec": Touch(exec, f"open({str(marker)!r}, 'w').close()"),
        "getattr": Touch(getattr, "a module cannot be pickled", "upper"),
        "os.mkdir": Touch(os.mkdir, str(marker)),
    }


def named(name):
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()
