"""Tasks whose answer is what is meant, or letters."""

from __future__ import annotations

from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.labels import named, slot_object, spelled_keyword
from speechprompt.tasks.task import SPELLING, UNDERSTANDING, Task

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

TABLE = (
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
)
