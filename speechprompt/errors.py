"""The one exception that users of this package have to know."""

from __future__ import annotations


class SpeechPromptError(ValueError):
    """Something the caller can put right: bad audio, an unknown name, a broken folder.

    The message is one clear sentence that says what is wrong and what to do. It never holds
    a path of the server it runs on, so the app and the API show it as it is.
    """


class TooLongError(SpeechPromptError):
    """A recording is longer than what is answered as a whole; `segments` answers it stretch by stretch."""
