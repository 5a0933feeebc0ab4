"""Write down what this package makes of recordings, for who answers without it: the numbers that web/ is tested with.

  python -m tools.golden web/test/golden.json
  python -m tools.golden golden.json --wav sounds

Of every example (or --recordings): samples, units, and each task's answer. Of made-up sounds: what resampling, the
search for pauses and the judgement of silence give. Of made-up logits: a verbalizer in closed form and its calibration.
--wav writes the recordings beside it as WAV at their own rate, for what cannot decode FLAC.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speechprompt.cli import run_command
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import cannot_write

if TYPE_CHECKING:
    from speechprompt.prompts.prompt import Prompt

EVERY = 499  # samples; of so many one is written down
RATES = (8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000)
# Sounds that both sides make by `sound`: tone (Hz) from and to (seconds) at a level, and noise throughout.
SOUNDS: tuple[dict[str, float], ...] = (
    {"seconds": 1.3, "hz": 310, "from": 0.4, "to": 0.9, "level": 0.3, "noise": 0.002},
    {"seconds": 4.0, "hz": 220, "from": 2.1, "to": 2.7, "level": 0.2, "noise": 0.001},
    {"seconds": 1.0, "hz": 180, "from": 0.0, "to": 1.0, "level": 0.2, "noise": 0.0},
    {"seconds": 1.0, "hz": 100, "from": 0.0, "to": 0.0, "level": 0.0, "noise": 0.1},
    {"seconds": 1.0, "hz": 100, "from": 0.5, "to": 0.503, "level": 0.9, "noise": 0.001},
    {"seconds": 0.3, "hz": 500, "from": 0.0, "to": 0.3, "level": 0.2, "noise": 0.01},
    {"seconds": 1.0, "hz": 100, "from": 0.0, "to": 0.0, "level": 0.0, "noise": 0.0005},
)


def noise(n: int, seed: int = 1) -> np.ndarray:
    """float64 [n], -0.5 to 0.5, by a generator that is two lines in any language."""
    state, found = seed, np.empty(n)
    for i in range(n):
        state = (1664525 * state + 1013904223) % 2**32
        found[i] = state / 2**32 - 0.5
    return found


def sound(spec: dict[str, float], rate: int) -> np.ndarray:
    """float32 [T] at a rate, see SOUNDS."""
    t = np.arange(int(spec["seconds"] * rate)) / rate
    on = (t >= spec["from"]) & (t < spec["to"])
    tone = np.sin(2 * np.pi * spec["hz"] * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return (spec["level"] * tone * on + spec["noise"] * noise(len(t))).astype(np.float32)


def of_sounds() -> list[dict[str, Any]]:
    from speechprompt.audio.load import resample
    from speechprompt.audio.pauses import without_pauses
    from speechprompt.audio.silence import has_no_speech, is_silent

    found = []
    for spec in SOUNDS:
        waveform = sound(spec, 16_000)
        resampled = {}
        for rate in RATES:
            made = resample(sound(spec, rate), rate)
            resampled[str(rate)] = {"n": len(made), "samples": thinned(made)}
        found.append(
            {
                **spec,
                "resampled": resampled,
                "span": list(without_pauses(waveform)),
                "silent": is_silent(waveform),
                "no_speech": has_no_speech(waveform),
            }
        )
    return found


def of_stream() -> list[list[int]]:
    """All sounds in a row, as a stream: start, end and length of the sound of each stretch that may be a voice."""
    from speechprompt.audio.segmenter import stretches_of_speech

    stream = np.concatenate([sound(spec, 16_000) for spec in SOUNDS])
    found = stretches_of_speech(stream, any_sound=True)
    return [[one.start, one.end, len(one.sound)] for one in found]


def of_closed_form() -> dict[str, Any]:
    """30 rows of 24 numbers in 3 labels and 15 groups, see closed_form.fit_verbalizer."""
    from speechprompt.evaluation.calibration import careful_threshold, fit_calibration
    from speechprompt.teaching.closed_form import fit_verbalizer

    n, width, labels = 30, 24, [i % 3 for i in range(15)] * 2
    logits = noise(n * width, 7).reshape(n, width) + np.array(labels)[:, None] * noise(width, 9) * 0.7
    fit = fit_verbalizer(logits, labels, [*range(15)] * 2, 3)
    right = fit.held_out.argmax(1) == np.array(labels[:15])
    calibration = fit_calibration([fit.held_out], right, "held-out", careful_threshold)
    return {
        "weight": rounded(fit.verbalizer_weight.ravel()),
        "held_out": rounded(fit.held_out.ravel()),
        "cross_entropy": fit.cross_entropy,
        "calibration": dict(calibration),
    }


def of_recordings(
    backbone: Any,
    recordings: Sequence[Path],
    tasks: Sequence[str] | None = None,
    prompts: Sequence[Prompt] | None = None,
) -> list[dict[str, Any]]:
    """Of each recording its samples, its units and the answers to some tasks, by default all, of the backbone's prompts
    or others."""
    from speechprompt.audio.decoders import whole
    from speechprompt.audio.headers import SoundFile
    from speechprompt.audio.load import load
    from speechprompt.pipeline import SpeechPrompt

    sp, found = SpeechPrompt(backbone, prompts), []
    for path in recordings:
        waveform = load(path)
        with path.open("rb") as file:
            ((_, rate),) = whole(SoundFile(file), path.suffix, 60.0)
        entry: dict[str, Any] = {
            "file": path.name,
            "rate": rate,
            "n": len(waveform),
            "samples": thinned(waveform),
        }
        entry["units"] = sp.units(waveform).to_dict()
        entry["answers"] = {task: answered(sp, waveform, task) for task in tasks or sp.tasks}
        found.append(entry)
    return found


def write_wav(recordings: Sequence[Path], folder: Path) -> None:
    """Every recording as WAV of 32-bit floats, at its own rate."""
    import soundfile

    from speechprompt.audio.decoders import whole
    from speechprompt.audio.headers import SoundFile

    folder.mkdir(parents=True, exist_ok=True)
    for path in recordings:
        with path.open("rb") as file:
            ((mono, rate),) = whole(SoundFile(file), path.suffix, 60.0)
        soundfile.write(folder / f"{path.stem}.wav", mono, rate, subtype="FLOAT")


def answered(sp: Any, waveform: np.ndarray, task: str) -> dict[str, Any]:
    """One task's answer, or the sentence that says why there is none."""
    try:
        (answer,) = sp.classify(waveform, [task])
    except SpeechPromptError as error:
        return {"refused": str(error)}
    return {
        "label": answer.label,
        "score": round(answer.score, 6),
        "fits": answer.fits,
        "reason": answer.reason,
        "generated": answer.generated,
        "slots": answer.slots,
    }


