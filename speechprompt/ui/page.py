"""The page: its header, its tabs and its endpoints."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.ui import endpoints, style
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify import tab as try_tab
from speechprompt.ui.compare import tab as compare_tab
from speechprompt.ui.desk import Desk
from speechprompt.ui.header import header
from speechprompt.ui.live import tab as live_tab
from speechprompt.ui.session import Session
from speechprompt.ui.teach import tab as teach_tab
from speechprompt.ui.uploads import MAX_SESSIONS, Page

MAX_FILE_SIZE = "200mb"  # an hour of 16 kHz in 16 bits is 115 MB, of MP3 at 256 kbit/s as much
# Who asks does not wait long: at 0.1 to 0.2 s an answer, the last of so many gets its own in 10 to 20 s.
# Whoever comes then is told at once that the queue is full.
MAX_WAITING = 96


def build(desk: Desk) -> Page:
    """The page of a desk; show it with `launch(**launch_options(desk))`."""
    with Page(title="SpeechPrompt", analytics_enabled=False) as demo:
        demo.forget_ended_sessions()
        gr.HTML(header(len(Choices(desk).offered())), apply_default_css=False, js_on_load=None)
        session = gr.State(Session())  # each visitor gets an empty one
        with gr.Tabs(elem_classes="sp-tabs"):
            with gr.Tab("Try", id="try"):
                recording, task, _ = try_tab.build(desk, session)
            with gr.Tab("Compare", id="compare") as compare:
                compare_tab.build(desk, compare, recording)
            with gr.Tab("Teach", id="teach"):
                teach_tab.build(desk, session, task)
            with gr.Tab("Live", id="live") as live:
                live_tab.build(desk, live, session)
        endpoints.build(desk)
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=4, api_open=False)
    return demo


def launch_options(desk: Desk) -> dict[str, Any]:
    """What `launch` needs for the page to look and behave as meant."""
    allowed: list[Path] = [] if desk.examples_folder is None else [desk.examples_folder]
    return {
        "theme": style.theme(),
        "css_paths": list(style.SHEETS),
        "head": style.head(),
        "allowed_paths": [str(path) for path in allowed],
        "max_file_size": MAX_FILE_SIZE,
        "footer_links": ["api", "settings"],
        "state_session_capacity": 2 * MAX_SESSIONS,  # the page forgets them before that
        "run_history": False,  # browsers would keep what was asked
        "enable_monitoring": False,
        "pwa": False,
        "ssr_mode": False,  # the default on Spaces; the page is tried without it, as elsewhere
        "mcp_server": find_spec("mcp") is not None,  # the endpoints as tools for agents
    }
