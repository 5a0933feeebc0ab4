"""The callable that data sets, Ray Data, pandas and Spark share: the rows of `label`, in their columns."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile
from tiny import make_backbone, make_waveform

from speechprompt import SpeechPrompt, SpeechPromptError
from speechprompt.labelling.labeller import Labeller


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> Path:
    return make_backbone(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def sounds() -> list:
    """Three recordings as people have them, and three that are none."""
    file = io.BytesIO()
    soundfile.write(file, make_waveform(0.9, 1), 16_000, format="FLAC")
    array = {"array": make_waveform(0.5, 2), "sampling_rate": 16_000}
    broken = {"bytes": b"this is no sound", "path": "x.wav"}
    return [file.getvalue(), {"bytes": file.getvalue(), "path": None}, array, broken, None, float("nan")]


def test_a_batch_in_columns_has_the_answers_of_classify(backbone, sounds):
    labeller = Labeller(backbone, "fruit")
    found = labeller({"audio": sounds, "id": ["a", "b", "c", "d", None, 7]})
    assert (
        list(found)
        == labeller.columns
        == ["id", "seconds", "fruit.label", "fruit.score", "fruit.fits", "error"]
    )
    assert found["id"] == ["a", "b", "c", "d", "4", "7"]
    sp = SpeechPrompt.from_pretrained(backbone, "cpu")
    for i, sound in enumerate(sounds):
        row = {name: column[i] for name, column in found.items()}
        try:
            (answer,) = sp.classify(sound, ["fruit"])
        except SpeechPromptError as error:
            assert row["error"] == str(error) and row["fruit.label"] is None
            continue
        assert (row["fruit.label"], row["fruit.fits"], row["error"]) == (answer.label, answer.fits, None)
        assert row["fruit.score"] == pytest.approx(answer.score, abs=1e-5)
    assert [error is None for error in found["error"]] == [True] * 3 + [False] * 3


def test_frames_and_arrays_are_answered_as_mappings_are(backbone, sounds):
    """Spark gives frames, one after the other, to a copy of the callable; Ray Data gives arrays of objects."""
    labeller = pickle.loads(pickle.dumps(Labeller(backbone, ["fruit", "colours"])))
    expected = labeller({"audio": sounds})
    sent = pickle.loads(pickle.dumps(labeller))  # after it has answered: its models stay behind
    column = np.empty(len(sounds), dtype=object)
    column[:] = sounds
    assert sent({"audio": column}) == expected
    frame = pandas.DataFrame({"audio": column}, index=range(10, 16))
    (found, again) = sent.frames([frame, frame[:0]])
    assert list(found.columns) == sent.columns and list(found.index) == list(frame.index) and len(again) == 0
    assert list(again.columns) == sent.columns
    whole = found.astype(object).where(found.notna(), None)
    assert whole.to_dict("list") == expected
    assert sent.schema.startswith("`id` string, `seconds` double, `fruit.label` string, `fruit.score` double")


def test_what_is_missing_is_said(backbone):
    with pytest.raises(SpeechPromptError, match="no column 'audio'"):
        Labeller(backbone)({"sound": []})
    with pytest.raises(SpeechPromptError, match="no task 'smell'"):
        Labeller(backbone, "smell")
