"""The picture of what was answered for what: its counts, its cells, and labels that are hostile."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.metrics import measure
from speechprompt.prompts import confusion
from speechprompt.prompts.archive import pack, unpack
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import Prompt
from tests.tiny import make_prompt

SVG = "{http://www.w3.org/2000/svg}"
LABELS = ("red", "green", "blue")


def measured(truth: str = "rrrgb", answers: str = "rrggb", **facts: Any) -> Prompt:
    """A prompt of LABELS that answered as their first letters say."""
    prompt = make_prompt(labels=LABELS, **facts)
    names = {label[0]: (label,) for label in LABELS}
    metrics = measure(prompt, [names[t] for t in truth], [names[a] for a in answers])
    return replace(prompt, metrics=metrics | {"split": "valid"})


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_counts_are_those_of_the_answers() -> None:
    assert measured().metrics["confusion"] == [[0, 0, 2], [0, 1, 1], [1, 1, 1], [2, 2, 1]]
    slots = make_prompt(labels=("on", "none", "none", "lamp"), kind="slots", slots={"do": 2, "what": 2})
    figures = measure(slots, [("on", "lamp"), ("none", "none")], [("on", "none"), ("none", "none")])
    assert figures["confusion"] == [[0, 0, 1], [1, 1, 1], [2, 2, 1], [3, 2, 1]]
    spelled = make_prompt(labels=LABELS, kind="sequence", max_steps=4)
    assert "confusion" not in measure(spelled, [LABELS], [LABELS])
    many = make_prompt(labels=tuple(f"label {i}" for i in range(confusion.MAX_SHOWN + 1)))
    assert "confusion" not in measure(many, [("label 0",)], [("label 0",)])


def test_cells_show_counts_and_the_share_of_the_row() -> None:
    svg = confusion.picture(LABELS, [("", 0, 3)], [[0, 0, 3], [0, 2, 1], [1, 1, 12]])
    assert [text for text in texts(svg) if text.isdigit()] == ["3", "1", "12"]
    assert all(texts(svg).count(label) == 2 for label in LABELS)  # beside the rows and above the columns
    paper, *cells = [element.get("fill") for element in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert paper == "#ffffff"
    whole = confusion.hexadecimal(confusion.RIGHT)
    assert cells[2] == whole and cells[0] != whole and cells[1] != cells[0]


def test_every_slot_has_a_matrix_of_its_own() -> None:
    cells = [[0, 0, 1], [1, 0, 1], [2, 2, 1], [3, 2, 1]]
    svg = confusion.picture(("on", "none", "none", "lamp"), [("do", 0, 2), ("what", 2, 4)], cells)
    assert [text.partition(":")[0] for text in texts(svg) if "columns answers" in text] == ["do", "what"]
    assert texts(svg).count("none") == 4 and texts(svg).count("lamp") == 2


@pytest.mark.parametrize("n_labels", [2, confusion.MAX_SHOWN])
def test_nothing_overlaps_or_leaves_the_picture(n_labels: int) -> None:
    labels = ["嘿" * 80, *(f"label number {i} that is long" for i in range(1, n_labels))]
    cells = [[i, (i * 7) % n_labels, 12345] for i in range(n_labels)]
    root = ElementTree.fromstring(confusion.picture(labels, [("", 0, n_labels)], cells))
    width, height = (float(root.get(name) or 0) for name in ("width", "height"))
    places = [(float(r.get("x") or 0), float(r.get("y") or 0)) for r in list(root.iter(f"{SVG}rect"))[1:]]
    assert len(set(places)) == n_labels
    side = float(list(root.iter(f"{SVG}rect"))[1].get("width") or 0)
    assert side >= 5 * 7 and max(x for x, _ in places) + side < width and max(y for _, y in places) < height
    assert len(confusion.shown(labels[1])) == confusion.MAX_NAME


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.6, 0.75, 1.0])
@pytest.mark.parametrize("full", [confusion.RIGHT, confusion.WRONG])
def test_counts_can_be_read_on_every_shade(full: confusion.Colour, share: float) -> None:
    fill = confusion.hexadecimal(confusion.blend(full, share))
    n = round(1000 * share)
    cells = [[0, 0, n], [0, 1, 1000 - n]] if full == confusion.RIGHT else [[0, 1, n], [0, 0, 1000 - n]]
    svg = confusion.picture(("a", "b"), [("", 0, 2)], cells)
    (ink,) = re.findall(rf'fill="{fill}"/><text [^>]*fill="(#\w+)">{n}<', svg)
    pair = [
        confusion.luminance(tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)))
        for c in (fill, ink)  # type: ignore[arg-type]
    ]
    assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5


def test_hostile_labels_stay_text() -> None:
    labels = ("</text><script>alert(1)</script>", '"&\uffff\x00<![CDATA[', "&lt;")
    svg = confusion.picture(labels, [("<i>", 0, 3)], [[0, 1, 1]])
    root = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg",
        "title",
        "rect",
        "g",
        "text",
        "path",
    }
    assert "&lt;" in texts(svg) and "<script" not in svg and '"&\ufffd\ufffd<![CDATA[' in texts(svg)


def test_the_card_shows_the_picture_that_lies_beside_it(tmp_path: Path) -> None:
    prompt = measured()
    prompt.save(tmp_path / "p", prompt_card(prompt))
    card = (tmp_path / "p" / "README.md").read_text()
    (alt, name) = re.findall(r"!\[(.+)\]\((.+)\)", card)[0]
    assert "true labels" in alt and texts((tmp_path / "p" / name).read_text()).count("red") == 2
    assert Prompt.load(tmp_path / "p").metrics["confusion"] == prompt.metrics["confusion"]
    unmeasured = replace(prompt, metrics={})
    unmeasured.save(tmp_path / "p", prompt_card(unmeasured))  # an old picture would lie
    assert sorted(f.name for f in (tmp_path / "p").iterdir()) == [
        "README.md", "prompt.safetensors", "prompt_config.json",
    ]  # fmt: skip
    assert "![" not in (tmp_path / "p" / "README.md").read_text()


def test_labels_with_markup_are_text_in_the_table_of_the_card() -> None:
    prompt = measured()
    figures = prompt.metrics["per_class"]["red"]
    card = prompt_card(replace(prompt, metrics=prompt.metrics | {"per_class": {"a|b <img src=x>": figures}}))
    (row,) = [line for line in card.splitlines() if "img" in line]
    assert row.startswith("| a\\|b &lt;img src=x> |")


def test_a_zip_carries_the_picture_but_none_is_taken_from_it(tmp_path: Path) -> None:
    prompt = measured()
    packed = pack(prompt)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert texts(files["colours/confusion.svg"].decode())
    files["colours/confusion.svg"] = b"<svg onload='alert(1)'/>"
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    back = unpack(changed.getvalue())
    back.save(tmp_path / "p")
    assert "alert" not in (tmp_path / "p" / "confusion.svg").read_text()
    assert pack(back) == pack(back)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("x", "confusion must be a valid list"),
        ([1], "confusion.0 must be a valid list"),
        ([[0, 0]], "confusion.0 must have at least 3 items"),
        ([[0, 0, True]], "confusion.0.2 must be a valid integer"),
        ([[0, 0, 5.0]], "confusion.0.2 must be a valid integer"),
        ([[[0], 0, 5]], "confusion.0.0 must be a valid integer"),
        ([[0, 0, 4]], "must count every utterance once"),
        ([[0, 0, 6], [0, 1, -1]], "must count every utterance once"),
        ([[0, 0, 5], [0, 1, 0]], "must count labels of the prompt"),
        ([[0, 0, 5], [0, 3, 1]], "must count labels of the prompt"),
        ([[0, 0, 5], [-1, 0, 1]], "must count labels of the prompt"),
        ([[0, 0, 2], [0, 0, 3]], "a pair of labels twice"),
        ([[0, 0, 10**400]], "must"),
    ],
)
def test_counts_from_anyone_are_checked(tmp_path: Path, cells: Any, message: str) -> None:
    measured().save(tmp_path / "p")
    config = json.loads((tmp_path / "p" / "prompt_config.json").read_text())
    config["metrics"]["confusion"] = cells
    (tmp_path / "p" / "prompt_config.json").write_text(json.dumps(config))
    with pytest.raises(SpeechPromptError, match=message):
        Prompt.load(tmp_path / "p")


def test_counts_are_of_few_labels_and_no_sequences() -> None:
    many = tuple(f"label {i}" for i in range(confusion.MAX_SHOWN + 1))
    metrics = {"n": 1, "confusion": [[0, 0, 1]]}
    with pytest.raises(SpeechPromptError, match="at most 40 labels"):
        make_prompt(labels=many, metrics=metrics)
    with pytest.raises(SpeechPromptError, match="not for sequences"):
        make_prompt(labels=LABELS, kind="sequence", max_steps=2, metrics=metrics)
    with pytest.raises(SpeechPromptError, match="must count every utterance once"):
        make_prompt(labels=LABELS, metrics={"n": 10**12, "confusion": [[0, 0, 10**12]]})
    slots = {"labels": ("on", "off", "none", "lamp"), "kind": "slots", "slots": {"do": 2, "what": 2}}
    make_prompt(**slots, metrics={"n": 1, "confusion": [[0, 0, 1], [2, 2, 1]]})
    with pytest.raises(SpeechPromptError, match="must count every utterance once"):
        make_prompt(**slots, metrics={"n": 1, "confusion": [[0, 2, 1], [2, 2, 1]]})
