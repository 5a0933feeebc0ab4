"""From examples to figures: recordings become units once, a prompt answers them, answers are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from speechprompt.audio import load as audio
from speechprompt.audio.augment import PLAIN
from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example
from speechprompt.decoding.generation import stream
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.metrics import measure
from speechprompt.prompts.config import Metrics
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import Units, Utterance, check_unit_ids

BATCH = 64
Recording = Callable[[np.ndarray, int, int], np.ndarray]  # (waveform, clip, copy) -> what is heard


def waveform_of(example: Example) -> np.ndarray:
    """Decode one example; a bad recording is named by its id."""
    if not isinstance(example.audio, bytes):  # data must not make us open a path that it names
        raise SpeechPromptError(f"{example.id} has no audio: the column must hold the bytes of sound files.")
    try:
        return audio.load(example.audio)
    except SpeechPromptError as error:
        raise SpeechPromptError(f"{example.id}: {error}") from error


def to_units(
    backbone: Backbone,
    examples: Sequence[Example],
    copies: int = 0,
    recording: Recording = PLAIN.recording,
) -> list[Units]:
    """Units of every example; with `copies`, then of that many simulated recordings.

    The result holds len(examples) · (1 + copies) utterances: copy 0 of all first, then copy by copy.
    recording: makes the copies, copy 0 too (see augment.Simulation, of which copy 0 is the clip itself).
    Units that the data has instead of recordings stay as they are.
    """
    if all(example.units is not None for example in examples):
        return [
            Units.from_frames(check_unit_ids(example.units or [], backbone.n_units)) for example in examples
        ]
    sizes = [len(example.audio or b"") for example in examples]
    with tqdm(total=len(sizes) * (1 + copies), desc="units", unit="clip", mininterval=2) as progress:
        return listen_to(
            backbone,
            lambda clip, copy: recording(waveform_of(examples[clip]), clip, copy),
            sizes,
            copies,
            lambda n: progress.update(n),
        )


def listen_to(
    backbone: Backbone,
    load: Callable[[int, int], np.ndarray],
    sizes: Sequence[int],
    copies: int,
    report: Callable[[int], object],
) -> list[Units]:
    """Units of the recordings load(clip, copy), in the order of to_units.

    sizes: about how long each clip is, in any unit. report is told how many more have been heard.
    """
    work = [(copy, clip) for copy in range(copies + 1) for clip in range(len(sizes))]
    work.sort(key=lambda item: sizes[item[1]])  # like sizes, about like lengths
    found: dict[tuple[int, int], Units] = {}
    for at in range(0, len(work), BATCH):
        waveforms = [load(clip, copy) for copy, clip in work[at : at + BATCH]]
        found.update(zip(work[at : at + BATCH], backbone.listen(waveforms), strict=True))
        report(len(waveforms))
    return [found[copy, clip] for copy in range(copies + 1) for clip in range(len(sizes))]


def nothing_recorded(backbone: Backbone, n: int, seed: int) -> list[Units]:
    """Units of n recordings of nothing: digital zeros and the faint hiss of an open microphone."""
    rng = np.random.default_rng(seed)
    waveforms = []
    for i in range(n):
        size = int(rng.uniform(0.3, 3.0) * audio.SAMPLE_RATE)
        level = 0.0 if i % 3 == 0 else 10 ** (rng.uniform(-110, -60) / 20)
        waveforms.append((level * rng.standard_normal(size)).astype(np.float32))
    return backbone.listen(waveforms)


def evaluate(
    backbone: Backbone, prompt: Prompt, examples: Sequence[Example], known: Sequence[Utterance] | None = None
) -> Metrics:
    """Answer every example through the same path as the app; see metrics.measure for what comes back.

    known: the units of the examples, where they are there already.
    """
    check_answers(prompt, examples)
    utterances = to_units(backbone, examples) if known is None else known
    answers = list(answers_to(backbone, prompt, utterances))
    labels, scores = [found for found, _ in answers], [score for _, score in answers]
    return measure(prompt, [e.labels for e in examples], labels, scores)


def answers_to(
    backbone: Backbone, prompt: Prompt, utterances: Sequence[Utterance]
) -> Iterator[tuple[tuple[str, ...], float]]:
    """The labels that a prompt answers each utterance with, and the probability of its second label as the first."""
    found = stream(backbone.lm, prompt, utterances)
    for raw in tqdm(found, total=len(utterances), desc="answers", unit="clip", mininterval=2):
        yield tuple(prompt.labels[i] for i in raw.labels), float(raw.probabilities[0, 1])


def check_answers(prompt: Prompt, examples: Sequence[Example]) -> None:
    """Raise SpeechPromptError when the data has answers that the prompt cannot give."""
    unknown = sorted({label for e in examples for label in e.labels} - set(prompt.labels))
    if unknown:
        raise SpeechPromptError(
            f"The data has the label {unknown[0]!r}, which the prompt {prompt.task} cannot answer; "
            f"its labels are {', '.join(prompt.labels[:20])}."
        )
    if prompt.form.kind != "sequence" and any(len(e.labels) != prompt.form.n_steps for e in examples):
        raise SpeechPromptError(
            f"The prompt {prompt.task} answers with {prompt.form.n_steps} labels, the data with others."
        )
