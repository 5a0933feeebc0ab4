"""What people are told when something went wrong: one sentence, whatever it was."""

from __future__ import annotations

import logging

from speechprompt.errors import SpeechPromptError

log = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side: please try again, or try another recording."


def sentence(error: Exception, what: str) -> str:
    """The error's own sentence; where it has none for users, the log keeps the error, as `what` failed."""
    if isinstance(error, SpeechPromptError):
        return str(error)
    log.error(what, exc_info=error)
    return UNEXPECTED
