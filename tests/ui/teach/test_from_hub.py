"""Tasks from the Hub in the app: a visitor's own by the fold in Teach, everybody's where the app begins with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import huggingface_hub
import pytest

from speechprompt.backbone import Backbone
from speechprompt.ui.desk import FROM_HUB, Desk
from speechprompt.ui.session import Session
from speechprompt.ui.teach.events import TeachingDesk
from speechprompt.ui.teach.from_hub import FromHub, place
from speechprompt.ui.teach.layout import layout
from speechprompt.ui.visitors import ADDRESS
from tests import tiny
from tests.fake_hub import TOKEN, FakeHub


@pytest.fixture
def folder(tmp_path: Path, fake: FakeHub) -> Path:
    """A backbone; the Hub has a prompt for it, a private one, and one for another LM."""
    found = tiny.make_backbone(tmp_path / "made")
    prompt = replace(Backbone(found).prompt("colours"), task="shades", title="Shades")
    other = replace(prompt, task="other", unit_lm_sha256="1" * 64)
    for name, one in (("me/shades", prompt), ("me/closed", prompt), ("me/other", other)):
        one.save(tmp_path / name)
        fake.add(name, tmp_path / name, private=name == "me/closed")
    return found


def asked_from(address: str) -> gr.Request:
    return gr.Request(request=SimpleNamespace(scope={ADDRESS: address}))  # type: ignore[arg-type]


def test_a_visitor_adds_a_task_for_this_session(folder: Path, tmp_path: Path) -> None:
    desk = Desk(folder, None, "cpu")
    with gr.Blocks() as page:
        parts = layout(desk, gr.State(Session()), gr.HTML())
        place(TeachingDesk(desk, parts), gr.State(Session()), gr.HTML(), [parts.panel])
    assert any(getattr(block, "elem_id", "") == "sp-hub-add" for block in page.blocks.values())
    adding, session, stranger = FromHub(TeachingDesk(desk, parts)), Session(), asked_from("192.0.2.1")
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "token").write_text(TOKEN)
    for address, message in (
        ("me/closed", "no repository me/closed"),
        ("me/other", "was tuned for the unit LM 111111111111"),
        ("words", "is named owner/name"),
    ):
        changes = adding.add(session, address, "", stranger)
        assert message in changes[parts.panel].value and not session.taught("tiny")
    adding.add(session, "me/shades", "", stranger)
    assert list(session.taught("tiny")) == ["shades"] and "shades" not in desk.backbones["tiny"].prompts
    login = gr.OAuthToken(token=TOKEN, scope="read-repos", expires_at=0)
    mine = Session()
    adding.add(mine, "me/closed", "", stranger, login)
    assert list(mine.taught("tiny")) == ["shades"]


def test_offline_the_fold_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    desk = Desk(folder, None, "cpu")
    with gr.Blocks() as page:
        parts = layout(desk, gr.State(Session()), gr.HTML())
        place(TeachingDesk(desk, parts), gr.State(Session()), gr.HTML(), [parts.panel])
    assert not any(getattr(block, "elem_id", "") == "sp-hub-add" for block in page.blocks.values())
    assert any(
        "because HF_HUB_OFFLINE is set" in str(getattr(block, "value", "")) for block in page.blocks.values()
    )


def test_an_app_begins_with_prompts_of_the_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FROM_HUB, "me/shades me/other me/missing")
    desk = Desk(folder, None, "cpu")
    assert "shades" in desk.prompts("tiny")
    (answer,) = desk.pipeline("tiny").classify_units([[1, 2, 3]], ["shades"])[0]
    assert answer.title == "Shades"
    assert "me/other is not among the tasks: Prompt other was tuned" in caplog.text
    assert "me/missing is not among the tasks: The Hub has no repository" in caplog.text
