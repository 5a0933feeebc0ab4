"""The corpora by name, each read by a module of this folder. Door: `find`."""

from __future__ import annotations

from importlib import import_module

from speechprompt.data.corpora.source import Corpus
from speechprompt.errors import SpeechPromptError

CORPORA = {  # name -> module and the corpus in it
    "speech_commands_v1": ("speech_commands", "CORPUS"),
    "speech_commands_v2": ("speech_commands", "V2"),
    "grabo": ("grabo", "CORPUS"),
    "lithuanian_commands": ("reprogramming", "LT"),
    "arabic_commands": ("reprogramming", "AR"),
    "dysarthric_commands": ("reprogramming", "DM"),
    "fluent_commands": ("fluent_commands", "CORPUS"),
    "voxforge": ("voxforge", "CORPUS"),
    "asvspoof2019": ("asvspoof", "CORPUS"),
    "iemocap": ("iemocap", "CORPUS"),
    "accentdb": ("accentdb", "CORPUS"),
    "easycall": ("easycall", "CORPUS"),
    "mustard": ("mustard", "CORPUS"),
    "mustard_independent": ("mustard", "INDEPENDENT"),
    "mustardpp": ("mustard", "PLUS"),
    "voxceleb1": ("voxceleb", "CORPUS"),
    "freesound_vad": ("freesound", "CORPUS"),
    "esc50": ("esc50", "CORPUS"),
    "librispeech": ("librispeech", "CORPUS"),
    "audio_snips": ("audio_snips", "CORPUS"),
}


def find(name: str) -> Corpus:
    """The corpus of a name; SpeechPromptError when there is none."""
    if name not in CORPORA:
        raise SpeechPromptError(f"There is no corpus {name[:80]!r}; there are {', '.join(CORPORA)}.")
    module, attribute = CORPORA[name]
    corpus = getattr(import_module(f"speechprompt.data.corpora.{module}"), attribute)
    assert isinstance(corpus, Corpus)
    return corpus
