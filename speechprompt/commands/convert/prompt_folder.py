"""Bring prompt folders of format version 2 to version 3.

  python -m speechprompt convert prompt-folder prompts/mini/my_words prompts/mini/*

Weights and answers stay as they are: prompt_config.json and the card are written anew, in place. What version 2
did not know (a sentence about the task, what it expects, its languages and limits) comes from the task of that
name in speechprompt/tasks/catalogue.py, where there is one; the commands that made the prompt come from its card.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="prompts/BACKBONE/TASK")


def run(args: argparse.Namespace) -> int:
    from speechprompt.making.convert.prompt_folder import upgrade
    from speechprompt.prompts.prompt import FORMAT_VERSION, PROMPT_JSON
    from speechprompt.storage.folders import read_json
    from speechprompt.tasks.catalogue import TASKS
    from speechprompt.tasks.labels import KINDS

    folders: Sequence[Path] = args.folders
    for folder in folders:
        if read_json(folder, PROMPT_JSON, f"Prompt {folder.name}").get("format_version") == FORMAT_VERSION:
            print(f"{folder}: version {FORMAT_VERSION} already")
            continue
        prompt = upgrade(folder.absolute())
        advice = "" if prompt.label_rule or prompt.task in TASKS else f"; give it a label_rule: {KINDS}"
        print(f"{folder}: version {FORMAT_VERSION}{advice}")
    return 0
