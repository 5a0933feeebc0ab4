"""Several words in one recording: an answer each, in order, at the right time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechprompt import SpeechPrompt, SpeechPromptError
from speechprompt.audio import load, sound_stream
from speechprompt.audio.segmenter import Stretch, stretches_of_speech
from speechprompt.cli import main
from speechprompt.labelling import segments
from speechprompt.labelling.segments import Segment, Segments, on_words
from speechprompt.ui.classify.words import words
from tests.tiny import make_backbone

RATE = 16_000
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def mini() -> SpeechPrompt:
    return SpeechPrompt.from_pretrained("mini", "cpu", prompts=["keyword_spotting", "spoken_digits"])


def clip(name: str) -> np.ndarray:
    return load.load(EXAMPLES / f"{name}.flac")


def test_every_word_between_pauses_is_a_span() -> None:
    pause = np.zeros(RATE // 2, np.float32)
    words = [clip(name) for name in ("yes", "stop", "right")]
    found = stretches_of_speech(np.concatenate([part for word in words for part in (word, pause)]))
    edges = np.cumsum([0, *(len(word) + len(pause) for word in words)])
    assert len(found) == 3
    for one, first, after in zip(found, edges, edges[1:], strict=False):
        assert first <= one.start < one.end <= after
    for any_sound in (False, True):
        assert stretches_of_speech(np.zeros(RATE, np.float32), any_sound) == []
        assert stretches_of_speech(np.zeros(10, np.float32), any_sound) == []


def test_words_are_answered_each_and_one_word_as_a_whole(tmp_path: Path) -> None:
    sp = SpeechPrompt.from_pretrained(make_backbone(tmp_path), "cpu")
    assert not on_words(sp.prompt("colours"))
    (whole,) = sp.classify((RATE, clip("yes")), ["colours"])
    (alone,) = sp.segments((RATE, clip("yes")), "colours")
    assert alone.answer.scores == whole.scores and 0 <= alone.start < alone.end
    assert len(list(sp.segments((RATE, 0 * clip("yes")), "fruit"))) == 1  # which has a label for silence


def test_bundled_words_in_one_recording_have_their_labels(mini: SpeechPrompt) -> None:
    pause = np.zeros(RATE // 2, np.float32)
    several = np.concatenate([clip("yes"), pause, clip("stop"), pause, clip("right")])
    found = list(mini.segments((RATE, several), "keyword_spotting"))
    assert [segment.answer.label for segment in found] == ["yes", "stop", "right"]
    assert on_words(mini.prompt("keyword_spotting"))
    told = found[1].to_dict()
    assert (
        told["answers"]["keyword_spotting"]["label"] == "stop"
        and told["start"] == found[1].start > found[0].end
    )


def test_the_page_shows_the_words_in_a_row_where_they_were_spoken(mini: SpeechPrompt) -> None:
    several = np.concatenate([clip("yes"), np.zeros(RATE // 2, np.float32), clip("stop")])
    found = list(mini.segments((RATE, several), "keyword_spotting"))
    html = words(found, len(several) / RATE)
    assert html.index(">yes<") < html.index(">stop<") and "2 words with pauses" in html
    assert f"left:{100 * found[1].start * RATE / len(several):.2f}%" in html
    assert words(found[:1], 1.0) == ""


# Recordings of any length


def in_a_row(n: int, pause: float = 0.6) -> np.ndarray:
    """So many words with pauses, in a room's noise."""
    names = ["yes", "stop", "right", "nine"]
    parts = [part for i in range(n) for part in (clip(names[i % 4]), np.zeros(int(pause * RATE), np.float32))]
    sound = np.concatenate(parts)
    return sound + np.random.default_rng(0).normal(0, 1e-3, len(sound)).astype(np.float32)


def test_a_long_recording_is_answered_as_live_answers_it(mini: SpeechPrompt, tmp_path: Path) -> None:
    sound = in_a_row(48)
    path = tmp_path / "long.flac"
    soundfile.write(path, sound, RATE)
    sound = load.load(path, 600)
    listener, live = mini.listen("keyword_spotting"), []
    for at in range(0, len(sound), 1600):
        live += listener.feed(RATE, sound[at : at + 1600], provisional=False)
    live = [event for event in live + listener.finish() if event.final]
    found = list(mini.segments(path, "keyword_spotting"))
    assert len(sound) > 60 * RATE and len(found) == len(live) >= 36  # digits are unknown words, or silence
    for segment, event in zip(found, live, strict=True):
        assert (segment.start, segment.end) == (event.start, event.end)
        assert segment.answer.label == event.label
        assert segment.answer.score == pytest.approx(event.score, abs=1e-3)
    for before, after in pairwise(found):
        assert before.start < before.end <= after.start


def test_several_tasks_are_answered_in_one_pass_and_progress_is_told(mini: SpeechPrompt) -> None:
    sound = np.concatenate([in_a_row(4), np.zeros(130 * RATE, np.float32), in_a_row(4)])
    found, seen, looked = mini.segments((RATE, sound), ["keyword_spotting", "spoken_digits"]), [], []
    assert found.total == len(sound) / RATE
    for batch in found.batches():
        seen += batch
        looked.append(found.seconds)
    assert (
        len(looked) >= 3 and looked == sorted(looked) and looked[-1] == found.total
    )  # silence is told of, too
    assert len(seen) == 8 and list(seen[0].answers) == ["keyword_spotting", "spoken_digits"]
    later = list(Segments(mini, (RATE, sound), "keyword_spotting", since=100))
    assert [s.start for s in later] == [s.start for s in seen[4:]]  # digits are answered, as unknown


