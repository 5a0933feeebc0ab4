"""An HTML component whose value is checked in Python on its way in and out: the recorder's and the board's."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable
from typing import Any

import gradio as gr


def own_html(
    name: str, module: str, preprocess: Callable[[Any], Any], postprocess: Callable[[Any], Any]
) -> type[gr.HTML]:
    """A class of such components; to the page they are HTML.

    A class, as gradio makes a component anew from its class whenever an event updates or skips it; made without the
    own steps of gradio's metaclass, which would write a stub file beside the module.
    """
    return ABCMeta.__new__(
        type(gr.HTML),
        name,
        (gr.HTML,),
        {
            "__module__": module,
            "preprocess": lambda self, payload: preprocess(payload),
            "postprocess": lambda self, value: postprocess(value),
            "get_block_name": lambda self: "html",
        },
    )
