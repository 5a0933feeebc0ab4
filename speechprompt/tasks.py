"""The tasks by name: those that this package ships prompts for, and those of the papers' corpora.

A task that is not here can be tuned too; the command line asks for what this table would have told.
"""

from __future__ import annotations

from typing import Any

from speechprompt.answer_form import AnswerForm
from speechprompt.corpus_tasks import CORPUS_TASKS
from speechprompt.errors import SpeechPromptError
from speechprompt.labels import Rule, below, first_case, named, slot_object, spelled_keyword
from speechprompt.task import KEYWORDS, SOURCE, SPELLING, UNDERSTANDING, VOICE, Task

# Fluent Speech Commands: the published ids count the values of each slot in the order in which the
# original table first names them.
ACTIONS = ("change language", "activate", "deactivate", "increase", "decrease", "bring")
THINGS = ("none", "music", "lights", "volume", "heat", "lamp", "newspaper", "juice", "socks")
OBJECTS = (*THINGS, "Chinese", "Korean", "English", "German", "shoes")
LOCATIONS = ("none", "kitchen", "bedroom", "washroom")
INTENTS = (*ACTIONS, *OBJECTS, *LOCATIONS)

# What orders are made of, slot by slot as people say them: values and amounts, each a label of its own.
SIZES = ("eight ounce", "large", "medium", "sixteen ounce", "small", "twelve ounce", "twenty ounce")
COFFEES = ("americano", "cappuccino", "coffee", "drip coffee", "espresso", "house coffee", "iced coffee")
AMOUNTS = ("a little bit of", "a bit of", "a lot of", "lots of", "some")
MILKS = ("almond milk", "cream", "milk", "skim milk", "soy milk", "whole milk")
COFFEE = {
    "size": SIZES,
    "roast": ("dark roast", "light roast", "medium roast"),
    "numberOfShots": ("double shot", "single shot", "triple shot"),
    "coffeeDrink": (*COFFEES, "iced mocha", "latte", "mocha"),
    "milkAmount": (*AMOUNTS, *MILKS),
    "sugarAmount": (*AMOUNTS, "brown sugar", "sugar", "sweetener"),
}
COFFEE_LABELS = tuple(f"{slot}={value}" for slot, values in COFFEE.items() for value in sorted(values))

