"""SpeechPrompt: one frozen speech backbone, many tasks, each a small prompt.

    from speechprompt import SpeechPrompt
    sp = SpeechPrompt.from_pretrained("mini")
    sp("clip.wav", "keyword_spotting").label

The names below are imported when first used, so that `import speechprompt` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechprompt.api import SpeechPrompt
    from speechprompt.decoding.answer import Answer
    from speechprompt.errors import SpeechPromptError
    from speechprompt.live.listener import Listener
    from speechprompt.prompts.prompt import Prompt
    from speechprompt.units import Units

__version__ = "0.2.0.dev0"

__all__ = ["Answer", "Listener", "Prompt", "SpeechPrompt", "SpeechPromptError", "Units"]

_HOMES = {
    "Answer": "decoding.answer",
    "Listener": "live.listener",
    "Prompt": "prompts.prompt",
    "SpeechPrompt": "api",
    "SpeechPromptError": "errors",
    "Units": "units",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "annotations", "import_module"})
