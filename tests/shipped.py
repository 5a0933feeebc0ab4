"""The backbones that ship with their prompts, read once for all tests that ask something about each of them."""

from __future__ import annotations

from speechprompt.backbone import Backbone
from speechprompt.storage.bundled import list_backbones

BACKBONES = {name: Backbone.load(name) for name in list_backbones()}
PROMPTS = [(name, task) for name, backbone in BACKBONES.items() for task in backbone.prompts]