LANGUAGES = [
    ("language", "en", "English"),
    ("language", "ar", "Arabic"),
    ("language", "lt", "Lithuanian"),
    ("language", "zh", "Mandarin"),
    ("language", "de", "German"),
    ("language", "pl", "Polish"),
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
            about="Say one of ten English command words, such as yes, stop or left; another word is called unknown.",
            languages=("en",),
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
            about="Say one of sixteen Arabic words or digits.",
            languages=("ar",),
            files=("arabic_commands",),
        ),
        Task(
            "spoken_digits",
            "Spoken digits",
            KEYWORDS,
            "Free Spoken Digit Dataset, ten English digits by six speakers, telephone bandwidth",
            "CC BY-SA 4.0",
            about="Say one English digit from zero to nine.",
            languages=("en",),
            files=("spoken_digits",),
        ),
        Task(
            "intent_classification",
            "Intent",
            UNDERSTANDING,
            "Fluent Speech Commands (Lugosch et al. 2019), as HuBERT-100 units published with SpeechPrompt; "
            "three slots: action, object, location",
            "academic licence of Fluent.ai; none of the recordings is included",
            named("label_ids", INTENTS, ("action", "object", "location")),
            about="Ask in English for a change at home, such as turning on the lights in the kitchen.",
            languages=("en",),
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
            slot_object("label", [*COFFEE], AMOUNTS),
            about="Order a coffee in English, with its size, roast, shots, milk and sugar as you like.",
            languages=("en",),
            form=AnswerForm(COFFEE_LABELS, "sequence", max_steps=2 * len(COFFEE)),
            files=("coffee_orders",),
        ),
        Task(
            "spelled_words",
            "Spelled words",
            SPELLING,
            "Google Speech Commands (P. Warden): 35 English words, spelled letter by letter",
            "CC BY 4.0",
            spelled_keyword,
            about="Say one of 35 English words, and it is spelled letter by letter.",
            languages=("en",),
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
            about="Say an English sentence with a feeling, as an actor would; the sound of the voice decides.",
            languages=("en",),
            files=("emotion_english",),
        ),
        Task(
            "emotion_german",
            "Emotion (German)",
            VOICE,
            "EmoDB (Burkhardt et al. 2005), 7 emotions acted by 10 speakers in ten sentences",
            "free for research; none of the recordings is included",
            about="Say a German sentence with a feeling, as an actor would; the sound of the voice decides.",
            languages=("de",),
            files=("emotion_german",),
        ),
        Task(
            "emotion_polish",
            "Emotion (Polish)",
            VOICE,
            "nEMO (Christop 2024), 6 emotions acted by 9 speakers",
            "CC BY-NC-SA 4.0; none of the recordings is included",
            about="Say a Polish sentence with a feeling, as an actor would; the sound of the voice decides.",
            languages=("pl",),
            files=("emotion_polish",),
        ),
        Task(
            "words20",
            "Mandarin and English words",
            KEYWORDS,
            "DSPSpeech-20, 12 Mandarin and 8 English words spoken by Mandarin speakers",
            "MIT",
            about="Say one of twelve Mandarin or eight English words.",
            languages=("zh", "en"),
            files=("words20",),
        ),
        Task(
            "arabic_keywords",
            "Arabic keywords",
            KEYWORDS,
            "Arabic Speech Commands (Ghandoura et al. 2021), 40 Arabic words by 30 speakers",
            "CC BY 4.0",
            about="Say one of forty Arabic words.",
            languages=("ar",),
            files=("arabic_keywords",),
        ),
        Task(
            "lithuanian_commands",
            "Lithuanian commands",
            KEYWORDS,
            "LT Speech Commands, 15 classes: thirteen Lithuanian words of about 20 recordings each, unknown, silence",
            "academic use; none of the recordings is included",
            about="Say one of thirteen Lithuanian words; another word is called unknown.",
            languages=("lt",),
            form=AnswerForm(silence_label="silence"),
            files=("lithuanian_commands",),
        ),
        Task(
            "sound_events",
            "Sound events",
            SOURCE,
            "ESC-10 (Piczak 2015), field recordings of 10 sounds from Freesound, up to 5 s each",
            "CC BY",
            about="Record one of ten sounds, such as rain, a dog or a clock.",
            expects="any sound",
            limits="Sounds that are none of the ten, speech among them, are still answered with one of them.",
            files=("sound_events",),
        ),
        Task(
            "language_id",
            "Language",
            SOURCE,
            "commands, digits, read sentences, orders and acted emotions of thirteen sets in six languages; "
            "each language comes from one to seven sets of its own rooms and microphones, and the training "
            "hears none of them undisturbed",
            "of each set; some of them for research alone, and none of those recordings is included",
            first_case([("label", "silence", None), *LANGUAGES], None),
            about="Say a sentence in one of six languages, such as English or Polish, and the language is named.",
            languages=("en", "ar", "lt", "zh", "de", "pl"),
            limits="It knows six languages and answers every other one with one of them, in doubt with one that "
            "it heard much of. German and Polish were learnt from few speakers, Lithuanian from single words.",
            files=(*SPOKEN, "speech_commands_extra", "spoken_digits", "arabic_commands", "librispeech_clips"),
            channel="controlled",
            close=0.35,
            form=AnswerForm(
                tuple(name for *_, name in LANGUAGES), window=2.4
            ),  # s: about the longest that a controlled channel gives
        ),
        Task(
            "gender",
            "Female or male voice",
            SOURCE,
            "read English by children and adults (speechocean762), acted emotions in English, German, Polish",
            "of each set; some of them for research alone, and none of those recordings is included",
            first_case([("gender", "f", "female"), ("gender", "m", "male")], None),
            form=AnswerForm(("female", "male")),
            about="Say anything in English, German or Polish, and the voice is called female or male.",
            languages=("en", "de", "pl"),
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
            below("age", 13, "child", "adult"),
            form=AnswerForm(("child", "adult")),
            about="Read an English sentence aloud, and the voice is called that of a child or of an adult.",
            languages=("en",),
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
            first_case([("label", "silence", "silence"), ("language", "", "noise")], "speech"),
            about="Record speech, a noise or silence, and the whole recording is called one of the three.",
            expects="any sound",
            form=AnswerForm(("silence", "noise", "speech"), silence_label="silence"),
            limits="Silence means the background of a room, steady noise in it; noise means ten kinds of loud events. "
            "It answers once for the whole clip.",
            files=(*SPOKEN, "sound_events"),
        ),
        Task(
            "fake_speech",
            "Real or synthetic voice",
            SOURCE,
            "read English (speechocean762, LibriSpeech) against espeak-ng, flite and festival speaking the "
            "same texts; no festival in the training",
            "of each set; the synthetic recordings are the project's own",
            first_case([("label", "synthetic", "synthetic")], "real"),
            form=AnswerForm(("synthetic", "real")),
            about="Play or say an English sentence, and the voice is called real or synthetic.",
            languages=("en",),
            limits="It knows simple synthesis of rules and diphones; a modern neural voice passes for a real one.",
            files=("read_english", "librispeech_clips", "synthetic_speech"),
            channel="controlled",
        ),
        *CORPUS_TASKS,
    )
}


def rule_of(task: str, label_rule: dict[str, Any] | None) -> Rule:
    """How data for a prompt gets its labels: by the prompt's rule, else by that of its task, which is a function."""
    if label_rule is not None:
        return label_rule
    if task not in TASKS:
        raise SpeechPromptError(
            f"The prompt {task} does not say how data gets its labels, and no task of this program has that name: "
            'give it a label_rule such as {"column": "label"}.'
        )
    return TASKS[task].label_rule
