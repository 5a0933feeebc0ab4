"""The Teach tab without a browser: what a person does on the board, a lesson's zip, teaching, pushing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts import hub as hub_module
from speechprompt.prompts.archive import pack
from speechprompt.teaching.lesson_zip import unpack
from speechprompt.teaching.teacher import TeachConfig
from speechprompt.ui.classify.events import Try
from speechprompt.ui.desk import Desk
from speechprompt.ui.session import MAX_TASKS, Session
from speechprompt.ui.teach import events as teach_events
from speechprompt.ui.teach import layout as teach_layout
from speechprompt.ui.teach.board import Action, action_of
from speechprompt.ui.teach.clips import ClipEvents
from speechprompt.ui.teach.events import TeachingDesk
from speechprompt.ui.teach.layout import layout
from speechprompt.ui.visitors import ADDRESS
from tests import tiny
from tests.teaching.test_teacher import SILENCE, tones

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def without_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether espeak-ng is installed where the tests run makes no difference to them."""
    monkeypatch.setattr("speechprompt.teaching.speaking.can_speak", lambda: False)


@pytest.fixture(scope="module")
def teaching(tmp_path_factory: pytest.TempPathFactory) -> TeachingDesk:
    desk = Desk(tiny.make_backbone(tmp_path_factory.mktemp("desk")), EXAMPLES, "cpu")
    with gr.Blocks():
        parts = layout(desk, gr.State(Session()), gr.HTML())
    return TeachingDesk(desk, parts, TeachConfig(copies=2))


class Visitor:
    """Somebody at the tab: does things on the board, and sees what it says then."""

    def __init__(self, teaching: TeachingDesk) -> None:
        self.session, self.parts, self.desk = Session(), teaching.parts, teaching.desk
        self.teaching = teaching
        self.events = ClipEvents(teaching)

    def does(self, do: str, label: str = "", **more: Any) -> str:
        """Text of the board and of the line above it."""
        action = Action(do, label, **more)
        self.changes = self.events.act(self.session, action, "Tones", "English", "colours")
        board = self.changes[self.parts.board]
        self.file = board._constructor_args[0].get("value")
        panel = self.changes.get(self.parts.panel)
        ready = "" if panel is None else panel.value
        return f"{board.props['said']} {board.props['cards']} {ready}".replace("&#x27;", "'")

    def teaches(self, title: str = "Tones") -> dict[Any, Any]:
        """Everything that changed, at its last."""
        found: dict[Any, Any] = {}
        for changes in self.teaching.tune(self.session, title, "tiny", "English", "colours"):
            found |= changes
        return found


@pytest.fixture
def visitor(teaching: TeachingDesk) -> Visitor:
    return Visitor(teaching)


def files(folder: Path, name: str, waveforms: list[np.ndarray]) -> tuple[str, ...]:
    paths = [folder / f"{name}{i}.wav" for i in range(len(waveforms))]
    for path, waveform in zip(paths, waveforms, strict=True):
        soundfile.write(path, waveform, 16_000)
    return tuple(str(path) for path in paths)


def test_from_labels_to_a_task_of_this_session_alone(
    visitor: Visitor, teaching: TeachingDesk, tmp_path: Path
) -> None:
    session, desk, at = visitor.session, visitor.desk, visitor.parts
    other = Visitor(teaching)
    for i, name in enumerate(("low", "<b>high</b>")):
        visitor.does("add", text=name)
        shown = visitor.does("files", name, paths=files(tmp_path, name[:2].strip("<"), tones(i)))
        assert "3 clips added" in shown and "<b>high" not in shown
    assert "Ready: 2 labels, 6 clips." in shown and 'data-unsaved="6"' in shown
    out = visitor.teaches("<i>Tones</i>")
    shown, select = out[at.result].value, out[at.try_task]
    assert "made without it" in shown and "right of 6 clips held out" in shown and "<i>Tones" not in shown
    assert 'data-tab="Live" data-task="taught_i_tones_i"' in shown
    assert out[at.use]["visible"] and "Taught in" in out[at.panel].value
    assert select.value is None and "Tones" in select.props["options"]  # what is chosen there stays chosen
    assert "taught_i_tones_i" in session.taught("tiny") and not other.session.taught("tiny")
    assert "Tones" not in teaching.choices.task_options("tiny", other.session)
    clip = str(tmp_path / "lo0.wav")
    assert "low" in Try(desk).answer(clip, "taught_i_tones_i", "tiny", "", session).value
    assert "has no task" in Try(desk).answer(clip, "taught_i_tones_i", "tiny", "", other.session).value
    scores = desk.classify(clip, "taught_i_tones_i", "tiny", "", session)[0].scores
    prompt_alone = tmp_path / "prompt.zip"
    prompt_alone.write_bytes(Path(out[at.download]["value"]).read_bytes())
    assert "here again, without recordings" in other.does("files", paths=(str(prompt_alone),))
    assert desk.classify(clip, "taught_i_tones_i", "tiny", "", other.session)[0].scores == scores
    assert max(scores, key=scores.get) in teaching.try_it(other.session, clip).value  # type: ignore[arg-type]


