"""Recordings are cut to lengths, the same ones at every length, and an adult's voice is no child's in any of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from speechprompt.audio import load as audio
from speechprompt.pipeline import SpeechPrompt
from studies.lengths import SECONDS
from studies.measures.lengths import Recording, Stretch, answered_by_length, recordings, table
from tests.tiny import make_backbone, make_prompt, make_waveform

EXAMPLES = Path(__file__).parents[2] / "examples"


def flac(waveform: np.ndarray) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, waveform, 16_000, format="FLAC")
    return out.getvalue()


@pytest.mark.parametrize(("example", "longest"), [("read_by_a_man", 4.25), ("read_calmly", 2.9)])
def test_an_adult_is_no_child_at_any_length(example: str, longest: float) -> None:
    pipeline = SpeechPrompt.from_pretrained("whisper-voice", device="cpu")
    lengths = [*(seconds for seconds in SECONDS if seconds < longest), longest]
    adult = Recording("adult", audio.load(EXAMPLES / f"{example}.flac"), same=True)
    found = answered_by_length(pipeline, "voice", [adult], lengths)
    assert [one.seconds for one in found] == lengths
    assert not [one.seconds for one in found if one.answer == "child" and not one.flagged]


def test_those_that_last_are_the_same_at_every_length(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"{split}-{label}-{seconds}",
            "split": split,
            "label": label,
            "audio": flac(make_waveform(seconds)),
        }
        for split in ("train", "valid", "test")
        for label in ("red", "blue")
        for seconds in (0.5, 1.0, 1.5)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "colours.parquet")
    prompt = make_prompt(labels=("red", "blue"), label_rule={"column": "label"})
    found = dict(recordings(tmp_path / "colours.parquet", prompt, {"red"}, 1, 1.0))
    assert set(found) == {"valid", "test"}
    for some in found.values():
        assert [(one.label, one.same) for one in some] == [("red", True), ("red", False)]
        assert [len(one.waveform) >= 16_000 for one in some] == [True, False]


def test_a_recording_is_answered_in_the_lengths_that_it_has(tmp_path: Path) -> None:
    pipeline = SpeechPrompt.from_pretrained(make_backbone(tmp_path))
    short = Recording("red", make_waveform(0.7), same=False)
    found = answered_by_length(pipeline, "colours", [short], (0.4, 0.6, 1.0))
    assert [one.seconds for one in found] == [0.4, 0.6]
    assert {one.answer for one in found} <= {"red", "green", "blue"}


def test_the_wrong_label_is_counted_flagged_and_not() -> None:
    def stretch(answer: str, flagged: bool, same: bool = True) -> Stretch:
        return Stretch("man", answer, flagged, 1.0, same)

    some = [stretch("man", False), stretch("man", True), stretch("child", False), stretch("child", True)]
    lines = table({"test": [*some, stretch("child", False, same=False)]}, "child", (1.0,)).splitlines()
    assert lines[-1] == (
        "| test | 1 | 4 | 25.0 % | 25.0 % | 50.0 % | 50.0 % | 1 | 100.0 % | 0.0 % | 0.0 % | 0.0 % |"
    )