def thinned(samples: np.ndarray) -> list[float]:
    return rounded(samples[::EVERY])


def rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 7) for value in values]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    parser.add_argument("--backbone", default="mini", help="bundled name or folder (default: mini)")
    parser.add_argument("--recordings", nargs="+", type=Path, metavar="FILE", help="default: the examples")
    parser.add_argument("--wav", type=Path, metavar="DIR", help="also write the recordings there, as WAV")


def run(args: argparse.Namespace) -> None:
    from speechprompt.backbone import Backbone
    from speechprompt.making.export.onnx_folder import example_recordings

    backbone = Backbone.load(args.backbone)
    recordings = args.recordings or example_recordings()
    if args.wav is not None:
        write_wav(recordings, args.wav)
    facts: dict[str, Any] = {
        "backbone": backbone.name,
        "unit_lm_sha256": backbone.unit_lm_sha256,
        "encoder_sha256": backbone.encoder_sha256,
        "every": EVERY,
        "sounds": of_sounds(),
        "stream": of_stream(),
        "closed_form": of_closed_form(),
        "recordings": of_recordings(backbone, recordings),
    }
    lines = json.dumps(facts, ensure_ascii=False, allow_nan=False)
    try:
        args.out.write_text(lines.replace('{"file"', '\n{"file"') + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(args.out.name, error) from error
    print(f"{args.out}: {len(facts['recordings'])} recordings, {len(facts['sounds'])} sounds")


if __name__ == "__main__":
    sys.exit(run_command("python -m tools.golden", sys.modules[__name__]))