def test_the_bar_ends_when_the_work_ends(visitor: Visitor, tmp_path: Path) -> None:
    for i, name in enumerate(("low", "high")):
        visitor.does("add", text=name)
        visitor.does("files", name, paths=files(tmp_path, name, tones(i)))
    panels = [
        changes[visitor.parts.panel].value
        for changes in visitor.teaching.tune(visitor.session, "Tones", "tiny", "English", "colours")
    ]
    assert "progressbar" in panels[0] and "Taught in" in panels[-1]
    assert not any('valuenow="100"' in panel for panel in panels[:-2])


def test_mistakes_lose_nothing_and_go_away_when_mended(visitor: Visitor, tmp_path: Path) -> None:
    session = visitor.session
    assert "on the card of a label" in visitor.does("files", paths=files(tmp_path, "a", tones(0)))
    for text, part in ((" ", "printable"), ("x\n", "data-label"), ("x", "is a label 'x' already")):
        assert part in visitor.does("add", text=text)
    visitor.does("rename", "x", text="low")
    visitor.does("files", "low", paths=files(tmp_path, "b", tones(0)))
    (tmp_path / "bad.wav").write_text("nothing")
    shown = visitor.does("files", "low", paths=(*files(tmp_path, "c", tones(1)), str(tmp_path / "bad.wav")))
    assert "Nothing was added. bad.wav" in shown and len(session.clips) == 3
    assert "Nothing was added" not in visitor.does("add", text="high")
    assert "is a label 'low' already" in visitor.does("rename", "high", text="low")
    visitor.does("rename", "low", text="deep")
    assert [clip.label for clip in session.clips.values()] == ["deep"] * 3
    visitor.does("delete", "deep", clip=999)
    assert len(session.clips) == 3
    visitor.does("delete", "deep", clip=next(iter(session.clips)))
    assert len(session.clips) == 2
    complaint = visitor.teaches()[visitor.parts.panel].value
    assert "No new task" in complaint and "&#x27;high&#x27; has no recordings" in complaint
    assert len(session.clips) == 2 and not session.busy.locked()
    assert "No new task" not in visitor.does("remove", "deep")
    assert session.labels == ["high"] and not session.clips


def test_a_clip_is_heard_as_it_was_given(visitor: Visitor, tmp_path: Path) -> None:
    visitor.does("add", text="low")
    (path,) = files(tmp_path, "t", tones(0, 1))
    assert "Recording 1 is here." in visitor.does("record", "low", paths=(path,))
    visitor.does("play", "low", clip=1)
    given, heard = soundfile.read(path)[0], soundfile.read(visitor.file)[0]
    assert len(given) == len(heard) and np.abs(given - heard).max() < 1e-3
    assert "That clip is gone" in visitor.does("play", "low", clip=7)
    visitor.does("delete", "low", clip=1)
    assert "Recording 1 is here." in visitor.does("record", "low", paths=(path,))  # its name is free again
    (tmp_path / "silent.wav").write_bytes(Path(files(tmp_path, "s", [SILENCE])[0]).read_bytes())
    assert "Nothing can be heard" in visitor.does("record", "low", paths=(str(tmp_path / "silent.wav"),))


def test_nobody_hears_the_clip_of_another_visitor(teaching: TeachingDesk) -> None:
    """Both clips have the number 1; each is a file of its own, whoever plays last."""
    heard = []
    for level in (0.1, 0.2):
        visitor = Visitor(teaching)
        visitor.does("add", text="low")
        visitor.session.add_clips([("low", "mine", np.full(1600, level, np.float32))])
        visitor.does("play", "low", clip=1)
        heard.append((visitor.file, level))
    assert heard[0][0] != heard[1][0]
    for path, level in heard:
        assert soundfile.read(path)[0] == pytest.approx(level, abs=1e-3)


