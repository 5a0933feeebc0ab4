"""What speed.py times: a function of the name of each of its sections, which gives the rows of a table."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from benchmarks import contenders
from benchmarks.contenders import RATE, Work, clip, made_units
from speechprompt.backbone import Backbone
from speechprompt.decoding.generation import PromptedLM
from speechprompt.labelling import label as labelling
from speechprompt.models import packing

Row = dict[str, Any]


clock = time.perf_counter  # speed.py --clock cpu puts process_time here


def interleaved(works: dict[str, Work], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each, all in turn in every round; the round's first changes."""
    names = list(works)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    rounds = range(-1, repeats)  # the first is the warm-up
    with tqdm(total=len(rounds) * len(names), unit="work", mininterval=1) as bar:
        for number in rounds:
            for at in range(len(names)):
                name = names[(at + number) % len(names)]
                bar.set_postfix_str(name, refresh=False)
                began = clock()
                works[name]()
                if device != "cpu":
                    torch.cuda.synchronize()
                if number >= 0:
                    seconds[name].append(clock() - began)
                bar.update()
    return {name: statistics.median(times) for name, times in seconds.items()}


def floor_seconds(model: contenders.Ours, clips: list[np.ndarray], n_tasks: int, args) -> float:
    """The least that this machine needs for the products, and for reading the weights once."""
    config = model.lm.config
    plain = PromptedLM(model.lm, model.prompted.prompts)
    plain.lm = model.lm  # the counter knows no packed products
    units = model.units(clips)
    encoder = contenders.ours(model.name, 1, model.lm.dtype, args.device).encoder
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        if model.name == "mini":
            can_pack, packing.can_pack = packing.can_pack, lambda: False
            encoder = type(encoder).load(Backbone.load("mini").encoder_folder, args.device, args.dtype)
            packing.can_pack = can_pack
        encoder.batch(clips)
        plain.answer(units, plain.prompts[:n_tasks])
    rows = n_tasks * sum(len(u) + 2 for u in units)
    rate = contenders.gemm_rate(
        min(4096, max(32, rows)), config.d_model, config.ffn_dim, args.device, model.lm.dtype
    )
    weights = [*model.lm.parameters(), *encoder.parameters()]
    reading = sum(w.numel() * w.element_size() for w in weights) / contenders.bandwidth(args.device)
    return max(counter.get_total_flops() / rate, reading)


def tasks(args, threads: int) -> list[Row]:
    rows = []
    for name in args.backbone:
        model = contenders.ours(name, max(args.tasks), args.dtype, args.device)
        for seconds in args.seconds:
            works: dict[str, Work] = {f"{k} tasks": model.answer([clip(seconds)], k) for k in args.tasks}
            works |= {"encoder": lambda m=model, s=seconds: m.encoder.batch([clip(s)])}
            if name != "gslm" and not args.no_pipelines:
                for k in (min(args.tasks), max(args.tasks)):
                    works[f"{k} HuBERT pipelines"] = contenders.hubert_pipelines(
                        [clip(seconds)], k, args.device, args.dtype
                    )
            found = interleaved(works, args.repeats, args.device)
            for k in args.tasks:
                mine = found[f"{k} tasks"]
                row = {"backbone": name, "seconds": seconds, "tasks": k, "ms": 1e3 * mine}
                row |= {"x one task": mine / found[f"{min(args.tasks)} tasks"]}
                row |= {
                    "encoder ms": 1e3 * found["encoder"],
                    "encoder x real time": found["encoder"] / seconds,
                }
                row["floor ms"] = 1e3 * floor_seconds(model, [clip(seconds)], k, args)
                if other := found.get(f"{k} HuBERT pipelines"):
                    row |= {"pipelines ms": 1e3 * other, "x faster": other / mine}
                rows.append(row | {"threads": threads})
    return rows


