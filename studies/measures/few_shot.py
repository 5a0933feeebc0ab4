"""Tasks learnt from a few clips of each word, by each way of learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from speechprompt.audio.augment import Simulation
from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example
from speechprompt.decoding.generation import stream
from speechprompt.evaluation.evaluate import to_units, waveform_of
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.teaching.teacher import TeachConfig, teach
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import tune

KEYWORDS = "keyword_spotting"
STEPS, TOKENS_PER_BATCH = 240, 1024  # of tuning with gradient steps


@dataclass
class Method:
    """One way to learn: examples, their labels and a seed -> a prompt; what came out."""

    name: str
    learn: Callable[[list[Example], list[str], int], Prompt]
    accuracy: list[float] = field(default_factory=list)
    estimate: list[float] = field(default_factory=list)  # what the prompt itself says, from its own clips
    right_flagged: list[float] = field(default_factory=list)
    others_flagged: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def taught(backbone: Backbone, config: TeachConfig) -> Callable[[list[Example], list[str], int], Prompt]:
    def learn(examples: list[Example], words: list[str], seed: int) -> Prompt:
        clips = {word: [waveform_of(e) for e in examples if e.labels[0] == word] for word in words}
        return teach(backbone, "Benchmark", clips, TeachConfig(**{**vars(config), "seed": seed})).prompt

    return learn


def tuned(backbone: Backbone, start: Prompt | None) -> Callable[[list[Example], list[str], int], Prompt]:
    """STEPS gradient steps, with a verbalizer that begins at random."""
    plan = TeachConfig()

    def learn(examples: list[Example], words: list[str], seed: int) -> Prompt:
        units = to_units(backbone, examples, plan.copies, Simulation(seed, plan.pauses).recording)
        truth = [words.index(e.labels[0]) for e in examples]
        data = [(u, (truth[i % len(truth)],)) for i, u in enumerate(units)]
        config = TuneConfig(
            prompt_length=start.length if start else 20,
            steps=STEPS,
            tokens_per_batch=TOKENS_PER_BATCH,
            check_every=STEPS,
            seed=seed,
        )
        form, tensors = AnswerForm(tuple(words)), {}
        if start is not None:
            tensors = {name: getattr(start, name) for name in ("key_prompts", "value_prompts", "separator")}
        found, _ = tune(backbone.lm, data, data[: len(words)], form, config, start=tensors, keep="last")
        sha256 = backbone.unit_lm_sha256
        return Prompt(
            task="benchmark",
            title="Benchmark",
            form=form,
            backbone=backbone.name,
            unit_lm_sha256=sha256,
            **found,
        )

    return learn


def flags(backbone: Backbone, prompt: Prompt, examples: list[Example]) -> tuple[list[bool], list[bool]]:
    """Which answers are right, and which are flagged."""
    answers = list(stream(backbone.lm, prompt, to_units(backbone, examples)))
    right = [prompt.labels[a.labels[0]] == e.labels[0] for a, e in zip(answers, examples, strict=True)]
    return right, [answer.score < prompt.threshold for answer in answers]
