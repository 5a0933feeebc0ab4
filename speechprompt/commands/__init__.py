"""What the command line does with one backbone, a module for each command; its docstring is the help."""

from __future__ import annotations

import sys


def complain(sentence: str) -> None:
    """Say what is wrong where it does not mix with the answers."""
    print(f"speechprompt: {sentence}", file=sys.stderr)
