"""The exported graphs, run by onnxruntime as the browser runs them: what the check compares with the models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.models.encoder import WINDOW_FRAMES, window_spans
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import EOS, FRAME_SAMPLES, SEPARATOR, UNIT_OFFSET

# Frames on either side of a window that its level comes from: 1.5 s, and what the edge of a spectrum spoils.
SURROUNDINGS = 80

Past = tuple[np.ndarray, np.ndarray, np.ndarray]  # keys, values, present


def session(path: Path) -> Any:
    """An exported graph, ready on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def frame_units(encoder: Any, waveform: np.ndarray) -> np.ndarray:
    """float32 [T] at 16 kHz -> int64 [T // 320], one unit a frame, window by window."""
    n = len(waveform) // FRAME_SAMPLES
    found = []
    for start, first, end in window_spans(n):
        last = min(start + WINDOW_FRAMES, n)
        heard = max(0, start - SURROUNDINGS)
        stop = len(waveform) if last + SURROUNDINGS >= n else (last + SURROUNDINGS) * FRAME_SAMPLES
        given = {
            "waveform": waveform[None, heard * FRAME_SAMPLES : stop],
            "frames": np.arange(start - heard, last - heard),
        }
        found.append(encoder.run(["units"], given)[0][first - start : end - start])
    return np.concatenate(found)


def first_pass(
    lm: Any, ids: Sequence[int] | np.ndarray, prompts: Sequence[Prompt]
) -> tuple[np.ndarray, Past]:
    """Units of one recording behind several prompts -> logits float32 [B, V], and what a step goes on from.

    Shorter prompts are padded on the left.
    """
    n = len(prompts)
    n_deep, n_inputs = (
        max((p.length for p in prompts if p.deep is deep), default=0) for deep in (True, False)
    )
    layers, _, heads, _, width = past_shape(lm)
    d = heads * width
    deep = np.zeros((2, layers, n, n_deep, d), np.float32)
    kept = np.zeros((2, layers, n, heads, 0, width), np.float32)
    inputs = np.zeros((n, n_inputs, d), np.float32)
    tokens = np.array([[EOS, *(int(unit) + UNIT_OFFSET for unit in ids), SEPARATOR]] * n)
    positions = np.full((n, n_inputs + tokens.shape[1]), -1)
    present = np.ones((n, n_deep + positions.shape[1]), bool)
    for i, prompt in enumerate(prompts):
        present[i, : n_deep + n_inputs] = False
        positions[i, n_inputs:] = prompt.shift + np.arange(tokens.shape[1])
        if prompt.key_prompts is not None and prompt.value_prompts is not None:
            deep[0][:, i, n_deep - prompt.length :] = prompt.key_prompts.numpy()
            deep[1][:, i, n_deep - prompt.length :] = prompt.value_prompts.numpy()
            present[i, n_deep - prompt.length : n_deep] = True
        elif prompt.input_prompts is not None:
            inputs[i, n_inputs - prompt.length :] = prompt.input_prompts.numpy()
            present[i, n_deep + n_inputs - prompt.length : n_deep + n_inputs] = True
            places = prompt.shift + np.arange(-prompt.length, 0)
            positions[i, n_inputs - prompt.length : n_inputs] = np.where(places >= 0, places, -1)
    last = np.stack([prompt.separator.numpy() for prompt in prompts])
    given = np.ones(n, bool)
    return run(lm, tokens, last, given, inputs, positions, deep, kept, present)


def next_pass(lm: Any, past: Past, prompt: Prompt, label: int, position: int) -> tuple[np.ndarray, Past]:
    """One row after one more label -> its logits [1, V]."""
    keys, values, present = past
    layers, n, heads, _, width = keys.shape
    token, last, given = (
        np.array([[UNIT_OFFSET]]),
        np.zeros((1, heads * width), np.float32),
        np.array([False]),
    )
    if prompt.label_embeddings is not None:
        last, given = prompt.label_embeddings[label : label + 1].numpy(), np.array([True])
    else:
        units = prompt.label_units[label]
        token = np.array([[(units[0] if units else label) + UNIT_OFFSET]])
    no_deep = np.zeros((2, layers, n, 0, heads * width), np.float32)
    no_inputs = np.zeros((n, 0, heads * width), np.float32)
    longer = np.concatenate([present, np.ones((n, 1), bool)], 1)
    return run(
        lm, token, last, given, no_inputs, np.array([[position]]), no_deep, np.stack([keys, values]), longer
    )


def run(
    lm: Any,
    tokens: np.ndarray,
    last: np.ndarray,
    is_given: np.ndarray,
    inputs: np.ndarray,
    positions: np.ndarray,
    deep: np.ndarray,
    past: np.ndarray,
    present: np.ndarray,
) -> tuple[np.ndarray, Past]:
    """One pass, see LMGraph; deep and past hold keys, then values."""
    given = {
        "tokens": tokens,
        "last": last,
        "is_given": is_given,
        "inputs": inputs,
        "positions": positions,
        "key_prompts": deep[0],
        "value_prompts": deep[1],
        "past_keys": past[0],
        "past_values": past[1],
        "present": present,
    }
    logits, keys, values = lm.run(None, given)
    return logits, (keys, values, present)


def past_shape(lm: Any) -> list[Any]:
    """[L, rows, heads, past, d / heads] as the graph states it."""
    return list(next(one.shape for one in lm.get_inputs() if one.name == "past_keys"))


def along(
    lm: Any, ids: np.ndarray, prompt: Prompt, labels: Sequence[int], past: Past
) -> Iterator[np.ndarray]:
    """Logits float32 [V] after each label of an answer of which the first pass is done; past: of that row alone."""
    for at, label in enumerate(labels):
        logits, past = next_pass(lm, past, prompt, label, prompt.shift + len(ids) + 2 + at)
        yield logits[0]
