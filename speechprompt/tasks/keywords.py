"""Tasks whose answer is a word of a list."""

from __future__ import annotations

from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.labels import (
    Row,
    Rule,
    always,
    by_file,
    first_case,
    renamed,
    spelled_keyword,
    text_in,
)
from speechprompt.tasks.task import KEYWORDS, Task

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WAKE_WORDS = ("alexa", "computer", "jarvis", "smart mirror", "snowboy", "view glass")
TALK = ("librispeech_clips", "coffee_orders", "read_english", "accents_english")  # English sentences
# s: what a listener for words hears of running talk at once.
WORD_STRETCHES = dict.fromkeys(TALK, (0.5, 1.6))
LABEL: Rule = {"column": "label"}


def other_talk(row: Row) -> tuple[str] | None:
    """Running talk is unknown, unless its text has one of the commands."""
    return None if set(str(row.get("text") or "").lower().split()) & set(COMMANDS) else ("unknown",)


def command_or_unknown(row: Row) -> tuple[str]:
    word = text_in(row, "label")
    return (word if word in COMMANDS else "unknown",)


def digit_in_id(row: Row) -> tuple[str] | None:
    """The digit that an id of Speech Commands names, as "4"."""
    word = "".join(spelled_keyword(row))
    return (str(DIGITS.index(word)),) if word in DIGITS else None


NEGATIVES: dict[str, Rule] = dict.fromkeys(TALK, other_talk)
DIGIT_NAMES = {word: str(digit) for digit, word in enumerate(DIGITS)}

TABLE = (
    Task(
        "keyword_spotting",
        "Keyword spotting",
        KEYWORDS,
        "Google Speech Commands (P. Warden), 12 classes: ten English words, unknown, silence",
        "CC BY 4.0",
        by_file({"speech_commands_words": command_or_unknown, **NEGATIVES}, LABEL),
        about="Say one of ten English command words, such as yes, stop or left; another word is called unknown.",
        languages=("en",),
        form=AnswerForm(silence_label="silence"),
        files=("speech_commands",),
        unit_files=("hubert100_units_speech_commands",),
        train_files=("speech_commands_words", *TALK),
        stretches=WORD_STRETCHES,
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
        by_file(
            {"speech_commands": digit_in_id, "speech_commands_words": renamed("label", DIGIT_NAMES)}, LABEL
        ),
        about="Say one English digit from zero to nine.",
        languages=("en",),
        files=("spoken_digits",),
        train_files=("speech_commands", "speech_commands_words"),
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
        by_file({"arabic_commands": renamed("label", dict(zip("0123456789", DIGITS, strict=True)))}, LABEL),
        about="Say one of forty Arabic words.",
        languages=("ar",),
        files=("arabic_keywords",),
        train_files=("arabic_commands",),
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
        "wake_words",
        "Wake words",
        KEYWORDS,
        "six English wake words of some hundred volunteers (Picovoice), told from other words (Speech Commands, "
        "community wake words) and from running talk; who the speakers are was guessed by their voices",
        "Apache 2.0, CC BY 4.0, public domain",
        by_file(
            {
                "wakewords_english": LABEL,
                "wakewords_more": first_case(
                    [("label", "computer", "computer"), ("label", "hey computer", None)], "unknown"
                ),
                "speech_commands": first_case([("label", "silence", "silence")], "unknown"),
            },
            always("unknown"),
        ),
        form=AnswerForm((*WAKE_WORDS, "unknown", "silence"), silence_label="silence"),
        about="Say alexa, computer, jarvis, smart mirror, snowboy or view glass; other words are called unknown.",
        languages=("en",),
        limits="It knows six wake words; a word that sounds like one of them may be taken for it.",
        files=("wakewords_english", "speech_commands"),
        train_files=("wakewords_more", "speech_commands_words", "librispeech_clips", "accents_english"),
        stretches={"librispeech_clips": (0.5, 1.6), "accents_english": (0.5, 1.6)},
    ),
)
