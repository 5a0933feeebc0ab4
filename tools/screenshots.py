"""Make the README's pictures from the running app: `python -m tools.screenshots`.

Starts app.py, uses it in a real browser as a visitor would (clicks an example, teaches three words, speaks
three) and writes what is above the fold of each tab, on a desktop and on a phone, to docs/images/*.png, with the
digests of the prompts that were shown, so that a test can tell when they are out of date; and the picture that a
shared link shows. Needs what the browser tests need; takes about two minutes.
"""

from __future__ import annotations

import argparse
import sys

from speechprompt.cli import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    from tools.pictures import make

    make()


if __name__ == "__main__":
    sys.exit(run_command("python -m tools.screenshots", sys.modules[__name__]))
