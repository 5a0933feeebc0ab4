"""Tasks on what is recorded: a language, speech or noise, a sound."""

from __future__ import annotations

from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.labels import by_file, first_case
from speechprompt.tasks.task import SOURCE, Task

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

OTHER = "other"
LANGUAGE_SETS = (
    *SPOKEN,
    "spoken_digits",
    "arabic_commands",
    "librispeech_clips",
    "accents_english",
    "coswara_voices",
    "wakewords_english",
    "indian_emotion_commands",
    "arabic_emotion",
    "amharic_emotion",
    "urdu_emotion",
    "malayalam_sentences",
    "digits_more",
    "fish_fillets",
    "languages_gpl",
)
# A vowel, a cough or a breath is in no language.
NO_LANGUAGE = [("label", sound, None) for sound in ("vowel", "cough", "breathing")]
# Sounds that no voice makes on purpose, beside those of ESC-10.
NOISES = ("environmental_sounds", "infant_cries")

TABLE = (
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
        train_files=("infant_cries",),
    ),
    Task(
        "language_id",
        "Language",
        SOURCE,
        "words, digits, read and acted sentences, orders and prompts of some twenty sets, in six languages and in "
        "thirty others that are called other; stretches of 0.4 to 5 s, every source of a language as often as another",
        "of each set; some of them for research alone, and none of those recordings is included",
        first_case(
            [
                ("label", "silence", None),
                ("word", "background", None),
                *NO_LANGUAGE,
                *LANGUAGES,
                ("language", "", None),
            ],
            OTHER,
        ),
        about="Say a sentence in one of six languages, such as English or Polish, and the language is named.",
        languages=("en", "ar", "lt", "zh", "de", "pl"),
        limits="It knows six languages and calls all others other. Polish was learnt from one set of eight speakers, "
        "German and Lithuanian from few; it is unsure of single words.",
        files=LANGUAGE_SETS,
        train_files=("languages_prompts", "speech_commands_extra", "wakewords_more"),
        held_out={
            "librispeech_clips": "valid",
            "arabic_emotion": "valid",
            "malayalam_sentences": "valid",
            "fish_fillets": "valid",
        },
        stretches={"": (0.4, 5.0)},
        open_label=OTHER,
        form=AnswerForm((*(name for *_, name in LANGUAGES), OTHER), window=5.0),
    ),
    Task(
        "voice_activity",
        "Speech, noise or silence",
        SOURCE,
        "speech of six languages; background recordings of the two sets of commands for silence; "
        "ESC-10 for noise",
        "of each set; some of them for research alone, and none of those recordings is included",
        by_file(
            {"rooms_noise": first_case([("label", "noise", "noise")], None)},
            first_case([("label", "silence", "silence"), ("language", "", "noise")], "speech"),
        ),
        about="Record speech, a noise or silence, and the whole recording is called one of the three.",
        expects="any sound",
        form=AnswerForm(("silence", "noise", "speech"), silence_label="silence"),
        limits="Silence means the background of a room, steady noise in it; noise means ten kinds of loud events. "
        "It answers once for the whole clip.",
        files=(*SPOKEN, "sound_events"),
        train_files=(*NOISES, "rooms_noise", "languages_gpl", "malayalam_sentences", "fish_fillets"),
    ),
    Task(
        "sound_events_50",
        "Fifty sounds",
        SOURCE,
        "ESC-50 (Piczak 2015), field recordings of 50 sounds from Freesound, up to 5 s each",
        "CC BY-NC 3.0 as a collection; none of the recordings is included",
        about="Record one of fifty sounds, such as footsteps, a siren or a cat.",
        expects="any sound",
        limits="Sounds that are none of the fifty, music among them, are still answered with one of them.",
        files=("environmental_sounds",),
    ),
)
