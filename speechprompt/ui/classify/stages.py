"""The way from sound to label in four stages, with the numbers of one recording.

For people who have never heard of a unit: what each stage does in one sentence, and what it did here.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.decoding.generation import pieces
from speechprompt.ui.html import percent
from speechprompt.units import FRAME_SAMPLES

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer
    from speechprompt.prompts.prompt import Prompt

SAMPLE_BITS = 16  # of sound as it is commonly stored


def stages(answer: Answer, prompt: Prompt, samples: int, frozen: int) -> str:
    """Four cards: encoder, units, prompt and LM, verbalizer.

    samples: of the recording at 16 kHz; 0 when units were given, and nothing was encoded. frozen: parameters of
    the models that no task changes.
    """
    n_units = answer.unit_probabilities.shape[-1]
    merged, frames, steps = len(answer.units), answer.units.n_frames, len(answer.steps)
    bits = merged * unit_bits(n_units)
    first, compressed = [], ""
    if samples:
        seconds = f"{samples / SAMPLE_RATE:.2f} s"
        if samples - frames * FRAME_SAMPLES >= FRAME_SAMPLES:
            samples = frames * FRAME_SAMPLES
            seconds = f"{samples / SAMPLE_RATE:.2f} s of {seconds}, all but a long pause before or after,"
        first = [("Encoder", f"Listens in steps of 20 ms: {seconds} became {plural(frames, 'frame')}.")]
        compressed = (
            f" Their names take {number(bits)} bits; the sound took {number(samples * SAMPLE_BITS)}, "
            f"{number(round(samples * SAMPLE_BITS / max(1, bits)))} times as many."
        )
    share = (
        f", {share_text(prompt.n_parameters / frozen)} of the {short(frozen)} that stay frozen"
        if frozen
        else ""
    )
    n_stretches = len(pieces(answer.units, prompt))
    stretched = (
        f" It read them in {n_stretches} overlapping stretches of {prompt.form.window:g} s; what it expects next "
        "is the mean over these."
        if n_stretches > 1
        else ""
    )
    many = "one step" if steps == 1 else f"{steps} steps"
    how = (
        "weighs the odds of all units" if answer.verbalizer == "learned" else "reads one unit for each label"
    )
    cards = (
        *first,
        (
            "Units",
            f"A unit is like a letter: one of {n_units} sounds that the model tells apart. "
            f"Repeats are merged: {plural(frames, 'frame' if samples else 'given unit')} became "
            f"{plural(merged, 'unit')}.{compressed}",
        ),
        (
            "Prompt and language model",
            f"A model that has only ever read units reads these behind a prompt, the one thing that was "
            f"trained for {escape(answer.title)}: {short(prompt.n_parameters)} numbers{share}.{stretched}",
        ),
        (
            "Verbalizer",
            f"Turns what the model expects next into one of {len(prompt.labels)} labels: it {how}. "
            f"Answered in {many}.",
        ),
    )
    items = "".join(f"<li><h3>{name}</h3><p>{text}</p></li>" for name, text in cards)
    title = "From sound to label in four stages" if samples else "From units to label in three stages"
    return (
        f'<section class="sp-more" aria-label="How it works"><h2 class="sp-eyebrow">{title}</h2>'
        f'<ol class="sp-stages">{items}</ol></section>'
    )


def unit_bits(n_units: int) -> int:
    """Bits that one of n_units takes."""
    return max(1, math.ceil(math.log2(n_units)))


def plural(n: int, noun: str) -> str:
    return f"{number(n)} {noun}{'s' * (n != 1)}"


def number(n: int) -> str:
    """ "256 000", with spaces that do not break."""
    return f"{n:,}".replace(",", "\u202f")


def short(n: int) -> str:
    """ "70 k", "6.7 M": parameters as people say them."""
    if n < 1000:
        return str(n)
    return f"{n / 1000:.0f}\u00a0k" if n < 999_500 else f"{n / 1e6:.1f}\u00a0M"


def share_text(share: float) -> str:
    """Small shares with a digit more than percent gives: "1.0 %"."""
    return f"{100 * share:.1f}\u00a0%" if 0.0005 <= share < 0.1 else percent(share)
