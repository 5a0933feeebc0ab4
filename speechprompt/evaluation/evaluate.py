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
WINDOW, WINDOW_BYTES = 2048, 128 << 20  # clips, and bytes of their files, that are read together
Recording = Callable[[np.ndarray, int, int], np.ndarray]  # (waveform, clip, copy) -> what is heard


def waveform_of(example: Example) -> np.ndarray:
    """Decode one example; a bad recording is named by its id."""
    return decoded(example.id, example.sound())


def decoded(name: str, sound: bytes) -> np.ndarray:
    try:
        return audio.load(sound)
    except SpeechPromptError as error:
        raise SpeechPromptError(f"{name} (`units --data` leaves such ones out): {error}") from error


def to_units(
    backbone: Backbone,
    examples: Sequence[Example],
    copies: int = 0,
    recording: Recording = PLAIN.recording,
) -> list[Units]:
    """Units of every example; with `copies`, then of that many simulated recordings.

    The result holds len(examples) · (1 + copies) utterances: copy 0 of all first, then copy by copy.
    recording: makes the copies, copy 0 too (see augment.Simulation, of which copy 0 is the clip itself).
    Units that the data has instead of recordings stay as they are; SpeechPromptError when another encoder heard them.
    """
    if all(example.units is not None for example in examples):
        return [units_of(backbone, example) for example in examples]
    n = len(examples)
    found: dict[int, Units] = {}
    with tqdm(total=n * (1 + copies), desc="units", unit="clip", mininterval=2) as progress:
        for first, sounds in windows(examples):
            names = [example.id for example in examples[first : first + len(sounds)]]

            def load(
                clip: int,
                copy: int,
                first: int = first,
                sounds: list[bytes] = sounds,
                names: list[str] = names,
            ) -> np.ndarray:
                return recording(decoded(names[clip], sounds[clip]), first + clip, copy)

            units = listen_to(backbone, load, list(map(len, sounds)), copies, lambda n: progress.update(n))
            for i, one in enumerate(units):
                copy, clip = divmod(i, len(sounds))
                found[copy * n + first + clip] = one
            sounds.clear()  # before the next ones are read, which would stand beside them
    return [found[i] for i in range(n * (1 + copies))]


def windows(examples: Sequence[Example]) -> Iterator[tuple[int, list[bytes]]]:
    """The number of a first example and the sound files from it on, in memory together: all that already are."""
    kept = all(isinstance(example.audio, bytes) for example in examples)
    first, sounds, size = 0, [], 0
    for number, example in enumerate(examples):
        sounds.append(example.sound())
        size += len(sounds[-1])
        if not kept and (size >= WINDOW_BYTES or len(sounds) >= WINDOW):
            yield first, sounds
            first, sounds, size = number + 1, [], 0
    if sounds:
        yield first, sounds


def units_of(backbone: Backbone, example: Example) -> Units:
    """The units that the data has; SpeechPromptError when they are not of the backbone's encoder."""
    units = example.units
    if example.encoder and backbone.has_encoder and example.encoder != backbone.encoder_sha256:
        raise SpeechPromptError(
            f"{example.source} holds units of another encoder than the backbone {backbone.name} has: make them "
            "again with the command units."
        )
    if isinstance(units, Units):
        check_unit_ids(units.ids, backbone.n_units)
        return units
    return Units.from_frames(check_unit_ids(units or [], backbone.n_units), backbone.info.frames_of_20_ms)


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