def unanswered(self: Segments, stretches: list[Stretch]) -> list[Segment]:
    return [Segment(one.start / RATE, one.end / RATE, {}) for one in stretches]


def test_a_run_stopped_after_any_batch_goes_on_without_a_gap_or_a_repetition(
    mini: SpeechPrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a stretch is over but its pause not yet, which is so at some of the many ends of batches."""
    monkeypatch.setattr(segments, "LOOKED_SECONDS", 0.0)
    monkeypatch.setattr(sound_stream, "BLOCK_SECONDS", 0.15)
    monkeypatch.setattr(Segments, "_answer", unanswered)
    sound = in_a_row(3)

    def run(since: float = 0.0) -> Iterator[tuple[float, list[tuple[float, float]]]]:
        found = Segments(mini, (RATE, sound), "keyword_spotting", since=since)
        for batch in found.batches():
            yield found.answered, [(one.start, one.end) for one in batch]

    whole = list(run())
    assert len(whole) > 10 and whole[-1][0] == len(sound) / RATE
    for stopped in range(len(whole)):
        rest = [one for _, batch in run(since=whole[stopped][0]) for one in batch]
        assert [one for _, batch in whole[: stopped + 1] for one in batch] + rest == [
            one for _, batch in whole for one in batch
        ]


def test_segments_are_answered_as_they_are_taken(mini: SpeechPrompt) -> None:
    asked: list[int] = []
    listen = mini.backbone.listen
    mini.backbone.listen = lambda sounds: (asked.append(len(sounds)), listen(sounds))[1]  # type: ignore[method-assign]
    try:
        found = mini.segments((RATE, in_a_row(100)), "keyword_spotting")
        assert not asked
        next(found)
        assert len(asked) == 1 and max(asked) <= 32
        found.close()
    finally:
        mini.backbone.listen = listen  # type: ignore[method-assign]


def test_unknown_tasks_and_unreadable_files_are_refused_at_once(mini: SpeechPrompt, tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match="There is no task 'nonsense'"):
        mini.segments((RATE, clip("yes")), "nonsense")
    with pytest.raises(SpeechPromptError, match="does not exist"):
        mini.segments(tmp_path / "no.wav")
    with pytest.raises(SpeechPromptError, match="Choose at least one task"):
        mini.segments((RATE, clip("yes")), [])


# The command


def test_the_command_writes_whole_files_and_goes_on_where_it_was_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "a.wav", tmp_path / "a.csv"
    soundfile.write(path, in_a_row(80), RATE)
    command = ["segments", str(path), "--task", "keyword_spotting", "--device", "cpu", "--out", str(out)]
    assert main(command) == 0
    expected, answered = out.read_text(), []
    assert len(expected.splitlines()) > 60 and "segments in" in capsys.readouterr().out
    out.unlink()
    answer = Segments._answer

    def stop_at_the_second(self: Segments, stretches: list) -> list:
        answered.append(len(stretches))
        if len(answered) == 2:
            raise KeyboardInterrupt
        return answer(self, stretches)

    monkeypatch.setattr(Segments, "_answer", stop_at_the_second)
    assert main(command) == 130 and "goes on from here" in capsys.readouterr().err
    assert not out.exists() and (tmp_path / "a.csv.part").exists()
    assert main([*command[:3], "spoken_digits", *command[4:]]) == 2  # that is another run
    assert "holds a stopped run with other tasks" in capsys.readouterr().err
    assert main(command) == 0
    assert out.read_text() == expected and sum(answered[2:]) < sum(answered[:1]) + 80
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.csv", "a.wav"]


def test_a_run_that_failed_at_once_does_not_hold_up_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--task", "keyword_spotting", "--device", "cpu", "--out", str(tmp_path / "o.csv")]
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "a.wav", clip("yes"), RATE)
    assert main(["segments", str(tmp_path / "empty.wav"), *command]) == 2
    assert "is empty" in capsys.readouterr().err and not (tmp_path / "o.csv.part").exists()
    assert main(["segments", str(tmp_path / "a.wav"), *command]) == 0


def test_the_command_says_where_a_cut_file_ends_and_refuses_what_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, in_a_row(8), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    command = ["segments", str(path), "--task", "keyword_spotting", "--device", "cpu"]
    assert main(command) == 2
    told = capsys.readouterr()
    assert "yes" in told.out and "cut off" in told.err and told.err.count("\n") == 1
    for name, sentence in (("a.doc", "must end in"), ("no/a.csv", "folder of a.csv does not exist")):
        assert main([*command, "--out", str(tmp_path / name)]) == 2
        assert sentence in capsys.readouterr().err
    assert main([*command, "--task", "spoken_digits", "--out", str(tmp_path / "a.rttm")]) == 2
    assert "one label for each stretch" in capsys.readouterr().err
