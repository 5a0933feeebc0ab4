"""A task of somebody else's, from the Hub: checked as a zip from strangers is, and for this session alone."""

from __future__ import annotations

from typing import Any

import gradio as gr

from speechprompt.machine.request_time import check_time
from speechprompt.prompts import hub as prompt_hub
from speechprompt.storage import hub
from speechprompt.ui.complaints import sentence
from speechprompt.ui.controls import PRIVATE
from speechprompt.ui.session import Session
from speechprompt.ui.teach.events import Changes, TeachingDesk, cached_token
from speechprompt.ui.teach.layout import plain

OFFLINE = f'<p class="sp-hint">Nothing can be added from the Hub here because {hub.OFFLINE}.</p>'
# Downloads run beside answers and teachings, few at a time.
QUEUE: dict[str, Any] = {"concurrency_id": "hub", "concurrency_limit": 2}


class FromHub:
    """The handler of the fold, over the Teach tab's desk."""

    def __init__(self, teaching: TeachingDesk) -> None:
        self.teaching = teaching

    def add(
        self,
        session: Session,
        address: str,
        try_task: str,
        request: gr.Request,
        login: gr.OAuthToken | None = None,
    ) -> Changes:
        """The prompt of a repository becomes one of the session's tasks.

        Private repositories are seen by who logged in, or sits at this machine; never by the server's own token.
        """
        teaching = self.teaching
        try:
            token = login.token if login is not None else cached_token(request) or False
            prompt = prompt_hub.pull_from_stranger(address or "", token)
            check_time()
            teaching.check(prompt)
            return teaching.load(session, prompt, try_task)
        except Exception as error:
            return teaching.complaint(sentence(error, "A prompt could not be added from the Hub"))


def place(teaching: TeachingDesk, session: gr.State, try_task: gr.HTML, ready: list[Any]) -> None:
    """Put the fold into the tab; ready: what changes when there is a task."""
    with gr.Accordion("Add a task from the Hugging Face Hub", open=False):
        if hub.is_offline():
            plain(OFFLINE)
            return
        address = gr.Textbox(
            label="Repository", placeholder="owner/my-words", max_length=300, elem_id="sp-hub-address"
        )
        button = gr.Button("Add", elem_id="sp-hub-add")
    asked: list[Any] = [session, address, try_task]
    add = FromHub(teaching).add
    for event in (button.click, address.submit):
        event(add, asked, ready, **PRIVATE, **QUEUE)
