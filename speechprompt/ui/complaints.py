"""What people are told when something went wrong: one sentence, whatever it was."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import gradio as gr

from speechprompt.errors import SpeechPromptError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

log = logging.getLogger(__name__)

FAILED = "An endpoint failed"  # in the log
UNEXPECTED = "Something went wrong on our side: please try again, or try another recording."


def sentence(error: Exception, what: str) -> str:
    """The error's own sentence; where it has none for users, the log keeps the error, as `what` failed."""
    if isinstance(error, SpeechPromptError):
        return str(error)
    log.error(what, exc_info=error)
    return UNEXPECTED


def in_a_sentence(endpoint: Endpoint) -> Endpoint:
    """Make every failure of an endpoint one sentence."""

    @wraps(endpoint)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return endpoint(*args, **kwargs)
        except Exception as error:
            raise gr.Error(sentence(error, FAILED), print_exception=False) from error

    return checked  # type: ignore[return-value]