def reference(args, threads: int) -> list[Row]:
    backbone = Backbone.load("hubert-mini", args.device, args.dtype)
    prompt = backbone.prompt("intent_classification")
    lm = backbone.lm
    prompted = PromptedLM(lm, [prompt])
    utterances = [made_units(1 + 0.02 * i, i).ids.tolist() for i in range(64)]
    same: list[bool] = []

    def one_by_one() -> None:
        found = [contenders.reference_answer(lm, prompt, prompted.fed[0], u) for u in utterances]
        same.append(found == [row[0].labels for row in prompted.answer(utterances)])

    def batched() -> None:
        prompted.answer(utterances)

    found = interleaved({"ours": batched, "reference": one_by_one}, max(3, args.repeats // 3), args.device)
    # The comparison is part of the reference's time; what it took is taken off.
    theirs = found["reference"] - found["ours"]
    row = {
        "utterances": 64,
        "labels": prompt.form.n_steps,
        "ms": 1e3 * found["ours"],
        "reference ms": 1e3 * theirs,
    }
    return [row | {"x faster": theirs / found["ours"], "same answers": all(same), "threads": threads}]


def length(args, threads: int) -> list[Row]:
    model = contenders.ours("mini", max(args.tasks), args.dtype, args.device)
    lengths = [0.5, 1, 2, 5, 10, 20, 40, 60] if args.full else [1, 5, 15, 30, 60]
    rows = []
    for k in sorted({min(args.tasks), max(args.tasks)}):
        works = {str(s): model.answer([clip(s)], k) for s in lengths}
        found = interleaved(works, max(3, args.repeats // 3), args.device)
        times = np.array([found[str(s)] for s in lengths])
        slope, start = np.polyfit(lengths, times, 1)
        power = np.polyfit(np.log(lengths), np.log(np.maximum(times - max(0.0, start), 1e-6)), 1)[0]
        off = float(np.abs(times - (start + slope * np.array(lengths))).max() / times.max())
        row = {"tasks": k} | {f"{s} s, ms": 1e3 * t for s, t in zip(lengths, times, strict=True)}
        row |= {"ms per second": 1e3 * slope, "at 0 s, ms": 1e3 * start, "furthest from the line": off}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(row | {"power": float(power), "peak memory so far, MB": peak, "threads": threads})
    return rows


def batch(args, threads: int) -> list[Row]:
    model = contenders.ours("mini", max(args.tasks), args.dtype, args.device)
    sizes = [1, 2, 4, 8, 16, 32, 64] if args.full else [1, 8, 64]
    rows = []
    for k in sorted({min(args.tasks), max(args.tasks)}):
        works = {str(n): model.answer([clip(1)] * n, k) for n in sizes}
        found = interleaved(works, max(3, args.repeats // 3), args.device)
        rows.append(
            {"tasks": k} | {f"batch {n}, clips/s": n / found[str(n)] for n in sizes} | {"threads": threads}
        )
    return rows


def tuning(args, threads: int) -> list[Row]:
    lm = contenders.ours("hubert-mini", 1, torch.float32, args.device).lm
    n, positions = 32, 60
    fast = contenders.fast_copy(lm).dtype  # bfloat16 where the processor multiplies it fast
    works = {"ours": contenders.prompt_tuning(lm, n, positions)}
    works["full fine-tuning"] = contenders.full_fine_tuning(lm, n, positions, fast)
    works["full fine-tuning, float32"] = contenders.full_fine_tuning(lm, n, positions, torch.float32)
    row: Row = {"dtype": str(fast).removeprefix("torch."), "threads": threads}
    try:
        peft = contenders.peft_model(lm, torch.float32)
        works["peft prefix tuning, float32"] = contenders.causal_step(peft, lm, n, positions)
        tokens = contenders.to_batch(lm, contenders.train_batch(n, positions)[0]).tokens
        prompted = PromptedLM(lm, [contenders.random_prompt(lm, ("yes", "no"))])
        utterances = contenders.train_batch(n, positions)[0]

        @torch.inference_mode()
        def forward() -> None:
            peft(input_ids=tokens, attention_mask=torch.ones_like(tokens))

        answers = {"ours": lambda: prompted.answer(utterances), "peft": forward}
        found = interleaved(answers, args.repeats, args.device)
        row |= {f"answers {name}, utterances/s": n / found[name] for name in answers}
    except ImportError:
        row["peft"] = "not installed"
    found = interleaved(works, args.repeats, args.device)
    return [row | {f"{name}, tokens/s": n * (positions + 2) / s for name, s in found.items()}]


def label(args, threads: int) -> list[Row]:
    backbone = Backbone.load("mini", args.device, args.dtype)
    names = ["keyword_spotting", "spoken_digits"]
    count = args.clips
    with tempfile.TemporaryDirectory() as folder:
        clips = [clip(1 + 0.1 * (i % 20)) for i in range(count)]
        for i, samples in enumerate(clips):
            soundfile.write(Path(folder) / f"{i:06}.flac", samples, RATE)
        total = sum(map(len, clips)) / RATE
        prompted = PromptedLM(backbone.lm, [backbone.prompt(name) for name in names])

        def models() -> None:
            for at in range(0, count, 128):
                prompted.answer(backbone.listen(clips[at : at + 128]))

        def whole() -> None:
            out = Path(folder) / "labels.csv"
            labelling.label(backbone, names, Path(folder), out, args.workers, progress=False)

        found = interleaved({"models": models, "label": whole}, 3, args.device)
        spent = {}
        for name, work in (("models", models), ("label", whole)):  # unlike the clock, blind to other programs
            began = time.process_time()
            work()
            spent[name] = time.process_time() - began
    row = {"clips": count, "minutes": total / 60, "tasks": 2, "x real time": total / found["label"]}
    row |= {"label s": found["label"], "models alone s": found["models"], "workers": args.workers}
    row |= {"x models alone": found["label"] / found["models"]}
    return [row | {"x models alone, processor time": spent["label"] / spent["models"], "threads": threads}]
