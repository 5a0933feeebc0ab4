"""The rule of pitch, what labels could be told by without listening, and keywords in running talk."""

from __future__ import annotations

import numpy as np

from speechprompt.live.event import Event
from studies.measures.f0_rule import adults, by_pitch
from studies.measures.shortcuts import binned, measures, recall
from studies.measures.talk import false_keywords, stream


def test_the_rule_of_pitch_goes_by_the_voiced_frames() -> None:
    assert by_pitch(np.array([0.0, 0, 0, 210, 220, 90])) == "woman"
    assert by_pitch(np.array([0.0, 120, 130, 400])) == "man"
    assert by_pitch(np.zeros(5)) == ""
    rows = [
        {"audio": b"1", "label": "female"},
        {"audio": b"2", "label": "m"},
        {"audio": b"3", "label": "noise"},
    ]
    assert adults(rows) == [(b"1", "woman"), (b"2", "man")]


def test_a_label_that_has_a_length_of_its_own_is_found_out() -> None:
    lengths = [0.5 + 0.01 * i for i in range(20)] + [3 + 0.01 * i for i in range(20)]
    labels = ["word"] * 20 + ["sentence"] * 20
    pairs = list(zip(binned(lengths, lengths), labels, strict=True))
    assert recall(pairs, pairs) == 1.0
    mixed = [(i % 4, label) for i, label in enumerate(labels)]
    assert recall(mixed, mixed) == 0.5
    assert recall([("a", "x"), ("b", "y")], [("c", "x"), ("b", "y")]) == 0.5  # an unknown source is not right


def test_measures_are_seconds_decibels_and_hertz() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    seconds, level, edge = measures(tone)
    assert seconds == 1.0 and abs(level + 23) < 0.1 and abs(edge - 1000) <= 2


def test_keywords_that_are_believed_are_counted() -> None:
    labels = [("yes", "yes"), ("yes", "unsure"), ("unknown", "yes"), ("silence", "yes"), ("go", "yes")]
    events = [Event("label", 0, 1, 1, label, 0.9, True, fits=fits) for label, fits in labels]  # type: ignore[arg-type]
    assert false_keywords(events) == {"yes": 1, "go": 1}


def test_the_stream_ends_when_there_was_enough_talk() -> None:
    clips = [np.full(16_000 * 3, i, np.float32) for i in range(1, 6)]
    found = list(stream(clips, minutes=0.1, seed=0))
    assert len(found) == 2 and all(len(clip) == 16_000 * 3 + 8_000 for clip in found)
    assert 0 < np.abs(found[0][-8_000:]).max() < 1e-3
