"""A module of graphs.py -> an ONNX file: sizes that may vary, and weights in 16 bits where nothing is lost by it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.export.graphs import EncoderGraph, LMGraph
from speechprompt.units import FRAME_SAMPLES, UNIT_OFFSET

if TYPE_CHECKING:
    import onnx

OPSET = 18
SMALL = 1024  # numbers; what has fewer stays as it is
LACKING = (
    "Exporting needs onnx, onnxruntime and onnxscript: install them with `pip install 'speechprompt[onnx]'`."
)


def require_onnx() -> None:
    """SpeechPromptError where what export needs is not installed."""
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise SpeechPromptError(LACKING) from error
    del onnx, onnxruntime, onnxscript


def write_encoder(graph: EncoderGraph, path: Path) -> None:
    """Write the encoder's graph; samples and frames may be any number."""
    frames = 50
    example = (torch.zeros(1, frames * FRAME_SAMPLES + 40), torch.arange(frames))
    write(graph, example, [{1: "samples"}, {0: "frames"}], path)


def write_lm(graph: LMGraph, path: Path) -> None:
    """Write the unit LM's graph; rows, prompt vectors, past, inputs and tokens may be any number."""
    config = graph.lm.config
    layers, heads, d = int(config.num_layers), graph.heads, int(config.d_model)
    rows, prompts, past, inputs, tokens = 2, 5, 3, 4, 7  # all different, so that no size is taken for another
    positions = torch.arange(inputs + tokens).expand(rows, -1).contiguous()
    deep, kept = torch.zeros(layers, rows, prompts, d), torch.zeros(layers, rows, heads, past, d // heads)
    example = (
        torch.full((rows, tokens), UNIT_OFFSET),
        torch.zeros(rows, d),
        torch.ones(rows, dtype=torch.bool),
        torch.zeros(rows, inputs, d),
        positions,
        deep,
        deep.clone(),
        kept,
        kept.clone(),
        torch.ones(rows, prompts + past + inputs + tokens, dtype=torch.bool),
    )
    sizes: list[dict[int, str]] = [
        {0: "rows", 1: "tokens"},
        {0: "rows"},
        {0: "rows"},
        {0: "rows", 1: "inputs"},
        {0: "rows", 1: "places"},
        *({1: "rows", 2: "prompts"},) * 2,
        *({1: "rows", 3: "past"},) * 2,
        {0: "rows", 1: "all"},
    ]
    write(graph, example, sizes, path)


def write(
    graph: EncoderGraph | LMGraph, example: tuple[Tensor, ...], sizes: Sequence[Mapping[int, str]], path: Path
) -> None:
    """Export one module. sizes: of each input, the dimensions that may vary, by the names that the file shows."""
    import onnx

    free = tuple(dict.fromkeys(of, torch.export.Dim.DYNAMIC) for of in sizes)
    chatty = logging.getLogger("torch.onnx")
    level = chatty.level
    chatty.setLevel(logging.ERROR)  # it speaks of libraries that nothing here needs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.eval(), example, input_names=graph.inputs, output_names=graph.outputs, dynamic_shapes=free,
                opset_version=OPSET, dynamo=True, verbose=False,
            )  # fmt: skip
    finally:
        chatty.setLevel(level)
    assert program is not None
    model = program.model_proto
    for value, of in zip(model.graph.input, sizes, strict=True):
        for at, name in of.items():
            value.type.tensor_type.shape.dim[at].dim_param = name
    model.graph.ClearField("value_info")  # it names sizes by numbers that mean nothing
    model.ClearField("metadata_props")
    for node in model.graph.node:
        node.ClearField("metadata_props")  # the exporter's notes about this machine's files
        node.ClearField("doc_string")
    halve(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def halve(model: onnx.ModelProto) -> None:
    """Store in 16 bits the weights that lose nothing by it: those that a backbone's own file holds so.

    A Cast at their place gives the numbers back, once, as the graph is loaded.
    """
    import onnx

    casts: list[Any] = []
    for stored in model.graph.initializer:
        stored.ClearField("doc_string")
        stored.ClearField("metadata_props")
        if stored.data_type != onnx.TensorProto.FLOAT:
            continue
        numbers = onnx.numpy_helper.to_array(stored)
        with np.errstate(over="ignore"):
            half = numbers.astype(np.float16)
        if numbers.size < SMALL or not np.array_equal(half.astype(np.float32), numbers):
            continue
        name = stored.name
        stored.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
        cast = onnx.helper.make_node(
            "Cast", [f"{name}.half"], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT
        )
        casts.append(cast)
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
