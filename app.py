"""The demo: `python app.py`, then open the address it prints."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# gradio would put its last 10,000 requests into a pandas table after each one, to summarise them.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")

from speechprompt.errors import SpeechPromptError
from speechprompt.ui.private_folder import use_private_folder

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as by Ctrl-C: all that was written goes
try:
    use_private_folder()  # before gradio is imported, which reads but once where to write
except SpeechPromptError as error:
    sys.exit(f"app.py: {error}")

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  # before torch, which it changes so that models can wait for a GPU

import torch

from speechprompt.machine.memory import keep_few_kernels, keep_freed_memory
from speechprompt.ui.page import build, launch_options
from speechprompt.ui.zero_gpu import desk_of

EXAMPLES = Path(__file__).parent / "examples"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="SpeechPrompt in the browser.")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers may call this server, besides its addresses; may be repeated",
    )
    parser.add_argument(
        "--backbone", default="mini", help="the one chosen at first: a bundled name or a folder"
    )
    parser.add_argument(
        "--longest",
        type=float,
        default=60.0,
        metavar="MINUTES",
        help="of a recording that is answered stretch by stretch (default: 60; uploads have 200 MB at most)",
    )
    return parser.parse_args()


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_port(host: str | None, port: int) -> None:
    """End with a sentence where nobody can listen on the port; gradio would say it in a traceback."""
    family = socket.AF_INET6 if ":" in (host or "") else socket.AF_INET
    try:
        with socket.create_server((host or "127.0.0.1", port), family=family):
            pass
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        sys.exit(f"app.py: port {port} cannot be used ({why}): give another with --port, or none.")


# The models are small: two threads are as fast as four, and a thread for every core makes all of them
# wait (measured: 60 times longer) as soon as something else wants one. One core is left to the server.
torch.set_num_threads(min(2, max(1, usable_cores() // 2)))
keep_freed_memory()
keep_few_kernels()

arguments = (
    parse() if __name__ == "__main__" else argparse.Namespace(port=None, backbone="mini", longest=60.0)
)
if arguments.port is not None:
    check_port(arguments.host, arguments.port)
try:
    desk = desk_of(arguments.backbone, EXAMPLES)
except SpeechPromptError as error:
    sys.exit(f"app.py: {error}")
if not arguments.longest > 0:
    sys.exit("app.py: --longest must be a number of minutes above 0.")
desk.longest = 60 * arguments.longest
demo = build(desk)

if __name__ == "__main__":
    desk.warm_up()
    demo.launch(
        server_name=arguments.host,
        server_port=arguments.port,
        hosts=arguments.allow_host,
        **launch_options(desk),
    )