def test_a_lesson_goes_on_from_its_zip(visitor: Visitor, teaching: TeachingDesk, tmp_path: Path) -> None:
    for i, name in enumerate(("low", "hîgh/2")):
        visitor.does("add", text=name)
        visitor.does("files", name, paths=files(tmp_path, f"t{i}", tones(i)))
    visitor.does("add", text="typed")
    assert visitor.session.n_unsaved == 6
    assert 'data-unsaved="6"' in visitor.does("save")
    kept = tmp_path / Path(visitor.file).name
    assert kept.name == "taught_tones_with_recordings.zip"
    kept.write_bytes(Path(visitor.file).read_bytes())
    assert visitor.session.n_unsaved == 6  # made, and not handed out yet
    assert "Saved" in visitor.does("kept") and visitor.session.n_unsaved == 0
    assert "6 recordings" in zipfile.ZipFile(kept).read("RECORDINGS.txt").decode()
    other = Visitor(teaching)
    assert "3 labels, 6 clips" in other.does("files", paths=(str(kept),))
    assert other.session.labels == ["low", "hîgh/2", "typed"] and other.session.n_unsaved == 0
    for mine, back in zip(visitor.session.clips.values(), other.session.clips.values(), strict=True):
        assert mine.label == back.label and np.array_equal(mine.samples, back.samples)
    assert other.changes[visitor.parts.title] == "Tones"
    other.does("record", "low", paths=files(tmp_path, "more", tones(2, 1)))
    assert "save this one or start again" in other.does("files", paths=(str(kept),))
    assert len(other.session.clips) == 7
    other.does("restart")
    assert not other.session.labels and not other.session.clips
    other.does("files", paths=(str(kept),))
    other.does("remove", "typed")
    out = other.teaches()
    other.does("save")
    whole = tmp_path / "whole.zip"
    whole.write_bytes(Path(other.file).read_bytes())
    third = Visitor(teaching)
    third.does("files", paths=(str(whole),))
    assert third.session.current is not None and "Tones" in third.changes[visitor.parts.result].value
    assert "Tones" in out[visitor.parts.result].value


