"""The tasks that this package ships prompts for: what they are called and where their labels come from.

A task that is not here can be tuned too; the command line asks for what this table would have told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Task:
    """What a prompt of this task is told; see Prompt for answer, slots, max_steps, beams and joiner.

    label_rule says how a row of data gets its labels (dataset.labels_of); labels lists them in order,
    where the data alone would not; silence_label is what a recording of nothing gets.
    """

    name: str
    title: str
    group: str
    data: str
    licence: str
    label_rule: dict[str, Any] = field(default_factory=lambda: {"column": "label"})
    silence_label: str | None = None
    answer: Literal["label", "slots", "sequence"] = "label"
    labels: tuple[str, ...] = ()
    slots: dict[str, int] = field(default_factory=dict)
    max_steps: int = 1
    beams: int = 1
    joiner: str = ", "
    limits: str = "Sounds that are none of the labels are still answered with one of them."


KEYWORDS = "Keywords and commands"
UNDERSTANDING = "What is meant"
SPELLING = "What is said"
VOICE = "How it is said"

# Fluent Speech Commands: the published ids count the values of each slot in the order in which the
# original table first names them.
ACTIONS = ("change language", "activate", "deactivate", "increase", "decrease", "bring")
THINGS = ("none", "music", "lights", "volume", "heat", "lamp", "newspaper", "juice", "socks")
OBJECTS = (*THINGS, "Chinese", "Korean", "English", "German", "shoes")
LOCATIONS = ("none", "kitchen", "bedroom", "washroom")
INTENTS = (*ACTIONS, *OBJECTS, *LOCATIONS)

COFFEE_SLOTS = ["size", "roast", "numberOfShots", "coffeeDrink", "milkAmount", "sugarAmount"]
AMOUNTS = ["a little bit of", "a bit of", "a lot of", "lots of", "some"]

TASKS = {
    task.name: task
    for task in (
        Task(
            "keyword_spotting",
            "Keyword spotting",
            KEYWORDS,
            "Google Speech Commands (P. Warden), 12 classes: ten English words, unknown, silence",
            "CC BY 4.0",
            silence_label="silence",
        ),
        Task(
            "arabic_commands",
            "Arabic commands",
            KEYWORDS,
            "AR Speech Commands (Benamer & Alkishriwo 2020), 16 words and digits; "
            "speakers recur across its splits, and words and digits differ in bandwidth, so figures on it flatter",
            "the recordings carry no stated licence; none is included",
        ),
        Task(
            "spoken_digits",
            "Spoken digits",
            KEYWORDS,
            "Free Spoken Digit Dataset, ten English digits by six speakers, telephone bandwidth",
            "CC BY-SA 4.0",
        ),
        Task(
            "intent_classification",
            "Intent",
            UNDERSTANDING,
            "Fluent Speech Commands (Lugosch et al. 2019), as HuBERT-100 units published with SpeechPrompt; "
            "three slots: action, object, location",
            "academic licence of Fluent.ai; none of the recordings is included",
            {"ids": "label_ids", "names": list(INTENTS)},
            answer="slots",
            labels=INTENTS,
            slots={"action": len(ACTIONS), "object": len(OBJECTS), "location": len(LOCATIONS)},
        ),
        Task(
            "coffee_orders",
            "Coffee orders",
            UNDERSTANDING,
            "Picovoice's spoken coffee orders, English, six slots; speakers are not known",
            "Apache 2.0",
            {"slots": "label", "order": COFFEE_SLOTS, "amounts": AMOUNTS},
            answer="sequence",
            max_steps=2 * len(COFFEE_SLOTS),
        ),
        Task(
            "spelled_words",
            "Spelled words",
            SPELLING,
            "Google Speech Commands (P. Warden): 35 English words, spelled letter by letter",
            "CC BY 4.0",
            {"keyword": "id"},
            answer="sequence",
            max_steps=16,
            beams=4,
            joiner="",
            limits="It knows 35 words by heart: another one comes out as one of them, or as a mix of their letters.",
        ),
        Task(
            "emotion_english",
            "Emotion (English)",
            VOICE,
            "RAVDESS speech (Livingstone & Russo 2018), 8 emotions acted by 24 speakers in two sentences",
            "CC BY-NC-SA 4.0; none of the recordings is included",
        ),
        Task(
            "emotion_german",
            "Emotion (German)",
            VOICE,
            "EmoDB (Burkhardt et al. 2005), 7 emotions acted by 10 speakers in ten sentences",
            "free for research; none of the recordings is included",
        ),
        Task(
            "emotion_polish",
            "Emotion (Polish)",
            VOICE,
            "nEMO (Christop 2024), 6 emotions acted by 9 speakers",
            "CC BY-NC-SA 4.0; none of the recordings is included",
        ),
    )
}
