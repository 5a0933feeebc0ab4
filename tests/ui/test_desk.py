"""The desk behind the page: answers, examples, bad recordings, and what is public."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile

from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.events import Try
from speechprompt.ui.complaints import UNEXPECTED
from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import Endpoints
from speechprompt.ui.page import build
from speechprompt.ui.recorder import recorder
from tests import tiny
from tests.ui.page_parts import Elements, shown


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An examples folder: one clip for each task, one for a task that nobody has, and some units."""
    folder = tmp_path_factory.mktemp("examples")
    listed = []
    for i, (name, task) in enumerate((("a", "colours"), ("b", "fruit"), ("c", "nobody"))):
        noise = np.random.default_rng(i).normal(0, 0.1, 12_000)
        soundfile.write(folder / f"{name}.wav", noise, 16_000)
        facts = {"spoken": name, "language": "en", "labels": {task: "red"}, "attribution": "noise"}
        listed.append({"file": f"{name}.wav", **facts})
    facts = {"spoken": "d", "language": "en", "labels": {"colours": "red"}, "attribution": "numbers"}
    listed.append({"units": [1, 2, 3], "backbone": "deaf", **facts})
    (folder / "examples.json").write_text(json.dumps(listed))
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Desk:
    """A tiny backbone that listens, and beside it one without an encoder."""
    root = tmp_path_factory.mktemp("root")
    deaf = tiny.make_backbone(root, "deaf", encoder=False)
    folder = tiny.make_backbone(root)
    desk = Desk(folder, clips, "cpu")
    desk.backbones["deaf"] = Desk(deaf, None, "cpu").backbones["deaf"]
    return desk


def test_labels_are_shown_as_people_read_them() -> None:
    assert figures.label_tag("b", "dog_bark") == '<b dir="auto">dog bark</b>'
    assert figures.label_tag("b", "<i>") == '<b dir="auto">&lt;i&gt;</b>'


def test_answer_shows_label_scores_generated_units_and_timing(desk: Desk, clips: Path) -> None:
    path = str(clips / "a.wav")
    panel = Try(desk).answer(path, "colours", "tiny")
    expected = Endpoints(desk).classify(path, "colours", "tiny")
    text = shown(panel)
    assert expected["label"] in text and str(expected["generated"][0]) in text
    for part in ("How it got there", "Encoder", "Language model", "CPU", *expected["scores"]):
        assert part in text
    runs = Elements(panel.value).having("role", "option")
    assert [int(str(run["aria-label"]).split()[1]) for run in runs] == expected["units"]["ids"]
    assert panel.props["summary"].startswith(f"Colours: {expected['label']}, ")


def test_endpoint_answer_is_json(desk: Desk, clips: Path) -> None:
    answer = Endpoints(desk).classify(str(clips / "a.wav"), "fruit", "tiny")
    assert json.loads(json.dumps(answer)) == answer
    assert sum(answer["scores"].values()) == pytest.approx(1)
    assert max(answer["scores"], key=answer["scores"].get) == answer["label"]


def make_file(folder: Path, kind: str) -> str:
    path = folder / "clip.wav"
    if kind == "text":
        path.write_text("not a sound")
    elif kind == "empty":
        path.touch()
    elif kind != "gone":
        seconds, level = {"short": (0.05, 0.1), "long": (61, 0.1), "silent": (1, 0)}[kind]
        soundfile.write(path, np.full(int(16_000 * seconds), float(level)), 16_000)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("text", "cannot be read as sound"),
        ("empty", "empty"),
        ("short", "at least 0.1 s"),
        ("silent", "Nothing was recorded"),
        ("gone", "no longer on the server"),
    ],
)
def test_bad_recordings_get_one_sentence_on_the_page_and_from_the_endpoint(
    desk: Desk, tmp_path: Path, kind: str, part: str
) -> None:
    path = make_file(tmp_path, kind)
    panel = Try(desk).answer(path, "colours", "tiny")
    assert Elements(panel.value).having("role", "alert") and part in shown(panel)
    assert str(tmp_path) not in panel.value
    with pytest.raises(gr.Error, match=part):
        Endpoints(desk).classify(path, "colours", "tiny")


