"""Which prompts have no answer for a recording in which nobody speaks, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speechprompt.audio import load as audio_input
from speechprompt.audio import silence
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.memory import memory_guard
from speechprompt.prompts.prompt import Prompt


@memory_guard()  # the judgement of silence needs as much as a recording
def without_answer(waveform: np.ndarray, prompts: Sequence[Prompt]) -> dict[int, str]:
    """Which of the prompts, by position, have no answer for a recording in which nobody speaks, and the sentence.

    A prompt with a label for silence has one. So has one about any sound, unless nothing was recorded at all.
    """
    if not silence.has_no_speech(waveform):
        return {}
    nothing = silence.is_silent(waveform)
    fact = "Nothing was recorded" if nothing else "The recording holds no speech"
    return {
        i: f"{fact}, and {prompt.title} has no answer for silence: check the microphone and speak closer to it."
        for i, prompt in enumerate(prompts)
        if prompt.form.silence_label is None and (nothing or prompt.expects == "speech")
    }


def check_speech(waveform: np.ndarray, prompts: Sequence[Prompt]) -> None:
    """Raise SpeechPromptError when nobody speaks in the recording and a prompt has no answer for that."""
    for sentence in without_answer(waveform, prompts).values():
        raise SpeechPromptError(sentence)


def load_speech(audio: audio_input.AudioInput, prompts: Sequence[Prompt]) -> np.ndarray:
    """The waveform of a recording; SpeechPromptError when a prompt has no answer because nothing was recorded."""
    waveform = audio_input.load(audio)
    check_speech(waveform, prompts)
    return waveform
