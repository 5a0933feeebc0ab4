"""What does not belong to a task is drawn by language, label and sound, and each kind is counted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from speechprompt.backbone import Backbone
from speechprompt.data import dataset
from speechprompt.data.dataset import Example
from speechprompt.evaluation.evaluate import evaluate
from studies.measures import belongs
from studies.measures.belongs import Recorded
from studies.measures.kept_units import KeptUnits
from tests.tiny import make_backbone, make_prompt, make_waveform

KEYWORDS = "Keywords and commands"
LABELS = ("yes", "no", "up")


def sound(seed: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, make_waveform(0.5, seed), 16_000, format="FLAC")
    return out.getvalue()


def recorded(file: str, label: str, language: str) -> Recorded:
    return Recorded(Example("a", "test", (), b"", None), file, label, language)


@pytest.mark.parametrize(
    ("file", "label", "language", "kind"),
    [
        ("wakewords_english", "alexa", "en", "other words"),
        ("speech_commands", "yes", "en", None),
        ("speech_commands", "unknown", "en", None),
        ("arabic_keywords", "yes", "ar", "other languages"),
        ("environmental_sounds", "cow", "", "sounds"),
        ("environmental_sounds", "rain", "", "noise"),
        ("field", "music", "", "music"),
        ("field", "other", "", None),
        ("coswara_voices", "cough", "", None),
    ],
)
def test_kinds_are_told_by_language_label_and_sound(
    file: str, label: str, language: str, kind: str | None
) -> None:
    prompt = make_prompt("words", LABELS, expects="speech", languages=("en",), group=KEYWORDS)
    assert recorded(file, label, language).kind(prompt) == kind
    sounds = make_prompt("sound_events", ("rain", "cow"), expects="any sound")
    said = recorded(file, label, language).kind(sounds)
    assert (said == "speech") == bool(language) and (label not in ("cow", "rain") or said is None)


def test_both_tables_count_what_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words: Any = {"verbalizer": "fixed", "expects": "speech", "languages": ("en",), "group": KEYWORDS}
    root = make_backbone(tmp_path, prompts=(make_prompt("keyword_spotting", LABELS, **words),))
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"split": "test", "label": LABELS[i % 3], "language": "en", "audio": sound(i)} for i in range(9)]
    pq.write_table(pa.Table.from_pylist(rows), data / "speech_commands.parquet")
    others = [{"split": "test", "label": "alexa", "language": "en", "audio": sound(20 + i)} for i in range(5)]
    others += [{"split": "train", "label": "jarvis", "language": "en", "audio": sound(30)}]
    pq.write_table(pa.Table.from_pylist(others), data / "wakewords_english.parquet")
    found = belongs.recordings(data, "test")
    assert len(found) == 14
    backbone = Backbone.load(root)
    kept = KeptUnits(backbone, tmp_path / "units")
    (prompt,) = backbone.prompts.values()
    row = belongs.measured(prompt, kept, found, data, "test", 4)
    assert row.note == "" and row.kinds["belonging"][1] == 9 and row.kinds["other words"][1] == 4
    assert 0 <= row.figures["decides"] <= 1 and row.figures["n"] == 9
    measured = evaluate(backbone, prompt, dataset.read(data / "speech_commands.parquet", {"column": "label"}))
    assert (
        row.figures["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-4) and measured["accuracy"] > 0
    )
    again = KeptUnits(backbone, tmp_path / "units")
    backbone.listen = None  # type: ignore[assignment, method-assign]  # all units are kept
    assert vars(belongs.measured(prompt, again, found, data, "test", 4)) == vars(row)
    first, second = belongs.tables([row]).split("\n\n")
    assert "other words" in first and "of 4 |" in first and "| 9 |" in second
    json.dumps(vars(row))
