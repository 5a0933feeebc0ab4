"""How fast answers are, against what one would use instead. One command, a table, a JSON file.

    python benchmarks/speed.py                      # a few minutes
    python benchmarks/speed.py --full --json speed.json
    python benchmarks/speed.py --only length --seconds 1 5 20 60 --threads 2

Within a row all contenders run in turn, round after round, after a warm-up; medians are over the rounds,
so that a machine with other work to do slows all of them alike and the ratios stay.

tasks      K tasks on a clip: ours, K HuBERT-base pipelines, and the floor: the matrix products at the
           machine's own rate, or its memory's bandwidth for the weights, whichever takes longer
reference  answers of three labels for 64 utterances: one batch with a cache, against a pass for every label
length     cost against the length of a clip, with the straight line that fits it best
batch      clips in one batch
tuning     tokens per second of a tuning step, against full fine-tuning and peft's prefix tuning
label      `speechprompt label` on a folder of clips, against the encoder and the LM alone
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # from a clone that is not installed

import contenders
import numpy as np
import soundfile
import torch
from contenders import RATE, Work, clip, made_units
from torch.utils.flop_counter import FlopCounterMode

from speechprompt import packing
from speechprompt.backbone import Backbone
from speechprompt.generation import PromptedLM
from speechprompt.labelling import label

Row = dict[str, Any]


clock = time.perf_counter  # --clock cpu takes process_time


def interleaved(works: dict[str, Work], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each, all in turn in every round; the round's first changes."""
    names = list(works)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, repeats):  # the first round is the warm-up
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            began = clock()
            works[name]()
            if device != "cpu":
                torch.cuda.synchronize()
            if number >= 0:
                seconds[name].append(clock() - began)
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
            encoder = type(encoder).load(Backbone.load("mini").encoder_folder, args.device)
            packing.can_pack = can_pack
        encoder.batch(clips)
        plain.answer(units, range(n_tasks))
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
                        [clip(seconds)], k, args.device
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
    backbone = Backbone.load("hubert-mini", args.device)
    prompt = backbone.prompt("intent_classification")
    lm = backbone.lm.to(args.dtype)
    prompted = PromptedLM(lm, [prompt])
    utterances = [made_units(1 + 0.02 * i, i).ids.tolist() for i in range(64)]
    same: list[bool] = []

    def one_by_one() -> None:
        found = [contenders.reference_answer(lm, prompt, prompted.fed[0], u) for u in utterances]
        same.append(found == [row[0].labels for row in prompted.answer(utterances, [0])])

    def batched() -> None:
        prompted.answer(utterances, [0])

    found = interleaved({"ours": batched, "reference": one_by_one}, max(3, args.repeats // 3), args.device)
    # The comparison is part of the reference's time; what it took is taken off.
    theirs = found["reference"] - found["ours"]
    row = {
        "utterances": 64,
        "labels": prompt.n_steps,
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
    n, places = 32, 60
    fast = contenders.fast_copy(lm).dtype  # bfloat16 where the processor multiplies it fast
    works = {"ours": contenders.prompt_tuning(lm, n, places)}
    works["full fine-tuning"] = contenders.full_fine_tuning(lm, n, places, fast)
    works["full fine-tuning, float32"] = contenders.full_fine_tuning(lm, n, places, torch.float32)
    row: Row = {"dtype": str(fast).removeprefix("torch."), "threads": threads}
    try:
        peft = contenders.peft_model(lm, torch.float32)
        works["peft prefix tuning, float32"] = contenders.causal_step(peft, n, places)
        tokens, _ = contenders.to_batch(contenders.train_batch(n, places)[0], args.device)
        prompted = PromptedLM(lm, [contenders.random_prompt(lm, ("yes", "no"))])
        utterances = contenders.train_batch(n, places)[0]

        @torch.inference_mode()
        def forward() -> None:
            peft(input_ids=tokens, attention_mask=torch.ones_like(tokens))

        answers = {"ours": lambda: prompted.answer(utterances, [0]), "peft": forward}
        found = interleaved(answers, args.repeats, args.device)
        row |= {f"answers {name}, utterances/s": n / found[name] for name in answers}
    except ImportError:
        row["peft"] = "not installed"
    found = interleaved(works, args.repeats, args.device)
    return [row | {f"{name}, tokens/s": n * (places + 2) / s for name, s in found.items()}]


def labelling(args, threads: int) -> list[Row]:
    backbone = Backbone.load("mini", args.device)
    names = ["keyword_spotting", "spoken_digits"]
    count = 1000 if args.full else 300
    with tempfile.TemporaryDirectory() as folder:
        clips = [clip(1 + 0.1 * (i % 20)) for i in range(count)]
        for i, samples in enumerate(clips):
            soundfile.write(Path(folder) / f"{i:04}.flac", samples, RATE)
        total = sum(map(len, clips)) / RATE
        prompted = PromptedLM(backbone.lm, [backbone.prompt(name) for name in names])

        def models() -> None:
            for at in range(0, count, 128):
                prompted.answer(backbone.listen(clips[at : at + 128]), range(2))

        def whole() -> None:
            label(backbone, names, Path(folder), Path(folder) / "labels.csv", args.workers, progress=False)

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


SECTIONS = {
    "tasks": tasks,
    "reference": reference,
    "length": length,
    "batch": batch,
    "tuning": tuning,
    "label": labelling,
}


def table(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))

    def text(value: Any) -> str:
        return (
            f"{value:.3g}"
            if isinstance(value, float) and value < 1000
            else f"{value:,.0f}"
            if isinstance(value, float)
            else str(value)
        )

    lines = [columns, ["---"] * len(columns), *([text(row.get(c, "")) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--backbone", nargs="+", choices=("mini", "hubert-mini", "gslm"))
    parser.add_argument("--seconds", nargs="+", type=float, help="of the clip in `tasks`; 0.5 to 60")
    parser.add_argument("--tasks", nargs="+", type=int, help="K, 1 to 32")
    parser.add_argument("--threads", nargs="+", type=int, default=[torch.get_num_threads()])
    parser.add_argument("--workers", type=int, default=1, help="processes that decode in `label`")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="of the LM"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time of all threads; with --threads 1 the fairer one beside other programs",
    )
    parser.add_argument("--no-pipelines", action="store_true", help="leave the HuBERT pipelines out")
    parser.add_argument("--full", action="store_true", help="all axes; an hour on two cores")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.backbone = args.backbone or ["mini", "hubert-mini", *(["gslm"] if args.full else [])]
    args.seconds = args.seconds or ([0.5, 1, 5, 15, 60] if args.full else [1])
    args.tasks = sorted(args.tasks or ([1, 2, 4, 8, 10, 16, 32] if args.full else [1, 10]))
    args.dtype = getattr(torch, args.dtype)
    global clock
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    where = torch.cuda.get_device_name() if args.device != "cpu" else processor()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    facts = f"{where}, {os.cpu_count()} cores, PyTorch {torch.__version__}{load}, {args.clock} clock"
    print(facts)
    results: dict[str, Any] = {"machine": facts, "sections": {}}
    for section in args.only:
        rows = []
        for threads in args.threads:
            torch.set_num_threads(threads)
            rows += SECTIONS[section](args, threads)
        print(f"\n{section}\n\n{table(rows)}", flush=True)
        results["sections"][section] = rows
        if args.json:
            args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
