"""Tasks on who speaks."""

from __future__ import annotations

from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.labels import Row, below, by_file, first_case, to_number
from speechprompt.tasks.task import SOURCE, Task

VOICES = ("woman", "man", "child")
# Sets of adults' voices.
ADULTS = (
    "accents_english",
    "coswara_voices",
    "emotion_english",
    "emotion_german",
    "emotion_polish",
    "amharic_emotion",
    "urdu_emotion",
    "malayalam_sentences",
    "digits_more",
)
GROWN_UP = 16  # years
NO_VOICE = ("cough", "breathing")


def adult(row: Row) -> tuple[str] | None:
    return None if row.get("label") in NO_VOICE else ("adult",)


def voice_of(row: Row) -> tuple[str] | None:
    """woman, man or child by the columns age (in years) and gender or gender_guess ("f", "m")."""
    gender = row.get("gender") or row.get("gender_guess")
    if gender not in ("f", "m") or row.get("label") in NO_VOICE:
        return None
    age = to_number(row.get("age"))
    return ("child" if age is not None and age < GROWN_UP else "woman" if gender == "f" else "man",)


TABLE = (
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
        "voice",
        "Woman, man or child",
        SOURCE,
        "read English by children and adults (speechocean762), accents, wake words and counting from people's own "
        "phones and computers, acted emotions in English, German, Polish and Amharic, Arabic words, Urdu talk shows, "
        "Malayalam sentences and Azerbaijani digits; of the wake words a classifier guessed who is a woman",
        "of each set; some of them for research alone, and none of those recordings is included",
        voice_of,
        form=AnswerForm(VOICES, window=4.0),
        about="Say anything, and the voice is called that of a woman, a man or a child.",
        limits="It guesses from the sound of a voice what the speakers of the data said of themselves; a child is "
        "under 16, and its voice is often taken for a woman's.",
        files=("read_english", *ADULTS, "wakewords_english", "arabic_emotion", "gender_voxceleb"),
        train_files=("languages_prompts", "fish_fillets"),
        stretches={"": (0.4, 5.0)},
    ),
    Task(
        "age_group",
        "Child or adult",
        SOURCE,
        "read English (speechocean762), Arabic words, and adults of ten other sets, in stretches of 0.4 to 5 s; a "
        "child is under 13",
        "of each set; some of them for research alone, and none of those recordings is included",
        by_file(dict.fromkeys(ADULTS, adult), below("age", 13, "child", "adult")),
        form=AnswerForm(("child", "adult"), window=5.0),
        about="Say anything, and the voice is called that of a child or of an adult.",
        limits="It guesses from the sound of a voice; teenagers count as adults.",
        files=("read_english", "arabic_emotion"),
        train_files=ADULTS,
        stretches={"": (0.4, 5.0)},
    ),
    Task(
        "accents_english",
        "English accent",
        SOURCE,
        "names, numbers and addresses in English by 63 speakers, grouped by their native language",
        "MIT",
        form=AnswerForm(("Chinese", "Dravidian", "English", "Hindi", "Marathi", "other")),
        about="Say an address or a number in English, and the group of your native language is guessed.",
        languages=("en",),
        limits="It was learnt from some forty speakers, most of them from India, and is often wrong.",
        files=("accents_english",),
        stretches={"": (1.0, 6.0)},
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
)
