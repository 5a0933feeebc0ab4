"""The Compare tab: cards, table and files of what was asked."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile

from speechprompt.pipeline import SpeechPrompt
from speechprompt.ui.compare import cards, grid
from speechprompt.ui.compare.events import Comparison
from speechprompt.ui.compare.table import COLUMNS, table, to_csv, to_json
from speechprompt.ui.comparison import NO_SILENCE, Row, compare
from speechprompt.ui.complaints import UNEXPECTED
from speechprompt.ui.desk import Desk
from tests import tiny
from tests.ui.page_parts import HOSTILE, Elements, shown
from tests.ui.several_backbones import METRICS, several_backbones

STRICT = {
    "split": "valid", "n": 60, "temperature": 1.0, "threshold": 1.0,  # every answer scores less
    "error_before": 0.1, "error_after": 0.1, "right_flagged": 0.05, "wrong_flagged": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return several_backbones(tmp_path_factory.mktemp("root"))


@pytest.fixture
def tab(desk: Desk) -> Comparison:
    return Comparison(desk)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clips") / "tone.wav"
    soundfile.write(path, tiny.make_waveform(), 16_000)
    return str(path)


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clips") / "silence.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    return str(path)


def test_cards_say_what_each_prompt_answers_and_is(tab: Comparison, clip: str) -> None:
    panel, as_csv, as_json = tab.answer(clip, None, [], ["tiny", "twin"])
    page, text = Elements(panel.value), shown(panel).replace("\u00a0", " ")
    titles = [tag["aria-label"] for name, tag in page.tags if name == "article"]
    rows, _ = tab.rows(clip, [], ["tiny", "twin"])
    right = [row.prompt.metrics.get("accuracy", 0.0) for row in grid.ordered(rows)]
    places = [
        (grid.FITS.index(row.answer.fits), -row.answer.score * share)
        for row, share in zip(grid.ordered(rows), right, strict=True)
        if row.answer
    ]
    assert places == sorted(places) and len(places) == 5
    assert titles == [f"{row.prompt.title}, {row.backbone.name}" for row in grid.ordered(rows)]
    assert [tag for tag, _ in page.tags].count("tr") == 6  # the table, with its head
    for row in rows:
        assert row.answer and row.answer.label in text
        assert all(f">{unit}</span>" in panel.value for unit in row.answer.generated)
    assert "Right on 90 % of 300 test clips" in text and "Nobody has measured" in text
    assert "3 tasks in one batch" in text
    assert panel.props["summary"].startswith(f"5 prompts asked. {grid.ordered(rows)[0].prompt.title}: ")
    for button, kind in ((as_csv, "csv"), (as_json, "json")):
        assert button["visible"] and Path(button["value"]).name == f"comparison.{kind}"


def test_what_is_more_likely_wrong_than_right_is_shown_as_a_guess(tab: Comparison, clip: str) -> None:
    row, *_ = tab.rows(clip, [], ["tiny"])[0]

    def asked(score: float, accuracy: float) -> Row:
        answer = replace(row.answer, score=score, fits="yes", reason="")  # type: ignore[type-var]
        metrics = METRICS | {"accuracy": accuracy, "interval95": [0.3, 0.99]}
        return replace(row, answer=answer, prompt=replace(row.prompt, metrics=metrics))

    seldom, often = asked(0.9, 0.4), asked(0.6, 0.9)
    assert grid.ordered([seldom, often]) == [often, seldom]
    first, second = grid.grid([seldom, often]).split("<tr")[2:]
    assert "a guess" not in first and "sp-unfit" not in first and "60" in first
    assert "a guess" in second and "sp-unfit" in second and "90" in second


def test_a_task_that_another_one_replaces_is_listed_behind_and_not_asked_at_first(
    tab: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speechprompt.ui.compare.events.SUPERSEDED", {"fruit": "seas", "steps": "nowhere"})
    assert tab.superseded(["tiny"]) == ["fruit"]  # seas is another backbone's, and nowhere is nobody's
    assert tab.task_checks(["tiny"]).split("Experimental")[-1].count('value="fruit"') == 1
    assert tab.superseded(["twin"]) == []


def test_at_first_each_task_is_asked_where_it_is_right_most_often(tab: Comparison) -> None:
    best = {task: [b.name for b, _ in pairs] for task, pairs in tab.offered(tab.first).items()}
    assert best == {task: has[:1] for task, has in tab.choices.offered().items() if has[0] in tab.complete}
    both = tab.offered([*tab.first, "twin"])  # beside another one, and once where that is it
    assert {
        task: [b.name for b, _ in pairs]
        for task, pairs in both.items()
        if "twin" in tab.choices.offered()[task]
    } == {
        task: list(dict.fromkeys([best[task][0], "twin"]))
        for task in best
        if "twin" in tab.choices.offered()[task]
    }


def test_two_recordings_stand_side_by_side_and_say_where_they_differ(
    tab: Comparison, clip: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.wav"
    soundfile.write(other, tiny.make_waveform(seed=5), 16_000)
    panel, *_ = tab.answer(clip, str(other), [], ["tiny"])
    ones, twos = (tab.rows(path, [], ["tiny"])[0] for path in (clip, str(other)))
    same = [
        one.answer.label == two.answer.label
        for one, two in zip(ones, twos, strict=True)
        if one.answer and two.answer
    ]
    assert panel.value.count("<td>same</td>") == sum(same)
    assert panel.value.count("<strong>differs</strong>") == len(same) - sum(same)
    assert ones[0].answer and twos[0].answer
    shared = set(ones[0].answer.units.ids.tolist()) & set(twos[0].answer.units.ids.tolist())
    assert f"the two recordings share {len(shared)} different units" in shown(panel)


def test_many_files_become_rows_and_a_bad_one_takes_nothing_from_the_others(
    tab: Comparison, clip: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.wav").write_text("no sound here")
    steps = list(tab.label_files([clip, str(tmp_path / "notes.wav"), clip], [], ["tiny"]))
    done = [re.search(r'aria-valuenow="(\d+)"', step[0].value) for step in steps]
    assert [found and found[1] for found in done] == ["33", "67", "100", "100"]
    text = shown(steps[-1][0])
    assert "3 of 3 recordings answered" in text and text.count("tone.wav") == 2
    assert "notes.wav" in text and "cannot be read as sound" in text
    read = list(csv.DictReader(io.StringIO(Path(steps[-1][1]["value"]).read_text(encoding="utf-8-sig"))))
    assert [row["file"] for row in read] == ["tone.wav"] * 6 and read[0]["task"]
    (last,) = tab.label_files([clip] * 33, [], ["tiny"])
    assert "At most 32 files" in shown(last[0])


def test_what_is_left_out_is_not_asked(tab: Comparison, clip: str) -> None:
    rows, seconds = tab.rows(clip, ["colours", "steps", "nobody's"], ["tiny"])
    assert [row.prompt.task for row in rows] == ["fruit"] and seconds == 1.0


@pytest.mark.parametrize(
    ("left", "backbones", "part"),
    [
        (["colours", "fruit", "steps"], ["tiny"], "No task is chosen"),
        ([], [], "No backbone is chosen"),
        ([], ["huge"], "choose among: tiny, twin"),
        ([], ["deaf"], "choose among: tiny, twin"),
        ([[]], [{}], "choose among"),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence(
    tab: Comparison, clip: str, left: list[Any], backbones: list[Any], part: str
) -> None:
    panel, as_csv, as_json = tab.answer(clip, None, left, backbones)
    assert part in shown(panel) and Elements(panel.value).having("role", "alert")
    for button in (as_csv, as_json):
        assert button["value"] is None and not button["visible"]


def test_a_bad_recording_is_one_sentence(tab: Comparison, tmp_path: Path, silence: str) -> None:
    (tmp_path / "notes.wav").write_text("no sound here")
    assert "cannot be read as sound" in shown(tab.answer(str(tmp_path / "notes.wav"), None, [], ["tiny"])[0])
    assert "no longer on the server" in shown(tab.answer(str(tmp_path / "gone.wav"), None, [], ["tiny"])[0])
    assert "There is no recording" in shown(tab.answer(None, None, [], ["tiny"])[0])
    assert "One recording, every task" in shown(tab.change(None, None, [], ["tiny"])[0])
    assert "Nothing was recorded" in shown(tab.answer(silence, None, ["fruit"], ["tiny"])[0])
    text = shown(tab.answer(silence, None, [], ["tiny"])[0])
    assert text.count(NO_SILENCE) == 4 and "Unit generated" in text


def test_a_fault_of_ours_is_not_shown(tab: Comparison, clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/srv/secret went wrong")

    monkeypatch.setattr(tab.desk, "compare", broken)
    assert shown(tab.answer(clip, None, [], ["tiny"])[0]) == "No answer" + UNEXPECTED


def test_tasks_are_ticked_by_group_with_their_accuracy(tab: Comparison) -> None:
    tasks, _ = tab.choose_backbones(["tiny", "twin"])
    page = Elements(tasks.props["options"])
    boxes = [attrs["value"] for tag, attrs in page.tags if tag == "input" and "value" in attrs]
    assert boxes == ["fruit", "seas", "steps", "colours"]
    assert [tag["aria-label"] for tag in page.having("role", "group")] == ["Other", "Said", "Words"]
    assert sum("data-head" in attrs for _, attrs in page.tags) == 4
    assert "tiny 90\u00a0% of 300, twin not measured" in page.text
    assert tab.choose_backbones(["huge"]) == (gr.skip(), gr.skip())


def test_the_recording_of_the_first_tab_is_taken_over_where_there_is_none(tab: Comparison, clip: str) -> None:
    assert tab.take_over(clip, None) == clip
    for theirs, mine in ((clip, clip), (None, None), (None, clip), (f"{clip}.gone", None)):
        assert tab.take_over(theirs, mine) == gr.skip()


def test_an_example_is_put_into_the_player(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"language": "en", "attribution": "noise"}
    clips = [
        {"file": "a.wav", "spoken": "a", "labels": {"fruit": "pear"}, **facts},
        {"file": "b.wav", "spoken": "b", "labels": {"nobody": "x"}, **facts},
        {"units": [1], "spoken": "c", "labels": {"fruit": "pear"}, **facts},
    ]
    monkeypatch.setattr(desk, "clips", clips)
    monkeypatch.setattr(desk, "examples_folder", tmp_path)
    tab = Comparison(desk)
    assert [b["data-index"] for tag, b in Elements(tab.examples(["tiny"])).tags if tag == "button"] == ["0"]
    assert tab.choose_example(SimpleNamespace(_data={"index": 0})) == str(tmp_path / "a.wav")
    for data in ({"index": 2}, {"index": 9}, {"index": -1}, {"index": True}, {"index": "0"}, {}, None):
        assert tab.choose_example(SimpleNamespace(_data=data)) == gr.skip()


def test_the_table_holds_what_the_cards_show(tab: Comparison, clip: str) -> None:
    rows, _ = tab.rows(clip, [], ["tiny", "twin"])
    records = json.loads(to_json(table(rows)))
    assert all(tuple(record) == COLUMNS for record in records)
    for row, record in zip(rows, records, strict=True):
        answer = row.answer
        assert answer is not None
        assert (record["task"], record["backbone"], record["label"]) == (
            row.prompt.task,
            row.backbone.name,
            answer.label,
        )
        assert record["score"] == pytest.approx(answer.score, abs=1e-6)
        assert record["generated_units"] == answer.generated
        assert record["parameters"] == row.prompt.n_parameters and record["error"] is None
        assert record["encode_ms"] > 0 and record["lm_ms"] > 0
    colours = next(r for r in records if (r["task"], r["backbone"]) == ("colours", "tiny"))
    assert (colours["accuracy"], colours["n"], colours["split"]) == (0.9, 300, "test")
    read = list(csv.DictReader(io.StringIO(to_csv(records).decode("utf-8-sig"))))
    assert [r["label"] for r in read] == [r["label"] for r in records]
    assert [float(r["score"]) for r in read] == [r["score"] for r in records]
    assert [list(map(int, r["generated_units"].split())) for r in read] == [
        r["generated_units"] for r in records
    ]


def test_an_answer_that_may_be_none_of_the_labels_says_so(desk: Desk) -> None:
    sure = desk.pipeline("tiny")
    strict = SpeechPrompt(sure.backbone, [replace(sure.prompt("colours"), calibration=STRICT)])
    rows = compare(tiny.make_waveform(), [(sure, "colours"), (strict, "colours")])
    html = [cards.card(row) for row in rows]
    assert ["This may be none of the labels" in Elements(one).text for one in html] == [False, True]
    records = table(rows)
    assert [record["fits"] for record in json.loads(to_json(records))] == ["yes", "unsure"]
    read = csv.DictReader(io.StringIO(to_csv(records).decode("utf-8-sig")))
    assert [row["fits"] for row in read] == ["yes", "unsure"]


def test_a_row_without_an_answer_is_in_the_table_too(tab: Comparison, silence: str) -> None:
    rows, _ = tab.rows(silence, [], ["tiny"])
    records = {record["task"]: record for record in table(rows)}
    assert records["colours"]["label"] is None and "silence" in records["colours"]["error"]
    assert records["fruit"]["label"] and records["fruit"]["error"] is None
    assert records["colours"]["fits"] is None and records["fruit"]["fits"] in ("yes", "unsure", "no")
    read = {r["task"]: r for r in csv.DictReader(io.StringIO(to_csv(records.values()).decode("utf-8-sig")))}
    assert read["colours"]["score"] == "" and read["fruit"]["error"] == ""


@pytest.mark.parametrize("start", [*"=+-@＝＋－＠\t\r\n", " =", "\u00a0@"])
def test_no_cell_is_calculated_by_a_spreadsheet(desk: Desk, start: str) -> None:
    title = f'{start}HYPERLINK("https://example.org";"a,b")'
    record = dict.fromkeys(COLUMNS) | {"task": "t", "title": title, "score": 0.5, "generated_units": [3, 4]}
    (row,) = csv.DictReader(io.StringIO(to_csv([record]).decode("utf-8-sig"), newline=""))
    assert row["title"] == f"'{title}" and (row["score"], row["generated_units"]) == ("0.5", "3 4")
    assert json.loads(to_json([record]))[0]["title"] == title


def test_nothing_from_outside_becomes_markup(desk: Desk) -> None:
    here = desk.backbones["tiny"]
    prompt = tiny.make_prompt("t", (HOSTILE, "b"), title=HOSTILE, group=HOSTILE, sha256=here.unit_lm_sha256)
    (row,) = compare(tiny.make_waveform(), [(SpeechPrompt(here, [prompt]), "t")])
    assert row.answer
    answered = replace(row, answer=replace(row.answer, label=HOSTILE))
    for html in (
        cards.cards([answered], [HOSTILE]),
        cards.cards([Row(here, prompt, None, HOSTILE)], []),
        cards.check_group(HOSTILE, [cards.check(HOSTILE, HOSTILE, HOSTILE)]),
    ):
        page = Elements(html)
        assert "script" not in {tag for tag, _ in page.tags} and HOSTILE in page.text
