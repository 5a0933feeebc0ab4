"""What the server takes from outside: files that were uploaded to it, and nothing that is merely named."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.exceptions import InvalidPathError
from gradio.state_holder import SessionState
from gradio_client.utils import is_file_obj_with_meta, traverse

log = logging.getLogger(__name__)

META = {"_type": "gradio.FileData"}  # by which gradio knows a file
FILE = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "meta": {"type": "object", "properties": {"_type": {"const": META["_type"]}}},
    },
    "required": ["path", "meta"],
}
FILES: dict[str, Any] = {"type": "array", "items": FILE}  # schema of an input that takes several files
NOT_UPLOADED = (
    "This server reads only recordings that are uploaded to it, no other path or address: send the file."
)
WRONG_KIND = "An input is missing or not of the kind that the endpoint's description names."
OWN_FILE = re.compile(r"https?://[^?#]*?/gradio_api/file=([^?#]+)")  # as this server names what it was sent


class Page(gr.Blocks):
    """Blocks that refuse, in one sentence, a path of this machine or an address that was not uploaded.

    gradio by itself would fetch what an address names, and log a refused path without telling the client.
    """

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        state: SessionState | None,
        explicit_call: bool = False,
    ) -> list[Any]:
        try:
            checked = [
                uploaded(named(block, value)) for block, value in zip(block_fn.inputs, inputs, strict=False)
            ]
            return await super().preprocess_data(block_fn, checked, state, explicit_call)
        except gr.Error:
            raise
        except InvalidPathError as error:
            raise gr.Error(NOT_UPLOADED, print_exception=False) from error
        except ValueError as error:  # pydantic's and gradio's own: a value is of another kind than its input
            log.info("An input was refused", exc_info=error)
            raise gr.Error(WRONG_KIND, print_exception=False) from error


def named(block: Any, value: Any) -> Any:
    """Files of a list as MCP clients give them: as plain text, which gradio unwraps for single files alone."""
    if getattr(block, "_api_info", None) is not FILES or not isinstance(value, list):
        return value
    return [{"path": item, "meta": META} if isinstance(item, str) else item for item in value]


def uploaded(value: Any) -> Any:
    """Turn this server's own addresses of uploads into their paths; gr.Error for every other address."""

    def local(file: dict[str, Any]) -> dict[str, Any]:
        path = file["path"]
        if isinstance(path, str) and "://" not in path and not path.startswith("data:"):
            return file
        own = OWN_FILE.fullmatch(str(path))
        if own is None:
            raise gr.Error(NOT_UPLOADED, print_exception=False)
        return {**file, "path": unquote(own[1]), "url": None}

    return traverse(value, local, is_file_obj_with_meta)