@pytest.mark.parametrize(
    ("task", "backbone", "part"),
    [
        ("smells", "tiny", "its tasks are: colours, fruit"),
        ("colours", "huge", "choose one of: tiny"),
        ("colours", "deaf", "hubert-base"),
    ],
)
def test_unknown_names_list_the_known_ones(
    desk: Desk, clips: Path, task: str, backbone: str, part: str
) -> None:
    assert part in shown(Try(desk).answer(str(clips / "a.wav"), task, backbone))
    with pytest.raises(gr.Error, match=part):
        Endpoints(desk).classify(str(clips / "a.wav"), task, backbone)


def test_without_a_recording_the_button_asks_for_one(desk: Desk) -> None:
    assert "There is no recording" in shown(Try(desk).answer(None, "colours", "tiny"))


def test_a_fault_of_ours_is_logged_and_not_shown(
    desk: Desk, clips: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/srv/secret went wrong")

    monkeypatch.setattr(desk.pipeline("tiny").backbone.encoder, "batch", broken)
    assert shown(Try(desk).answer(str(clips / "a.wav"), "colours", "tiny")) == "No answer" + UNEXPECTED
    with pytest.raises(gr.Error) as error:
        Endpoints(desk).classify(str(clips / "a.wav"), "colours", "tiny")
    assert error.value.message == UNEXPECTED
    logged = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert logged == ["/srv/secret went wrong"] * 2


def test_another_task_answers_the_recording_or_invites_one(desk: Desk, clips: Path) -> None:
    assert "Fruit" in shown(Try(desk).change(str(clips / "a.wav"), "fruit", "tiny"))
    invitation = shown(Try(desk).change(None, "fruit", "tiny"))
    assert "Record your voice" in invitation and "The sound becomes units" in invitation
    what_to_say = Choices(desk).say("fruit", "tiny")
    assert all(fruit in what_to_say for fruit in ("apple", "plum")) and what_to_say.count("<button") == 1


def test_a_task_finds_a_backbone_that_has_it_and_its_examples(desk: Desk) -> None:
    select, examples, recorder, field = Try(desk).choose_backbone("colours", "deaf")
    assert select.value is None and "tiny" in select.props["options"]  # what stays is not sent
    assert not recorder["visible"] and field["visible"]
    assert examples.value.count("<button") == 1
    assert "hubert-base" in shown(Try(desk).change(None, "colours", "deaf"))
    select, examples, recorder, field = Try(desk).choose_task("fruit", "tiny")
    assert select.value is None and examples.value.count("<button") == 1
    assert recorder["visible"] and not field["visible"]
    assert Try(desk).choose_task("fruit", "unknown") == (gr.skip(),) * 4
    assert Choices(desk).offered()["colours"][0] == "tiny"  # who can encode a recording comes first
    assert (
        Try(desk).choose_task("colours", "deaf")[0].value == "tiny"
    )  # another task is asked where it is best


@pytest.mark.parametrize(
    ("strangers", "first"),
    [((0.9, 0.8), "a"), ((0.9, 0.9), "b"), (None, "b")],  # of those right as often, the better tested one
)
def test_a_task_is_asked_where_strangers_then_test_are_right_most_often(
    strangers: tuple[float, float] | None, first: str
) -> None:
    prompts = {
        name: SimpleNamespace(
            metrics={"split": "test", "n": 50, "accuracy": accuracy},
            strangers=None if strangers is None else {"n": 10, "right": strangers[i]},
        )
        for i, (name, accuracy) in enumerate([("a", 0.7), ("b", 0.8)])
    }
    backbones = {name: SimpleNamespace(complete=True) for name in prompts}
    two: Any = SimpleNamespace(backbones=backbones, prompt=lambda task, name, session: prompts[name])
    assert Choices(two).best_first("t", ["a", "b"], None)[0] == first


def test_where_nothing_listens_units_are_answered(desk: Desk) -> None:
    assert "Or give it units" in shown(Try(desk).answer(None, "colours", "deaf", " "))
    panel = Try(desk).answer(None, "colours", "deaf", "[1, 1, 2] 3")
    text = shown(panel)
    assert "3 units without repeats" in text and "How it got there" in text
    assert "Encoder" not in text and "svg" not in {tag for tag, _ in Elements(panel.value).tags}
    assert "'x' is no unit" in shown(Try(desk).answer(None, "colours", "deaf", "1 x 2"))
    assert "Unit 99 does not exist" in shown(Try(desk).answer(None, "colours", "deaf", "1 99"))


def test_an_example_is_put_where_it_belongs(desk: Desk, clips: Path) -> None:
    path, field = Try(desk).choose_example(SimpleNamespace(_data={"index": 1}))
    assert (Path(path), field) == (clips / "b.wav", gr.skip())
    assert Try(desk).choose_example(SimpleNamespace(_data={"index": 3})) == (gr.skip(), "1 2 3")


def test_a_recorder_takes_files_alone() -> None:
    with gr.Blocks():
        one = recorder("Recording", "r")
    assert one.preprocess({"path": "a.wav"}) == "a.wav" and one.preprocess(None) is None  # type: ignore[arg-type]
    for wrong in ("/etc/hostname", 7, {}, {"path": 7}, ["a.wav"]):
        with pytest.raises(ValueError, match="takes a file"):
            one.preprocess(wrong)  # type: ignore[arg-type]
    assert one.postprocess("b.wav")["meta"] == {"_type": "gradio.FileData"}  # type: ignore[index]


@pytest.mark.parametrize(
    "data", [{"index": 99}, {"index": -1}, {"index": "0"}, {"index": True}, {}, None, "x"]
)
def test_an_example_that_is_not_there_changes_nothing(desk: Desk, data: Any) -> None:
    assert Try(desk).choose_example(SimpleNamespace(_data=data)) == (gr.skip(), gr.skip())


def test_tasks_are_grouped_with_their_measured_accuracy(tmp_path: Path) -> None:
    metrics = {"split": "test", "n": 429, "accuracy": 0.8928, "interval95": [0.86, 0.92]}
    prompts = (
        tiny.make_prompt("b", group="Words", metrics=metrics, title="Second"),
        tiny.make_prompt("a", group="Feelings", title="First"),
    )
    desk = Desk(tiny.make_backbone(tmp_path, prompts=prompts), None, "cpu")
    page = Elements(Choices(desk).task_options("tiny"))
    assert [attrs["label"] for tag, attrs in page.tags if tag == "optgroup"] == ["Feelings", "Words"]
    assert page.text == "FirstSecond"
    assert str(page.having("value", "b")[0]["data-hint"]).startswith("Right 89 times in 100.")
    assert str(page.having("value", "a")[0]["data-hint"]).startswith("Not measured.")


def test_a_task_that_another_supersedes_stands_among_the_experimental_ones(tmp_path: Path) -> None:
    def headings(*tasks: str) -> dict[str, str]:
        prompts = tuple(tiny.make_prompt(task, group="Speakers", title=task) for task in tasks)
        desk = Desk(tiny.make_backbone(tmp_path / "".join(tasks), prompts=prompts), None, "cpu")
        found, group = {}, ""
        for tag, attrs in Elements(Choices(desk).task_options("tiny")).tags:
            group = str(attrs["label"]) if tag == "optgroup" else group
            if tag == "option":
                found[str(attrs["value"])] = group
        return found

    assert headings("gender") == {"gender": "Speakers"}
    assert headings("gender", "voice") == {"voice": "Speakers", "gender": "Experimental"}


def test_a_recording_above_a_minute_gets_a_note_on_the_page_and_one_sentence_from_the_endpoint(
    desk: Desk, tmp_path: Path
) -> None:
    path = make_file(tmp_path, "long")
    panel = Try(desk).answer(path, "colours", "tiny")
    assert "longer than a minute" in shown(panel) and not Elements(panel.value).having("role", "alert")
    with pytest.raises(gr.Error, match="limit is 60 s"):
        Endpoints(desk).classify(path, "colours", "tiny")


def test_only_the_endpoints_are_public(desk: Desk) -> None:
    demo = build(desk)
    public = {f.api_name for f in demo.fns.values() if f.api_visibility == "public"}
    assert public == {
        "classify",
        "compare",
        "compare_files",
        "units",
        "classify_units",
        "segments",
        "tasks",
    }
    queued = [f for f in demo.fns.values() if f.queue is not False and (f.inputs or f.outputs)]
    queues = {f.concurrency_id for f in queued}  # the Hub's is there unless the Hub is turned off
    assert queues - {"hub"} == {"device", "live", "teaching", "long"}


def test_bundled_examples_are_there_and_credited() -> None:
    folder = Path(__file__).parents[2] / "examples"
    listed = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    assert {clip["file"] for clip in listed if "file" in clip} == {
        path.name for path in folder.glob("*.flac")
    }
    credits = (folder / "README.md").read_text(encoding="utf-8")
    for clip in listed:
        assert clip["attribution"] in credits
        if "file" not in clip:
            continue
        assert soundfile.info(folder / clip["file"]).samplerate == 16_000
        assert clip["file"] in credits and clip["attribution"] in credits
