"""The demo: layout (blocks), events (handlers), pictures (figures) and looks (style)."""

from speechprompt.ui.blocks import build, launch_options
from speechprompt.ui.handlers import Desk

__all__ = ["Desk", "build", "launch_options"]
