"""The command line: finds the module that does a command's work. Exit code 2 for what a user can put right.

Each module explains itself in its docstring, says its options in `add_arguments` and works in `run`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from speechprompt.commands import complain
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.memory import keep_few_kernels, keep_freed_memory, memory_guard

PACKAGE = Path(__file__).parent
COMMANDS = (
    "classify",
    "label",
    "segments",
    "units",
    "tasks",
    "push",
    "pull",
    "prepare",
    "evaluate",
    "tune",
    "calibrate",
    "fetch",
    "convert unit-lm",
    "convert causal-lm",
    "convert prompt",
    "convert peft",
    "convert prompt-folder",
    "convert hubert",
    "convert kmeans",
    "convert prosody-lm",
    "convert whisper",
    "export onnx",
    "pretrain encoder",
    "pretrain quantised",
    "pretrain centroids",
    "pretrain transcripts",
    "pretrain whisper-units",
    "pretrain unit-lm",
    "pretrain prosody-lm",
)
GROUPS = {command.split()[0] for command in COMMANDS if " " in command}
DESCRIPTION = "Answer many speech tasks with one frozen spoken unit language model and small prompts."
EPILOG = """examples:
  python -m speechprompt tasks
  python -m speechprompt classify clip.wav --task keyword_spotting
  python -m speechprompt classify *.wav --task keyword_spotting --task spoken_digits --json
  python -m speechprompt segments lecture.mp3 --task keyword_spotting --out words.srt
  python -m speechprompt units clip.wav
  python -m speechprompt evaluate --task keyword_spotting --data speech_commands.parquet --split test
  python -m speechprompt tune --task my_words --title "My words" --data my_words.parquet

`python -m speechprompt COMMAND --help` explains each."""


def module_name(command: str) -> str:
    """Where a command's module stands in commands/: `convert unit-lm` -> convert.unit_lm."""
    return command.replace(" ", ".").replace("-", "_")


def summary(command: str) -> str:
    """First line of the docstring of a command's module, read without importing it: --help is instant."""
    file = PACKAGE.joinpath("commands", *module_name(command).split(".")).with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def build_parser(group: str = "") -> argparse.ArgumentParser:
    """The overview of all commands, or of those that begin with one word."""
    parser = argparse.ArgumentParser(
        prog=f"speechprompt {group}".strip(),
        description=None if group else DESCRIPTION,
        epilog=None if group else EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        first, _, second = command.partition(" ")
        if not group or first == group:
            commands.add_parser(second if group else command, help=summary(command))
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a file's name may be no text, or more than the terminal can show
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # the terminal is gone
                stream.reconfigure(errors="backslashreplace")
    command = " ".join(argv[: 2 if argv[:1] and argv[0] in GROUPS else 1])
    if command not in COMMANDS:
        group = argv[0] if argv[:1] and argv[0] in GROUPS else ""
        parser = build_parser(group)
        parser.parse_args(argv[1:] if group else argv)  # ends with the help, or with what is wrong
        parser.error("the command comes first.")
    module = importlib.import_module(f"speechprompt.commands.{module_name(command)}")
    return run_command(f"speechprompt {command}", module, argv[len(command.split()) :], argv)


def run_command(
    prog: str, module: ModuleType, argv: list[str] | None = None, whole: list[str] | None = None
) -> int:
    """Run a module that has `add_arguments` and `run`; whatever a user can put right becomes a sentence and code 2.

    prog: how the command is called. argv: its arguments (the process's when None). whole: the command with
    them, which the card of a prompt quotes.
    """
    try:
        parser = argparse.ArgumentParser(
            prog=prog, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(parser)
        args = parser.parse_args(argv)
        args.argv = whole
        keep_freed_memory()
        keep_few_kernels()
        with memory_guard():
            return module.run(args) or 0
    except SpeechPromptError as error:
        complain(str(error))
        return 2
    except OSError as error:  # a folder that cannot be written, a full disk
        complain(f"{Path(str(error.filename or 'A file')).name} cannot be used: {error.strerror or error}.")
        return 2
    except KeyboardInterrupt:
        complain("stopped before there was anything to keep.")
        return 130
