"""The steps of gpu_check: a function each, which gives what it found with a `summary` in a few words."""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import contenders, speed_sections
from speechprompt.models.hubert import HubertEncoder, HubertSizes
from speechprompt.pipeline import SpeechPrompt

GOAL_MS, GOAL_SHARE = 15.0, 0.4
CLIPS = ("yes", "stop", "right", "seven", "nine", "three")
Found = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much a step does."""

    device: str
    dtypes: tuple[str, ...]
    clips: int
    tasks: int
    batch: int
    seconds: float
    repeats: int

    @property
    def dry(self) -> bool:
        return self.device == "cpu"


def sizes(dry_run: bool) -> Sizes:
    if dry_run:
        return Sizes("cpu", ("float32", "bfloat16"), 2, 2, 2, 0.5, 1)
    return Sizes("cuda", ("float32", "bfloat16", "float16"), len(CLIPS), 10, 64, 10.0, 20)


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device != "cpu" else "the CPU, dry"


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def megabytes(device: str) -> float:
    """The most that the models took so far."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median_seconds(work: Callable[[], object], repeats: int, device: str) -> float:
    """Of some calls after two that warm up."""
    times = []
    for number in range(repeats + 2):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        if number >= 2:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def tests(size: Sizes) -> Found:
    """pytest's tests that are marked gpu; dry they are collected alone."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "gpu",
        "tests/models/test_hubert.py",
    ]
    command += ["tests/commands/test_cli.py", *(["--collect-only"] if size.dry else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "no output")
    if done.returncode or "skipped" in summary:
        raise SystemExit(f"pytest: {summary} {done.stderr[-200:]}")
    return {"summary": re.sub(r"=+", "", summary).strip(), "device": device_name(size.device)}


def answers(size: Sizes) -> Found:
    """mini's labels about example clips on this device, against the CPU's in float32."""
    paths = [str(contenders.ROOT / "examples" / f"{name}.flac") for name in CLIPS[: size.clips]]
    tasks = ["keyword_spotting", "spoken_digits"]

    def labels(device: str, dtype: str) -> list[tuple[str, float]]:
        sp = SpeechPrompt.from_pretrained("mini", device, prompts=tasks, dtype=dtype)
        return [(a.label, a.score) for path in paths for a in sp.classify(path, tasks)]

    expected, found = labels("cpu", "float32"), {}
    for dtype in size.dtypes:
        got = labels(size.device, dtype)
        same = sum(a[0] == b[0] for a, b in zip(got, expected, strict=True))
        furthest = max(abs(a[1] - b[1]) for a, b in zip(got, expected, strict=True))
        found[dtype] = {"same": same, "of": len(expected), "furthest": furthest}
    if found["float32"]["same"] != len(expected):
        raise SystemExit(f"float32 gives other labels than the CPU: {found['float32']}")
    shown = "; ".join(
        f"{d}: {f['same']} of {f['of']}, scores within {f['furthest']:.1g}" for d, f in found.items()
    )
    return {"dtypes": found, "summary": shown, "device": device_name(size.device)}


def speed(name: str, size: Sizes) -> Found:
    """Tasks on a clip of 1 s as benchmarks.speed measures them, in bfloat16 on a GPU; gslm's weights are random."""
    args = argparse.Namespace(
        backbone=[name],
        device=size.device,
        dtype=torch.float32 if size.dry else torch.bfloat16,
        seconds=[0.5 if size.dry else 1.0],
        tasks=[1, size.tasks],
        repeats=size.repeats,
        no_pipelines=True,
    )
    if size.dry:
        contenders.GSLM |= {"d_model": 64, "n_layers": 2, "n_heads": 4, "ffn_dim": 128}
    rows = speed_sections.tasks(args, torch.get_num_threads())
    milliseconds = rows[-1]["ms"]
    verdict = "" if size.dry else ("; met" if milliseconds < GOAL_MS else "; not met")
    shown = f"{milliseconds:.1f} ms for {size.tasks} tasks, {rows[0]['ms']:.1f} for one, the encoder's "
    shown += f"{rows[0]['encoder ms']:.1f} in each{verdict}"
    memory = f"{megabytes(size.device):.0f} MB"
    return {"rows": rows, "summary": shown, "memory": memory, "device": device_name(size.device)}


def hubert(size: Sizes) -> HubertEncoder:
    """HuBERT base at its true size with random weights, in bfloat16."""
    torch.manual_seed(0)
    tiny = HubertSizes(conv_dim=32, dim=64, n_layers=1, n_heads=4, ffn_dim=128)
    return (
        HubertEncoder(tiny if size.dry else HubertSizes(), 100)
        .to(size.device)
        .run_in(torch.float32 if size.dry else torch.bfloat16)
    )


def encoder(size: Sizes) -> Found:
    """Features of a batch, as a share of what the card multiplies in products of these sizes."""
    model, clips = hubert(size), [contenders.clip(size.seconds)] * size.batch
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.features(clips)
    seconds = median_seconds(lambda: model.features(clips), max(1, size.repeats // 4), size.device)
    *_, last = model.network.encoder.parameters()  # the first convolution stays in float32
    dtype = last.dtype
    width, ffn, rows = (64, 128, 64) if size.dry else (768, 3072, 16_384)
    most = contenders.gemm_rate(rows, width, ffn, size.device, dtype)
    share = counter.get_total_flops() / seconds / most
    verdict = "" if size.dry else ("; met" if share >= GOAL_SHARE else "; not met")
    shown = f"{100 * share:.0f} % of {most / 1e12:.3g} TFLOP/s, {size.batch * size.seconds / seconds:.0f} x real time"
    memory = f"{megabytes(size.device):.0f} MB"
    return {
        "share": share,
        "seconds of a batch": seconds,
        "summary": shown + verdict,
        "memory": memory,
        "device": device_name(size.device),
    }


def compilation(size: Sizes) -> Found:
    """A clip's features with the model as it is, and with torch.compile over its layers, which uses CUDA graphs."""
    model, clips = hubert(size), [contenders.clip(1.0)]
    plain = median_seconds(lambda: model.features(clips), size.repeats, size.device)
    expected = model.features(clips)[0].float()
    layers = model.network.encoder.layers
    for number, layer in enumerate(layers):
        layers[number] = torch.compile(
            layer, **({"backend": "eager"} if size.dry else {"mode": "reduce-overhead"})
        )
    fast = median_seconds(lambda: model.features(clips), size.repeats, size.device)
    furthest = float((model.features(clips)[0].float() - expected).abs().max())
    shown = f"{1e3 * plain:.2f} ms as it is, {1e3 * fast:.2f} compiled; features within {furthest:.1g}"
    return {
        "plain s": plain,
        "compiled s": fast,
        "furthest": furthest,
        "summary": shown,
        "device": device_name(size.device),
    }


STEPS: dict[str, Callable[[Sizes], Found]] = {
    "tests": tests,
    "answers": answers,
    "speed mini": lambda size: speed("mini", size),
    "speed gslm": lambda size: speed("gslm", size),
    "encoder": encoder,
    "compile": compilation,
}
