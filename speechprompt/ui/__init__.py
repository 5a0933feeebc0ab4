"""The demo: layout (blocks), events (handlers), pictures (figures) and looks (style)."""

from speechprompt.ui.desk import Desk
from speechprompt.ui.page import build, launch_options

__all__ = ["Desk", "build", "launch_options"]