def remade(source: bytes, name: str, data: bytes) -> bytes:
    """A zip with one of its files exchanged."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(out, "w") as new:
        for each in {*old.namelist(), name}:
            new.writestr(each, data if each == name else old.read(each))
    return out.getvalue()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (b"[1]", "is damaged"),
        (b"{" * 99, "is damaged"),
        ({"labels": ["a"] * 11}, "at most 10, each once"),
        ({"labels": ["x\u202e"]}, "printable characters"),
        ({"labels": ["a"]}, "lacks a label of its recordings"),
        ({"language": "Klingon"}, "must be one of"),
        ({"format_version": 2}, "must be 1"),
        ({"title": "x" * 81}, "at most 80"),
        ({"labels": "low"}, "labels"),
    ],
)
def test_a_hostile_lesson_is_one_sentence(visitor: Visitor, tmp_path: Path, facts: Any, message: str) -> None:
    visitor.does("add", text="low")
    visitor.does("files", "low", paths=files(tmp_path, "t", tones(0, 1)))
    visitor.does("save")
    kept = Path(visitor.file).read_bytes()
    known = json.loads(zipfile.ZipFile(io.BytesIO(kept)).read("lesson.json"))
    data = facts if isinstance(facts, bytes) else json.dumps(known | facts).encode()
    with pytest.raises(SpeechPromptError, match=message):
        unpack(remade(kept, "lesson.json", data))


def test_a_prompt_for_another_backbone_changes_nothing(visitor: Visitor, tmp_path: Path) -> None:
    prompt = tiny.make_prompt(backbone="elsewhere")
    (tmp_path / "p.zip").write_bytes(pack(prompt))
    assert "elsewhere" in visitor.does("files", paths=(str(tmp_path / "p.zip"),))
    assert visitor.session.current is None


def test_the_ready_made_lesson_is_there_at_once(visitor: Visitor) -> None:
    shown = visitor.does("ready")
    assert "3 labels, 12 clips" in shown and "Ready: 3 labels, 12 clips." in shown
    assert visitor.session.n_unsaved == 0 and visitor.changes[visitor.parts.title] == "Bed, cat or happy"
    speakers = [
        line.split("/")[1].split("_")[0] for line in (EXAMPLES / "lesson/labels.csv").open() if "/" in line
    ]
    assert len(set(speakers)) == 12


def test_a_board_takes_nothing_but_its_own_actions() -> None:
    assert action_of(None) is None and action_of({"path": "x"}) is None
    file = {"path": "/tmp/x.wav", "meta": {"_type": "gradio.FileData"}}
    action = action_of({"do": "files", "label": "a", "files": [file], "sequence": 3})
    assert action == Action("files", "a", paths=("/tmp/x.wav",), sequence=3)
    for bad in (
        "x",
        {"do": 1},
        {"do": "add", "text": "x" * 401},
        {"do": "play", "clip": "1"},
        {"do": "play", "clip": True},
        {"do": "files", "files": ["/etc/passwd"]},
        {"do": "files", "files": [file] * 601},
    ):
        with pytest.raises(ValueError):
            action_of(bad)


def test_an_unknown_action_is_refused_in_a_sentence(visitor: Visitor) -> None:
    assert "sp-bad" in visitor.does("explode")


def test_a_table_with_its_files(visitor: Visitor, tmp_path: Path) -> None:
    paths = files(tmp_path, "t", tones(0, 2))
    (tmp_path / "labels.csv").write_text("file,label\nsub/t0.wav,low\nt1.wav,high\n")
    shown = visitor.does("files", paths=(*paths, str(tmp_path / "labels.csv")))
    assert "2 clips added" in shown and visitor.session.labels == ["low", "high"]


def test_a_session_is_bounded() -> None:
    session = Session()
    with pytest.raises(SpeechPromptError, match="At most 15 minutes"):
        session.add_clips([("a", "long", np.zeros(16_000 * 901, np.float32))])
    with pytest.raises(SpeechPromptError, match="would make 11 labels"):
        session.add_clips([(str(i), "x", SILENCE) for i in range(11)])
    with pytest.raises(SpeechPromptError, match="At most 500 clips"):
        session.add_clips([("a", "x", SILENCE[:10])] * 501)
    assert not session.labels and not session.clips
    for i in range(MAX_TASKS + 2):
        session.keep(tiny.make_prompt(f"t{i}"))
    assert list(session.taught("tiny")) == [f"t{i}" for i in range(2, MAX_TASKS + 2)]


def asked_from(address: str) -> gr.Request:
    request = SimpleNamespace(scope={ADDRESS: address})
    return gr.Request(request=request)  # type: ignore[arg-type]


def test_pushing_says_what_is_missing_and_never_the_token(
    teaching: TeachingDesk, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, here = Session(), asked_from("127.0.0.1")
    monkeypatch.setattr(teach_events, "get_token", lambda: "hf_" + "secret" * 5)
    assert "no task of yours yet" in teaching.push(session, "me/words", here).value
    session.keep(tiny.make_prompt("t"))
    for repository, part in (("a/b/c", "owner/name"), ("me/words", "cannot be reached")):
        html = teaching.push(session, repository, here).value
        assert part in html and "secret" not in html
    assert "secret" not in caplog.text


def test_whoever_is_not_logged_in_is_told_how_to_push_by_hand(
    teaching: TeachingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else than who sits at this machine pushes with its token; on a Space nobody but who logged in."""
    session, used = Session(), []
    session.keep(tiny.make_prompt("t"))
    monkeypatch.setattr(teach_events, "get_token", lambda: "of this machine")
    monkeypatch.setattr(hub_module, "push", lambda prompt, repository, token: used.append(token) or "x")
    login = gr.OAuthToken(token="of the visitor", scope="write-repos", expires_at=0)
    teaching.push(session, "me/words", asked_from("127.0.0.1"))
    teaching.push(session, "me/words", asked_from("192.0.2.1"))
    teaching.push(session, "me/words", asked_from("192.0.2.1"), login)
    monkeypatch.setattr(teach_events, "get_space", lambda: "me/space")
    teaching.push(session, "me/words", asked_from("127.0.0.1"))
    assert used == ["of this machine", "", "of the visitor", ""]
    monkeypatch.undo()
    html = teaching.push(session, "me/words", asked_from("192.0.2.1")).value
    assert "Nobody is logged in" in html and "unzip t.zip &amp;&amp; hf upload me/words t" in html


def test_no_token_is_typed_and_a_space_offers_a_login(
    teaching: TeachingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins: list[bool] = []
    monkeypatch.setattr(gr, "LoginButton", lambda: logins.append(True))

    def n_logins() -> int:
        logins.clear()
        with gr.Blocks() as page:
            layout(teaching.desk, gr.State(), gr.HTML())
        assert not any(getattr(block, "type", "") == "password" for block in page.blocks.values())
        return len(logins)

    assert n_logins() == 0
    monkeypatch.setattr(teach_layout, "get_space", lambda: "me/space")
    monkeypatch.setattr(teach_layout, "find_spec", lambda name: object())
    assert n_logins() == 0  # its README asks for none
    monkeypatch.setenv("OAUTH_CLIENT_ID", "id")
    assert n_logins() == 1
    monkeypatch.setattr(teach_layout, "find_spec", lambda name: None)
    assert n_logins() == 0  # what gradio needs for it is not installed
