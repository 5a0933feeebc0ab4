"""Fuzz the loaders: whatever comes in, an answer or a SpeechPromptError comes out, and nothing else.

    python -m tests.robustness.fuzz --seconds 600

Starts from sound files and folders, and breaks them. Prints the input that got through as hypothesis shrank it.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from speechprompt.audio import load as audio
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from tests import tiny
from tests.robustness.corpus import encoded, voice

CONTAINERS = (
    "WAV PCM_16",
    "WAV FLOAT",
    "WAV IMA_ADPCM",
    "RF64 PCM_16",
    "AIFF PCM_16",
    "AU ULAW",
    "FLAC PCM_16",
)
CONTAINERS += ("OGG VORBIS", "OGG OPUS", "MP3 MPEG_LAYER_III", "CAF PCM_16", "W64 PCM_16")


def refused_well(error: SpeechPromptError, where: str = "") -> None:
    sentence = str(error)
    assert sentence.endswith((".", "?")) and "\n" not in sentence and len(sentence) < 600, sentence
    assert not where or where not in sentence, sentence


# Recordings


@cache
def sound(container: str) -> bytes:
    return encoded(voice(0.5, 16_000), 16_000, *container.split())


@st.composite
def broken_recordings(draw: st.DrawFn) -> bytes:
    """A sound file with bytes changed, cut out or put in, mostly in its head."""
    content = bytearray(sound(draw(st.sampled_from(CONTAINERS))))
    for _ in range(draw(st.integers(1, 6))):
        end = len(content) - 1 if draw(st.booleans()) else min(100, len(content) - 1)
        at = draw(st.integers(0, max(0, end)))
        kind = draw(st.sampled_from(("set", "word", "cut", "insert", "end")))
        if kind == "set":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "word":  # lengths and rates
            value = draw(st.sampled_from((0, 1, 2**31 - 1, 2**31, 2**32 - 1)) | st.integers(0, 2**32 - 1))
            content[at : at + 4] = struct.pack(draw(st.sampled_from(("<I", ">I"))), value)
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 64))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=64))
        else:
            del content[at + 16 :]
        if len(content) < 2:
            break
    return bytes(content)


def try_recording(content: bytes) -> None:
    try:
        waveform = audio.load(content)
    except SpeechPromptError as error:
        refused_well(error)
    else:
        assert waveform.dtype == np.float32 and waveform.ndim == 1 and np.isfinite(waveform).all()
        assert 0.09 <= len(waveform) / audio.SAMPLE_RATE <= 60.1


def arrays() -> st.SearchStrategy[tuple[Any, Any]]:
    """(rate, samples) as any program may hand them over."""
    rates = st.integers(-1, 200_000) | st.sampled_from((None, True, 16_000.0, "16000", 10**30))
    dtypes = st.sampled_from(
        ("int8", "uint8", "int16", "int64", "uint64", "float16", "float32", "float64", "bool", "U3", "O")
    )
    shapes = st.sampled_from(((0,), (1,), (4_000,), (4_000, 2), (2, 4_000), (4_000, 0), (), (2, 2, 2)))
    values = st.sampled_from((0, 1, 0.5, -3e38, 1e308, float("nan"), float("inf"), 127))

    def make(rate: Any, dtype: str, shape: tuple[int, ...], value: float) -> tuple[Any, Any]:
        with np.errstate(all="ignore"):
            base = np.full(shape, value, np.float64)
            return rate, base.astype(dtype)

    return st.builds(make, rates, dtypes, shapes, values)


def try_array(pair: tuple[Any, Any]) -> None:
    try:
        waveform = audio.load(pair)
    except SpeechPromptError as error:
        refused_well(error)
    else:
        assert np.isfinite(waveform).all() and waveform.dtype == np.float32


# Prompts

SCALARS = st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=90)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@cache
def sound_prompt() -> tuple[dict[str, Any], bytes]:
    with tempfile.TemporaryDirectory() as folder:
        tiny.make_prompt().save(Path(folder) / "p")
        config = json.loads((Path(folder) / "p" / "prompt_config.json").read_text())
        return config, (Path(folder) / "p" / "prompt.safetensors").read_bytes()


@st.composite
def broken_prompts(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The two files of a prompt, with entries of the settings, of the header or bytes changed."""
    config, weights = sound_prompt()
    config = dict(config)
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(config)))
        if draw(st.booleans()):
            config[name] = draw(VALUES)
        else:
            config.pop(name)
            config[draw(st.text(max_size=9))] = draw(SCALARS)
        if not config:
            break
    text = json.dumps(config).encode()
    if draw(st.booleans()):
        size = struct.unpack("<Q", weights[:8])[0]
        header, data = json.loads(weights[8 : 8 + size]), weights[8 + size :]
        name = draw(st.sampled_from(sorted(set(header) - {"__metadata__"})))
        part = draw(st.sampled_from(("dtype", "shape", "data_offsets")))
        numbers = st.lists(st.integers(-1, 2**65), max_size=3)
        header[name][part] = draw(numbers | st.sampled_from(("F64", "I64", "F8_E4M3", "BOOL", "X")))
        made = json.dumps(header).encode()
        weights = struct.pack("<Q", draw(st.just(len(made)) | st.integers(0, 2**64 - 1))) + made + data
    elif draw(st.booleans()):
        at = draw(st.integers(0, len(weights) - 1))
        weights = weights[:at] + draw(st.binary(max_size=8)) + weights[at + draw(st.integers(0, 8)) :]
    return text, weights


def try_prompt(files: tuple[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in zip(("prompt_config.json", "prompt.safetensors"), files, strict=True):
            (Path(folder) / name).write_bytes(content)
        try:
            prompt = Prompt.load(Path(folder))
        except SpeechPromptError as error:
            refused_well(error, str(Path(folder).parent / ""))
            return
        assert all(torch.isfinite(t).all() for t in prompt.tensors().values() if t.is_floating_point())
        prompt.save(Path(folder) / "again")  # what can be read can be written
        assert Prompt.load(Path(folder) / "again").config() == prompt.config()


TARGETS = {
    "recordings": (broken_recordings(), try_recording),
    "arrays": (arrays(), try_array),
    "prompts": (broken_prompts(), try_prompt),
}


def fuzz(target: str, examples: int, seed: int | None = None) -> None:
    """Try so many inputs; without a seed always the same ones."""
    inputs, attempt = TARGETS[target]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def run(given_input: Any) -> None:
        attempt(given_input)

    if seed is not None:
        import hypothesis

        run = hypothesis.seed(seed)(run)
    run()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on (default 60)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="default: all; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each round has the next")
    args = parser.parse_args()
    ends, tried, seed = time.monotonic() + args.seconds, 0, args.seed
    while time.monotonic() < ends:
        for target in args.target or TARGETS:
            fuzz(target, 200, seed)
            tried += 200
        seed += 1
    print(f"{tried} inputs, none got through; seeds {args.seed} to {seed - 1}")


if __name__ == "__main__":
    main()
