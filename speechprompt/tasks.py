"""The tasks that this package ships prompts for: what they are called and where their labels come from.

A task that is not here can be tuned too; the command line asks for what this table would have told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from speechprompt.answer_form import AnswerForm

Channel = Literal["any", "controlled"]


@dataclass(frozen=True)
class Task:
    """What a prompt of this task is told.

    form: what is answered, with the labels in their order where the data alone would not have it. label_rule
    says how a row of data gets its labels (dataset.labels_of). files: the packed
    parquet files, without their ending, that it is tuned and measured on; unit_files: those that stand
    in their place for a backbone whose encoder is not here. channel: "controlled" where the data's labels
    differ in microphone, bandwidth, noise or length too, so that a prompt could answer by those; it is
    then tuned on augment.controlled recordings alone, of which the share `close` is cut closely. expects: what a
    recording must hold to be answered.
    """

    name: str
    title: str
    group: str
    data: str
    licence: str
    label_rule: dict[str, Any] = field(default_factory=lambda: {"column": "label"})
    form: AnswerForm = field(default_factory=AnswerForm)
    limits: str = "Sounds that are none of the labels are still answered with one of them."
    files: tuple[str, ...] = ()
    unit_files: tuple[str, ...] = ()
    channel: Channel = "any"
    close: float = 0.0
    expects: Literal["speech", "any sound"] = "speech"


KEYWORDS = "Keywords and commands"
UNDERSTANDING = "What is meant"
SPELLING = "What is said"
VOICE = "How it is said"
SOURCE = "Who or what is heard"

# Fluent Speech Commands: the published ids count the values of each slot in the order in which the
# original table first names them.
ACTIONS = ("change language", "activate", "deactivate", "increase", "decrease", "bring")
THINGS = ("none", "music", "lights", "volume", "heat", "lamp", "newspaper", "juice", "socks")
OBJECTS = (*THINGS, "Chinese", "Korean", "English", "German", "shoes")
LOCATIONS = ("none", "kitchen", "bedroom", "washroom")
INTENTS = (*ACTIONS, *OBJECTS, *LOCATIONS)

COFFEE_SLOTS = ["size", "roast", "numberOfShots", "coffeeDrink", "milkAmount", "sugarAmount"]
AMOUNTS = ["a little bit of", "a bit of", "a lot of", "lots of", "some"]

LANGUAGES = [
    ["language", "en", "English"],
    ["language", "ar", "Arabic"],
    ["language", "lt", "Lithuanian"],
    ["language", "zh", "Mandarin"],
    ["language", "de", "German"],
    ["language", "pl", "Polish"],
]
# Files with speech of many speakers, in six languages.
SPOKEN = (
    "speech_commands",
    "words20",
    "arabic_keywords",
    "lithuanian_commands",
    "read_english",
    "coffee_orders",
    "emotion_english",
    "emotion_german",
    "emotion_polish",
)

TASKS = {
    task.name: task
    for task in (
        Task(
            "keyword_spotting",
            "Keyword spotting",
            KEYWORDS,
            "Google Speech Commands (P. Warden), 12 classes: ten English words, unknown, silence",
            "CC BY 4.0",
            form=AnswerForm(silence_label="silence"),
            files=("speech_commands",),
            unit_files=("hubert100_units_speech_commands",),
        ),
        Task(
            "arabic_commands",
            "Arabic commands",
            KEYWORDS,
            "AR Speech Commands (Benamer & Alkishriwo 2020), 16 words and digits; "
            "speakers recur across its splits, and words and digits differ in bandwidth, so figures on it flatter",
            "the recordings carry no stated licence; none is included",
            files=("arabic_commands",),
        ),
        Task(
            "spoken_digits",
            "Spoken digits",
            KEYWORDS,
            "Free Spoken Digit Dataset, ten English digits by six speakers, telephone bandwidth",
            "CC BY-SA 4.0",
            files=("spoken_digits",),
        ),
        Task(
            "intent_classification",
            "Intent",
            UNDERSTANDING,
            "Fluent Speech Commands (Lugosch et al. 2019), as HuBERT-100 units published with SpeechPrompt; "
            "three slots: action, object, location",
            "academic licence of Fluent.ai; none of the recordings is included",
            {"ids": "label_ids", "names": list(INTENTS)},
            form=AnswerForm(
                INTENTS,
                "slots",
                {"action": len(ACTIONS), "object": len(OBJECTS), "location": len(LOCATIONS)},
            ),
            files=("hubert100_units_fluent_commands",),
        ),
        Task(
            "coffee_orders",
            "Coffee orders",
            UNDERSTANDING,
            "Picovoice's spoken coffee orders, English, six slots; speakers are not known",
            "Apache 2.0",
            {"slots": "label", "order": COFFEE_SLOTS, "amounts": AMOUNTS},
            form=AnswerForm(kind="sequence", max_steps=2 * len(COFFEE_SLOTS)),
            files=("coffee_orders",),
        ),
        Task(
            "spelled_words",
            "Spelled words",
            SPELLING,
            "Google Speech Commands (P. Warden): 35 English words, spelled letter by letter",
            "CC BY 4.0",
            {"keyword": "id"},
            form=AnswerForm(kind="sequence", max_steps=16, beams=4, joiner=""),
            limits="It knows 35 words by heart: another one comes out as one of them, or as a mix of their letters.",
            files=("speech_commands",),
        ),
        Task(
            "emotion_english",
            "Emotion (English)",
            VOICE,
            "RAVDESS speech (Livingstone & Russo 2018), 8 emotions acted by 24 speakers in two sentences",
            "CC BY-NC-SA 4.0; none of the recordings is included",
            files=("emotion_english",),
        ),
        Task(
            "emotion_german",
            "Emotion (German)",
            VOICE,
            "EmoDB (Burkhardt et al. 2005), 7 emotions acted by 10 speakers in ten sentences",
            "free for research; none of the recordings is included",
            files=("emotion_german",),
        ),
        Task(
            "emotion_polish",
            "Emotion (Polish)",
            VOICE,
            "nEMO (Christop 2024), 6 emotions acted by 9 speakers",
            "CC BY-NC-SA 4.0; none of the recordings is included",
            files=("emotion_polish",),
        ),
        Task(
            "words20",
            "Mandarin and English words",
            KEYWORDS,
            "DSPSpeech-20, 12 Mandarin and 8 English words spoken by Mandarin speakers",
            "MIT",
            files=("words20",),
        ),
        Task(
            "arabic_keywords",
            "Arabic keywords",
            KEYWORDS,
            "Arabic Speech Commands (Ghandoura et al. 2021), 40 Arabic words by 30 speakers",
            "CC BY 4.0",
            files=("arabic_keywords",),
        ),
        Task(
            "lithuanian_commands",
            "Lithuanian commands",
            KEYWORDS,
            "LT Speech Commands, 15 classes: thirteen Lithuanian words of about 20 recordings each, unknown, silence",
            "academic use; none of the recordings is included",
            form=AnswerForm(silence_label="silence"),
            files=("lithuanian_commands",),
        ),
        Task(
            "sound_events",
            "Sound events",
            SOURCE,
            "ESC-10 (Piczak 2015), field recordings of 10 sounds from Freesound, up to 5 s each",
            "CC BY",
            limits="Sounds that are none of the ten, speech among them, are still answered with one of them.",
            files=("sound_events",),
            expects="any sound",
        ),
        Task(
            "language_id",
            "Language",
            SOURCE,
            "commands, digits, read sentences, orders and acted emotions of thirteen sets in six languages; "
            "each language comes from one to seven sets of its own rooms and microphones, and the training "
            "hears none of them undisturbed",
            "of each set; some of them for research alone, and none of those recordings is included",
            {"cases": [["label", "silence", None], *LANGUAGES], "otherwise": None},
            limits="It knows six languages and answers every other one with one of them, in doubt with one that "
            "it heard much of. German and Polish were learnt from few speakers, Lithuanian from single words.",
            files=(*SPOKEN, "speech_commands_extra", "spoken_digits", "arabic_commands", "librispeech_clips"),
            channel="controlled",
            close=0.35,
            form=AnswerForm(window=2.4),  # s: about the longest that a controlled channel gives
        ),
        Task(
            "gender",
            "Female or male voice",
            SOURCE,
            "read English by children and adults (speechocean762), acted emotions in English, German, Polish",
            "of each set; some of them for research alone, and none of those recordings is included",
            {"cases": [["gender", "f", "female"], ["gender", "m", "male"]], "otherwise": None},
            limits="It guesses from the sound of a voice what the speakers of the data said of themselves; "
            "there were two answers. Children's voices are told apart worse.",
            files=("read_english", "emotion_english", "emotion_german", "emotion_polish"),
        ),
        Task(
            "age_group",
            "Child or adult",
            SOURCE,
            "speechocean762 (Zhang et al. 2021): English read aloud by Mandarin speakers; a child is under 13",
            "free, commercial use too",
            {"number": "age", "below": 13, "names": ["child", "adult"]},
            limits="It guesses from the sound of a voice and the way of reading; teenagers count as adults.",
            files=("read_english",),
        ),
        Task(
            "voice_activity",
            "Speech, noise or silence",
            SOURCE,
            "speech of six languages; background recordings of the two sets of commands for silence; "
            "ESC-10 for noise",
            "of each set; some of them for research alone, and none of those recordings is included",
            {"cases": [["label", "silence", "silence"], ["language", "", "noise"]], "otherwise": "speech"},
            form=AnswerForm(silence_label="silence"),
            limits="Silence means the background of a room, steady noise in it; noise means ten kinds of loud events. "
            "It answers once for the whole clip.",
            files=(*SPOKEN, "sound_events"),
            expects="any sound",
        ),
        Task(
            "fake_speech",
            "Real or synthetic voice",
            SOURCE,
            "read English (speechocean762, LibriSpeech) against espeak-ng, flite and festival speaking the "
            "same texts; no festival in the training",
            "of each set; the synthetic recordings are the project's own",
            {"cases": [["label", "synthetic", "synthetic"]], "otherwise": "real"},
            limits="It knows simple synthesis of rules and diphones; a modern neural voice passes for a real one.",
            files=("read_english", "librispeech_clips", "synthetic_speech"),
            channel="controlled",
        ),
    )
}


def expects_speech(name: str) -> bool:
    """Whether a task is one of these and about speech; of tasks of others nobody knows."""
    return name in TASKS and TASKS[name].expects == "speech"
