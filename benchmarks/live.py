"""How long the Live tab's listener makes one wait, and that it does not grow.

    python -m benchmarks.live                    # on Linux, `taskset -c 0,1` in front for two cores

Plays the example clips in a row, with pauses of 0.3 s in a room's noise, to a `Listener` in chunks of
0.1 s as a microphone would, only faster. Prints, over all words, how long after the sound's end the
final answer came (the hangover, and what the models added to it), the share of real time that the work
took, and the memory before and after ten minutes of sound. Takes a few minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import sys

from speechprompt.cli import run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0)


def run(args: argparse.Namespace) -> None:
    import time

    import numpy as np
    import torch
    from tqdm import tqdm, trange

    from benchmarks.live_words import play, resident, row, words
    from speechprompt.audio import load as audio
    from speechprompt.live.listener import Listener
    from speechprompt.pipeline import SpeechPrompt

    torch.set_num_threads(args.threads)
    pipeline = SpeechPrompt.from_pretrained(args.backbone, "cpu")
    rng = np.random.default_rng(0)
    sounds = {task: words(task, rng) for task in pipeline.tasks}
    sounds = {task: sound for task, sound in sounds.items() if len(sound) > audio.SAMPLE_RATE}
    if not sounds:
        raise SystemExit(f"No example clip is for a task of backbone {args.backbone}.")
    for task, sound in sounds.items():  # the first answers are slower
        play(Listener(pipeline, task), sound)

    final, provisional, played = [], [], 0.0
    began = time.perf_counter()
    for _ in trange(args.repeats, desc="words", unit="round"):
        for task, sound in sounds.items():
            labels = [e for e in play(Listener(pipeline, task), sound) if e.kind == "label"]
            final += [e for e in labels if e.final]
            provisional += [e for e in labels if not e.final]
            played += len(sound) / audio.SAMPLE_RATE
    worked = time.perf_counter() - began
    print(f"{args.backbone}, {args.threads} threads, {len(final)} words\n")
    print("| ms | 5 % | median | 95 % | most |\n|---|---|---|---|---|")
    print(row("hangover", [e.decided - e.end for e in final]))
    print(row("models, for one answer", [e.processing for e in final]))
    print(row("end of sound to final answer", [e.latency for e in final]))
    print(row("models, for a provisional answer", [e.processing for e in provisional]))
    print(f"\nreal-time factor while words come one after the other: {worked / played:.3f}")

    task, sound = next(iter(sounds.items()))
    listener, before = Listener(pipeline, task), resident()
    began = time.perf_counter()
    with tqdm(total=round(60 * args.minutes), desc="long", unit="s") as bar:
        while listener.seconds < 60 * args.minutes:
            play(listener, sound)
            bar.update(min(round(listener.seconds), bar.total) - bar.n)
    worked = time.perf_counter() - began
    print(
        f"memory before and after {listener.seconds / 60:.1f} minutes: {before:.0f} MB, {resident():.0f} MB"
    )
    print(f"real-time factor over them: {worked / listener.seconds:.3f}")


if __name__ == "__main__":
    sys.exit(run_command("python -m benchmarks.live", sys.modules[__name__]))
