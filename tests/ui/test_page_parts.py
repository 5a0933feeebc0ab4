"""The page without a browser: pictures, handlers and the endpoint's answers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile

from speechprompt.decoding.answer import Answer, Likely, Step
from speechprompt.decoding.contributions import contributions
from speechprompt.ui import colours
from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify import answer as answers
from speechprompt.ui.classify import timeline
from speechprompt.ui.classify.about import about
from speechprompt.ui.classify.events import Try
from speechprompt.ui.classify.way import way
from speechprompt.ui.complaints import UNEXPECTED
from speechprompt.ui.controls import panel
from speechprompt.ui.desk import Desk
from speechprompt.ui.endpoints import Endpoints
from speechprompt.ui.page import build
from speechprompt.ui.recorder import recorder
from speechprompt.units import Units
from tests import tiny

HOSTILE = "<script>alert('a')</script>\"&`${x}"


class Elements(HTMLParser):
    """Start tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, name: str, value: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if attrs.get(name) == value]


# Figures


def oklab(colour: str, vision: np.ndarray) -> np.ndarray:
    """ "#rrggbb" as somebody with that vision sees it -> OKLab (Ottosson 2020)."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    cones = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]])
    lab = np.array([[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return lab @ np.cbrt(cones @ np.clip(vision @ linear, 0, 1))


@pytest.mark.parametrize(
    "vision",
    [  # Machado, Oliveira and Fernandes 2009, severity 1
        pytest.param(np.eye(3), id="normal"),
        pytest.param([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]], id="protan"),
        pytest.param([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]], id="deutan"),
        pytest.param([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]], id="tritan"),
    ],
)
def test_colours_of_units_differ_for_every_kind_of_vision(vision: Any) -> None:
    seen = [oklab(colour, np.array(vision)) for colour in colours.PALETTE]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 0.07


def test_text_on_every_colour_is_legible() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    for colour in colours.PALETTE:
        assert colours.contrast(colours.text_colour(colour), colour) >= 4.5


def test_units_that_are_shown_together_are_told_apart() -> None:
    own = {unit: colours.unit_colour(unit) for unit in range(500)}
    assert colours.apart([3, 4], [5, 6, 5], [7, 8]) == {unit: own[unit] for unit in range(3, 9)}
    for seed in range(20):
        draw = np.random.default_rng(seed).integers
        named = list(dict.fromkeys(draw(0, 500, 6).tolist()))
        ribbon = [unit for unit in draw(0, 500, 200).tolist() if unit not in named] + named
        alone = list(dict.fromkeys(draw(0, 500, 12).tolist()))
        found = colours.apart([named[0], named[0] + 16, *named[1:]], ribbon, alone)
        told = {found[unit] for unit in (*named, named[0] + 16)}
        assert len(told) == len(set(named) | {named[0] + 16})
        inner = [unit for unit in ribbon if unit not in (*named, named[0] + 16)]
        assert not told & {found[unit] for unit in inner}
        pairs = [(a, b) for a, b in pairwise(inner) if a != b]
        assert sum(found[a] == found[b] for a, b in pairs) <= len(pairs) / 50
        assert len(set(colours.apart([], [], alone).values())) == len(alone)


def test_timeline_places_every_unit_on_the_time_axis() -> None:
    units = Units.from_frames([7] * 10 + [3] * 5 + [499] * 35)
    page = Elements(timeline.timeline(units, np.zeros(16_000, np.float32)))
    runs = page.having("role", "option")
    assert [run["aria-label"] for run in runs] == [
        "unit 7 · starts at 0.00 s · lasts 0.20 s",
        "unit 3 · starts at 0.20 s · lasts 0.10 s",
        "unit 499 · starts at 0.30 s · lasts 0.70 s",
    ]
    places = [re.findall(r"(?:left|width):([\d.]+)%", str(run["style"])) for run in runs]
    assert [[float(x) for x in place] for place in places] == [[0, 20], [20, 10], [30, 70]]
    assert f"background:{colours.unit_colour(499)}" in str(runs[2]["style"])
    assert "7 3 499" in page.text


def test_timeline_shows_which_pauses_were_not_listened_to() -> None:
    units = replace(Units.from_frames([7] * 10 + [3] * 15), starts=np.array([50, 60]))
    page = Elements(timeline.timeline(units, np.zeros(32_100, np.float32)))
    veils = [attrs for tag, attrs in page.tags if attrs.get("class") == "sp-pause"]
    places = [[float(x) for x in re.findall(r"(?:left|width):([\d.]+)%", str(v["style"]))] for v in veils]
    seconds = 32_100 / 16_000
    assert places == [
        pytest.approx([0, 100 / seconds], abs=0.01),
        pytest.approx([150 / seconds, 100 - 150 / seconds], abs=0.01),
    ]
    assert "1.00 to 1.50 s of 2.01 s" in page.text and "unit 7 · starts at 1.00 s" in str(page.tags)
    # What is left of the last frame is no pause.
    whole = Elements(timeline.timeline(Units.from_frames([7] * 50), np.zeros(16_100, np.float32)))
    assert "sp-pause" not in str(whole.tags) and "1.01 s · 50 frames" in whole.text


def test_timeline_of_the_longest_recording_ends_where_it_ends() -> None:
    frames = np.arange(3000) % 500
    page = Elements(timeline.timeline(Units.from_frames(frames), np.ones(960_000, np.float32)))
    left, width = re.findall(r"(?:left|width):([\d.]+)%", str(page.having("role", "option")[-1]["style"]))
    assert float(left) + float(width) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("length", [0, 1, 399, 400, 401, 16_000])
def test_waveform_stays_inside_its_box(length: int) -> None:
    noise = np.random.default_rng(length).normal(0, 3, length).astype(np.float32)
    (path,) = (attrs["d"] for tag, attrs in Elements(timeline.waveform_svg(noise)).tags if tag == "path")
    heights = [float(y) for _, y in re.findall(r"([\d.]+) (-?[\d.]+)", str(path))]
    assert len(heights) >= 2 and max(map(abs, heights)) <= 1


def test_nothing_from_outside_becomes_markup() -> None:
    prompt = tiny.make_prompt("t", (HOSTILE, "b"), title=HOSTILE, group=HOSTILE)
    step = Step(HOSTILE, HOSTILE, 0.7, {HOSTILE: 0.7, "b": 0.3}, 3, 0.5)
    answer = Answer(
        "t", HOSTILE, HOSTILE, 0.7, [step], {HOSTILE: HOSTILE}, Units.from_frames([1, 2]),
        np.zeros((1, 20), np.float32), "learned", {"encode_s": 0.01, "lm_s": 0.2},
    )  # fmt: skip
    slots = tiny.make_prompt("s", (HOSTILE, "b"), kind="slots", slots={HOSTILE: 2})
    sequence = tiny.make_prompt("q", (f"{HOSTILE}={HOSTILE}", "b"), kind="sequence", max_steps=4)
    example = {"index": "0", "spoken": HOSTILE, "about": HOSTILE, "name": HOSTILE}
    for html in (
        answers.result(answer, prompt, np.zeros(640, np.float32), [HOSTILE]),
        answers.result(answer, slots, np.zeros(640, np.float32), [HOSTILE]),
        answers.result(answer, sequence, np.zeros(640, np.float32), [HOSTILE]),
        panel("", HOSTILE).props["summary"],
        figures.alert(HOSTILE),
        figures.note(HOSTILE),
        figures.say(prompt, [example]),
        figures.options({HOSTILE: [(HOSTILE, HOSTILE, HOSTILE)]}),
        figures.examples([example]),
    ):
        page = Elements(html)
        assert "script" not in {tag for tag, _ in page.tags}
        assert HOSTILE in page.text


@pytest.mark.parametrize("verbalizer", ["fixed", "learned"])
def test_the_way_ends_in_the_label_and_shows_the_units_that_led_there(verbalizer: str) -> None:
    prompt = tiny.make_prompt("t", ("red", "green", "blue"), verbalizer=verbalizer)
    unit = 7 if verbalizer == "learned" else int(prompt.verbalizer_units[1])  # type: ignore[index]
    odds = np.full((1, 20), 0.02, np.float32)
    odds[0, [unit, 11, 15]] = 0.4, 0.16, 0.14
    likeliest = tuple(Likely(u, float(odds[0, u]), prompt.unit_label(u)) for u in (unit, 11, 15))
    parts = contributions(prompt, np.log(np.pad(odds[0], (4, 0), constant_values=0.01)), 1, 0, 3)
    step = Step("green", "", 0.7, {"green": 0.7, "red": 0.2, "blue": 0.1}, unit, 0.4, parts, likeliest)
    answer = Answer(
        "t", "T", "green", 0.7, [step], {}, Units.from_frames([1]),
        odds, verbalizer, {"encode_s": 0.01, "lm_s": 0.2},
    )  # fmt: skip
    text = Elements(way(answer, prompt, 0, ["green"])).text.replace("\u00a0", " ")
    assert f"{unit} 40 %11 16 %15 14 %" in text and "17 others" in text
    assert text.endswith("→ green") and "red" not in text and "blue" not in text
    assert "1 frame, 1 unit" in text


def test_about_a_task_says_what_it_is_bad_at_and_warns_where_it_judges_people() -> None:
    row = {"n": 3, "recall": 0.5, "precision": None}
    measured = {"split": "test", "n": 3, "accuracy": 1.0, "interval95": [0.4, 1.0]}
    metrics = measured | {
        "confusions": [[HOSTILE, "green", 2]],
        "per_class": {"red": row},
        "confusion": [[0, 0, 1], [0, 1, 2]],
    }
    prompt = tiny.make_prompt(
        "colours", ("red", "green"), metrics=metrics, about="Say a colour.", limits="Not blue."
    )
    html = about(prompt)
    page = Elements(html)
    for part in ("Say a colour.", "Not blue.", f"{HOSTILE} taken for green (2)", "50", "–"):
        assert part in page.text
    assert "svg" in {tag for tag, _ in page.tags} and "script" not in {tag for tag, _ in page.tags}
    assert "Caveat" not in page.text and "Caveat" in about(replace(prompt, task="gender"))


def test_slots_and_sequences_show_every_step() -> None:
    steps = [
        Step("size=large", "size", 0.9, {"size=large": 0.9, "": 0.1}, 4, 0.3),
        Step("drink=mocha", "drink", 0.8, {"drink=mocha": 0.8, "": 0.2}, 5, 0.2),
        Step(None, "", 0.7, {"": 0.7, "size=large": 0.3}, None, 0.0),
    ]
    answer = Answer(
        "t", "T", "size: large, drink: mocha", 0.5, steps, {"size": "large", "drink": "mocha"},
        Units.from_frames([1]), np.full((3, 20), 0.05, np.float32), "learned", {"encode_s": 0.01, "lm_s": 0.2},
    )  # fmt: skip
    sequence = tiny.make_prompt("q", ("size=large", "drink=mocha"), kind="sequence", max_steps=4)
    html = answers.result(answer, sequence, np.zeros(640, np.float32), [])
    text = Elements(html).text.replace("\u00a0", " ")
    for part in ("size: large90 %", "drink: mocha80 %", "end70 %", "4 30 %", "5 20 %"):
        assert part in text
    slots = tiny.make_prompt("s", ("on", "off", "lamp", "heat"), kind="slots", slots={"doThis": 2, "what": 2})
    steps = [
        Step("on", "doThis", 0.9, {"on": 0.9, "off": 0.1}, 4, 0.3),
        Step("none", "what", 0.6, {"none": 0.6, "lamp": 0.4}, 5, 0.2),
    ]
    answer = replace(
        answer,
        steps=steps,
        slots={"doThis": "on", "what": "none"},
        unit_probabilities=answer.unit_probabilities[:2],
    )
    text = Elements(answers.scores(answer, slots)).text.replace("\u00a0", " ")
    assert "do this: on90 %what: none60 %" in text
    assert answers.shown_label(answer) == "on"  # a slot that holds nothing is not said


def test_long_tasks_are_folded() -> None:
    many = figures.score_bars({f"label {i}": (40 - i) / 820 for i in range(40)})
    assert many.count("<li>") == 40 and "37 more labels" in many
    assert "more labels" not in figures.score_bars({"a": 0.6, "b": 0.4})


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.004, "<1 %"), (0.5, "50 %"), (0.996, ">99 %"), (1.0, "100 %")]
)
def test_percent_never_rounds_to_certainty(share: float, text: str) -> None:
    assert figures.percent(share).replace("\u00a0", " ") == text


# Handlers


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


def shown(update: Any) -> str:
    return Elements(update.value).text


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
    assert "Record your voice" in invitation and "Fruit" in invitation
    what_to_say = Choices(desk).say("fruit", "tiny")
    assert all(fruit in what_to_say for fruit in ("apple", "plum")) and what_to_say.count("<button") == 1


def test_a_task_finds_a_backbone_that_has_it_and_its_examples(desk: Desk) -> None:
    select, examples, recorder, field = Try(desk).choose_task("colours", "deaf")
    assert select.value == "deaf" and "tiny" in select.props["options"]
    assert not recorder["visible"] and field["visible"]
    assert examples.value.count("<button") == 1
    assert "hubert-base" in shown(Try(desk).change(None, "colours", "deaf"))
    select, examples, recorder, field = Try(desk).choose_task("fruit", "tiny")
    assert select.value == "tiny" and examples.value.count("<button") == 1
    assert recorder["visible"] and not field["visible"]
    assert Try(desk).choose_task("fruit", "unknown") == (gr.skip(),) * 4
    assert Choices(desk).offered()["colours"][0] == "tiny"  # who can encode a recording comes first


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
