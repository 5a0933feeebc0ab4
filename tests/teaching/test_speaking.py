"""Labels are spoken by espeak-ng: how it is called, what it may say, and what comes of it. A stub stands for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.teaching import speaking
from speechprompt.teaching.lesson import gather
from speechprompt.teaching.teacher import SPOKEN_SPLIT, Moment, TeachConfig, teach
from tests import tiny
from tests.teaching.test_teacher import SILENCE, tones

# Writes down how it was called; a label is a tone whose pitch goes by its letters, a little different by -p.
STUB = """#!{python}
import io, json, math, struct, sys, time, wave
calls = open({calls!r}, "a")
calls.write(json.dumps(sys.argv[1:]) + "\\n")
calls.close()
label = sys.argv[-1]
if label == "broken":
    sys.exit(1)
if label == "slow":
    time.sleep(30)
hertz = 300 + 40 * (sum(map(ord, label)) % 11) + int(sys.argv[sys.argv.index("-p") + 1]) / 5
level = 0 if label == "mute" else 9000
sound = [int(level * math.sin(6.283 * hertz * i / 22050)) for i in range(9000)]
out = io.BytesIO()
with wave.open(out, "wb") as file:
    file.setnchannels(1), file.setsampwidth(2), file.setframerate(22050)
    file.writeframes(struct.pack("<9000h", *sound))
sys.stdout.buffer.write(out.getvalue())
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stub writes down how it was called."""
    found = tmp_path / "calls"
    program = tmp_path / "espeak-ng"
    program.write_text(STUB.format(python=sys.executable, calls=str(found)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return found


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(tiny.make_backbone(tmp_path_factory.mktemp("root")))


def test_voices_speeds_and_pitches_differ_and_are_the_same_for_every_label(calls: Path) -> None:
    for label in ("lamp", "lámpa"):
        assert all(take.dtype == np.float32 and len(take) > 4000 for take in speaking.speak(label, 8))
    called = [json.loads(line) for line in calls.open()]
    assert [call[:-1] for call in called[:8]] == [call[:-1] for call in called[8:]]
    assert all(
        call[-2:] == ["--", label] for call, label in zip(called, ["lamp"] * 8 + ["lámpa"] * 8, strict=True)
    )
    assert len({tuple(call) for call in called[:8]}) == 8
    assert len({call[call.index("-v") + 1] for call in called}) == 8
    speaking.speak("Lampe", 1, "German")
    assert json.loads(list(calls.open())[-1])[2].startswith("de+")


@pytest.mark.parametrize(
    "label",
    [
        "",
        "-v",
        "--stdin",
        "7",
        "a\nb",
        "a;b",
        "[[a]]",
        "<break/>",
        "$(x)",
        "a/b",
        "x" * 41,
        "'a",
        "a\0",
        "😀",
        "a1",
    ],
)
def test_nothing_but_letters_is_spoken(calls: Path, label: str) -> None:
    assert not speaking.is_text(label)
    with pytest.raises(SpeechPromptError, match="only letters can"):
        speaking.speak(label, 1)
    assert not calls.exists()


@pytest.mark.parametrize("label", ["yes", "l'eau", "turn on", "well-known", "नमस्ते", "مرحبا", "上海"])
def test_letters_of_any_script_are_spoken(label: str) -> None:
    assert speaking.is_text(label)


@pytest.mark.parametrize(
    ("label", "language", "message"),
    [
        ("broken", "English", "could not speak 'broken'"),
        ("slow", "English", "could not speak 'slow'"),
        ("mute", "English", "has no sound for 'mute'"),
        ("yes", "Klingon", "is not spoken here; choose one of: English"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    calls: Path, monkeypatch: pytest.MonkeyPatch, label: str, language: str, message: str
) -> None:
    monkeypatch.setattr(speaking, "TIMEOUT_SECONDS", 10.0 if label != "slow" else 0.5)
    with pytest.raises(SpeechPromptError, match=message):
        speaking.speak(label, 1, language)


def test_without_espeak_a_label_needs_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpeechPromptError, match="'high' has no recordings.*apt install espeak-ng"):
        gather({"low": tones(0), "high": []})
    with pytest.raises(SpeechPromptError, match="apt install espeak-ng"):
        speaking.speak("yes", 1)


def test_typed_labels_are_taught(calls: Path, backbone: Backbone) -> None:
    seen: list[Moment] = []
    taught = teach(backbone, "Typed", {"yes": [], "no": []}, TeachConfig(copies=1, takes=4), seen.append)
    assert taught.prompt.metrics["n"] == 8 and taught.prompt.metrics["split"] == SPOKEN_SPLIT
    assert "people are harder" in taught.how and "spoken by espeak-ng" in taught.warnings[0]
    assert (
        "2 labels spoken 8 times by espeak-ng" in taught.prompt.data
        and "recordings" not in taught.prompt.data
    )
    assert [m.done for m in seen] == sorted(m.done for m in seen) and seen[-1] == Moment("Done", 1.0)
    assert seen[0].doing == "Speaking the labels"


def test_where_one_label_is_spoken_all_are_and_only_recordings_are_measured(
    calls: Path, backbone: Backbone
) -> None:
    clips = {"low": tones(0), "high": tones(1), "typed": [], "7": tones(2), "rest": [SILENCE]}
    taught = teach(backbone, "Mixed", clips, TeachConfig(copies=1, takes=4))
    spoken = {json.loads(line)[-1] for line in calls.open()}
    assert spoken == {"low", "high", "typed"}  # no digit, and not the label of silence
    assert taught.prompt.metrics["n"] == 9  # the only clip of "rest" would not be known without it
    assert taught.prompt.metrics["split"] == "held-out"
    assert sum(map(sum, taught.confusion)) == 9 and not any(taught.confusion[2])
