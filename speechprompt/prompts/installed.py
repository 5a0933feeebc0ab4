"""The prompts of one backbone on this machine: a folder for each task, those that are sound and those refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import PROMPT_JSON, Prompt


class InstalledPrompts:
    """Reads prompts/<backbone>/<task> when first asked for; safe to share between threads.

    load: reads a prompt folder; SpeechPromptError where it is unsound or fits another unit LM.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, RLock()
        self._found: tuple[dict[str, Prompt], dict[str, str]] | None = None

    def read(self, load: Callable[[Path], Prompt]) -> tuple[dict[str, Prompt], dict[str, str]]:
        """Task -> prompt, ordered by group, then title; and the other folders, each with what is wrong with it."""
        with self._lock:
            if self._found is None:
                found, refused = dict[str, Prompt](), dict[str, str]()
                for path in sorted(self.folder.glob(f"[!.]*/{PROMPT_JSON}")):
                    try:
                        prompt = load(path.parent)
                        if prompt.task != path.parent.name:
                            raise SpeechPromptError(
                                f"Prompt {path.parent.name}: its task is {prompt.task!r}; name the folder so too."
                            )
                        found[prompt.task] = prompt
                    except SpeechPromptError as error:  # one bad prompt must not take the others away
                        refused[path.parent.name] = str(error)
                self._found = dict(sorted(found.items(), key=lambda kv: in_list(kv[1]))), refused
            return self._found

    def some(self, tasks: Sequence[str], load: Callable[[Path], Prompt]) -> dict[str, Prompt]:
        """Task -> prompt for those of these tasks that are here and sound; no other prompt is read."""
        with self._lock:
            if self._found is not None:
                prompts = self._found[0]
                return {task: prompts[task] for task in tasks if task in prompts}
            found = {}
            for task in tasks:
                with suppress(SpeechPromptError):  # `read` says what is wrong with it
                    found[task] = load(self.folder / task)
            return found


def in_list(prompt: Prompt) -> tuple[bool, str, str]:
    """Where a prompt stands in the list of tasks: by group, then title, experimental ones last."""
    return prompt.experimental, prompt.group, prompt.title
