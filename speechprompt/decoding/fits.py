"""Does the recording fit the task? The judgement that every answer carries, with its reason in one sentence.

Three things are looked at: whether anybody speaks, where the prompt expects speech; which language it is, where the
prompt names its languages; and how sure the LM is of the answered label among all that it could generate. The first
two come from prompts of the same backbone, the judges, which answer in the batch of the tasks themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.forward import outside_mass
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.sources import LANGUAGES
from speechprompt.units import UNIT_OFFSET

Fits = Literal["yes", "unsure", "no"]
VOICE, LANGUAGE = "voice_activity", "language_id"  # the tasks of the judges
SPEECH = "speech"  # the label of a voice
EVEN = 0.5  # labels that are together less likely than all else are not what was recorded
NAMES = {code: name for _, code, name in LANGUAGES}
# The least probability of speech, and of the task's languages, of a prompt that was calibrated without judges.
LEAST_SPEECH, LEAST_LANGUAGE = 0.05, 0.02


@dataclass(frozen=True, eq=False)
class Judges:
    """The prompts of a backbone that judge whether a recording fits; None where it has none."""

    voice: Prompt | None = None
    language: Prompt | None = None

    @classmethod
    def of(cls, prompts: Mapping[str, Prompt]) -> Judges:
        """Those of the prompts, task -> prompt, that can judge."""
        voice, language = prompts.get(VOICE), prompts.get(LANGUAGE)
        can = {task: p for task, p in ((VOICE, voice), (LANGUAGE, language)) if p and p.form.kind == "label"}
        voice = can.get(VOICE) if voice and SPEECH in voice.labels else None
        return cls(voice, can.get(LANGUAGE))

    @property
    def prompts(self) -> list[Prompt]:
        """The judges that are there."""
        return [prompt for prompt in (self.voice, self.language) if prompt is not None]

    def of_speech(self, prompt: Prompt) -> Prompt | None:
        """Who says whether a recording is speech, where a prompt expects that and its threshold is not 0."""
        return (
            self.voice
            if prompt.expects == "speech" and prompt.task != VOICE and asks(prompt, "speech")
            else None
        )

    def of_language(self, prompt: Prompt) -> Prompt | None:
        """Who says whether a recording is in a prompt's languages, where it names some that the judge knows.

        Nobody where the threshold is 0: what the judge says would change nothing.
        """
        if (
            self.language is None
            or prompt.task == LANGUAGE
            or not prompt.languages
            or not asks(prompt, "language")
        ):
            return None
        known = {NAMES.get(code.partition("-")[0]) for code in prompt.languages}
        return self.language if known <= {*self.language.labels} else None

    def needed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The judges that some of the prompts need, of which none is among them."""
        found = [one for prompt in prompts for one in (self.of_speech(prompt), self.of_language(prompt))]
        return [one for one in dict.fromkeys(found) if one is not None and one not in prompts]

    def evidence(self, prompt: Prompt, raw: RawAnswer, others: Mapping[Prompt, RawAnswer]) -> Evidence:
        """What is known of a recording for a prompt. others: the judges' answers about it, of some or none."""
        speech = language = None
        sound = spoken = ""
        if (voice := self.of_speech(prompt)) in others and voice is not None:
            odds = others[voice].probabilities[0]
            speech, sound = float(odds[voice.labels.index(SPEECH)]), voice.labels[int(odds.argmax())]
        if (judge := self.of_language(prompt)) in others and judge is not None:
            odds = others[judge].probabilities[0]
            own = {NAMES[code.partition("-")[0]] for code in prompt.languages}
            language = sum(float(odds[judge.labels.index(name)]) for name in own)
            spoken = judge.labels[int(odds.argmax())]
        if [prompt.labels[label] for label in raw.labels] == [prompt.form.silence_label]:
            # Who answers that nobody speaks is not contradicted by it.
            speech, language = (None if found is None else 1.0 for found in (speech, language))
        return Evidence(certainty(prompt, raw), inside(prompt, raw), speech, sound, language, spoken)


def asks(prompt: Prompt, what: Literal["speech", "language"]) -> bool:
    """Whether a judge of this can change the judgement."""
    return prompt.calibration is None or prompt.calibration.get(what) != 0


NO_JUDGES = Judges()


@dataclass(frozen=True)
class Evidence:
    """What a judgement is made of, probabilities from 0 to 1.

    certainty: of the whole answer among all that the LM could generate. inside: of all labels together, at the first
    step. speech, language: that it is speech, and in one of the task's languages; None where nobody was asked.
    sound, spoken: the label that the judge of each finds likeliest.
    """

    certainty: float
    inside: float
    speech: float | None = None
    sound: str = ""
    language: float | None = None
    spoken: str = ""


def inside(prompt: Prompt, raw: RawAnswer) -> float:
    """Probability (0..1) of all labels' units at the first step; 1 with a learned verbalizer, which has no outside."""
    units = prompt.verbalizer_units
    if units is None:
        return 1.0
    logits = torch.from_numpy(raw.vocabulary_logits[0]).double()
    return float(-torch.expm1(outside_mass(logits, units, end=prompt.form.kind == "sequence")))


def certainty(prompt: Prompt, raw: RawAnswer) -> float:
    """Probability of the answer among all that the LM could generate: its score times `inside`."""
    return prompt.believed(raw.score) * inside(prompt, raw)


def judge(prompt: Prompt, raw: RawAnswer, evidence: Evidence) -> tuple[Fits, str]:
    """Whether the recording fits the task, and the reason in one sentence, "" where it does."""
    least_speech = (
        LEAST_SPEECH if prompt.calibration is None else prompt.calibration.get("speech", LEAST_SPEECH)
    )
    least_language = (
        LEAST_LANGUAGE if prompt.calibration is None else prompt.calibration.get("language", LEAST_LANGUAGE)
    )
    if evidence.speech is not None and evidence.speech < least_speech:
        if evidence.sound != SPEECH:
            return "no", f"This is {evidence.sound}, not speech."
        return "unsure", "This may not be speech."
    if evidence.language is not None and evidence.language < least_language:
        known = listed([NAMES[code.partition("-")[0]] for code in prompt.languages])
        return "no", f"This sounds like {evidence.spoken}; the task knows {known}."
    if doubted_by_unit(prompt, raw, evidence):
        if evidence.inside < EVEN:
            return "no", f"This is none of the {len(prompt.labels)} labels."
        return "unsure", "The unit that the language model generated belongs to no label."
    if evidence.certainty < prompt.threshold_of(raw.labels):
        return "unsure", "This may be none of the labels: right answers mostly score higher."
    return "yes", ""


def doubted_by_unit(prompt: Prompt, raw: RawAnswer, evidence: Evidence) -> bool:
    """Whether a fixed verbalizer's labels are less likely than all else, or the generated unit is of none of them."""
    if prompt.verbalizer_units is None:
        return False
    generated = int(raw.vocabulary_logits[0, UNIT_OFFSET:].argmax())
    return evidence.inside < EVEN or (bool(raw.labels) and prompt.unit_label(generated) is None)


def listed(names: Sequence[str]) -> str:
    """ "English", "Mandarin and English", "English, German and Polish"."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
