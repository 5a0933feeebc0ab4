"""Tasks on how a sentence is spoken."""

from __future__ import annotations

from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.labels import renamed
from speechprompt.tasks.task import VOICE, Task

FEELINGS = ("neutral", "happy", "sad", "angry", "fearful")
# What the sets call them; what none of the others has (disgust, surprise, boredom) is left out.
NAMES = {name: name for name in FEELINGS} | {
    "calm": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
}
FELT = renamed("label", NAMES)


TABLE = (
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
        "emotion",
        "Emotion (any language)",
        VOICE,
        "emotions acted in English, German, Polish and Amharic, and in commands spoken in Indian homes, streets and "
        "offices; measured on Urdu talk shows, of which nothing was learnt",
        "of each set, most of them for research alone; none of the recordings is included",
        FELT,
        form=AnswerForm(FEELINGS),
        about="Say a sentence in any language with a feeling: neutral, happy, sad, angry or fearful.",
        limits="It was learnt from actors; how people sound who feel something is another matter.",
        files=(
            "emotion_english",
            "emotion_german",
            "emotion_polish",
            "amharic_emotion",
            "indian_emotion_commands",
            "urdu_emotion",
        ),
        held_out={"urdu_emotion": "test"},
        stretches={"": (1.0, 5.0)},
    ),
)
