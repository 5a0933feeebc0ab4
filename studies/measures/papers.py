"""The papers' corpora prepared, tuned and measured, and the table of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.data.corpora.catalogue import CORPORA, find
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import evaluate
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.config import Metrics
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.bundled import list_backbones
from speechprompt.tasks.catalogue import TASKS
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.papers import settings
from studies.measures.accuracy import of_split

# Corpus and task -> per cent of the task's metric: SpeechPrompt (Interspeech 2022), SpeechPrompt v2 (arXiv 2303.00733),
# their leaderboard, and issue 2 of SpeechPrompt-v2.
PUBLISHED = {
    ("speech_commands_v1", "keyword_spotting"): 94.5,
    ("grabo", "robot_commands"): 92.4,
    ("lithuanian_commands", "lithuanian_commands"): 93.2,
    ("arabic_commands", "arabic_commands"): 99.7,
    ("fluent_commands", "intent_classification"): 98.2,
    ("voxforge", "language_voxforge"): 90.9,
    ("accentdb", "accent"): 87.1,
    ("iemocap", "emotion_iemocap"): 50.2,
    ("asvspoof2019", "spoofed_speech"): 13.1,
    ("mustard", "sarcasm_mustard"): 78.7,
    ("mustardpp", "sarcasm_mustardpp"): 75.2,
    ("voxceleb1", "gender_voxceleb"): 91.6,
    ("esc50", "environmental_sounds"): 37.5,
}
SHOWN = ("v2", "ours")
HEAD = """# The papers' table, made again

Published figures beside those of this program, in per cent of the metric that the papers report. An empty cell has not
been measured; the last column has the command that fills it, ROOT being the folder that holds the corpora. Figures come
from the prompts' own records (`metrics` in prompt_config.json), with the split and how many recordings it has, and the
steps where a tuning was held to fewer than its recipe has. Bundled prompts learnt from the data that their cards name,
which may be a part of the corpus.

Made by `python -m studies.papers ROOT --backbone {backbone}`.

"""
COLUMNS = (
    "corpus",
    "task",
    "metric",
    "published",
    "`--recipe v2`",
    "`--recipe ours`",
    "bundled prompts",
    "to fill",
)


@dataclass(frozen=True)
class Cell:
    """One row of the table: a corpus and a task that it is for."""

    corpus: str
    task: str

    @property
    def published(self) -> float | None:
        return PUBLISHED.get((self.corpus, self.task))


def cells() -> Iterator[Cell]:
    for name in CORPORA:
        for task in find(name).tasks:
            yield Cell(name, task)


def is_first(cell: Cell) -> bool:
    """Whether a corpus is the first of its task."""
    return cell == next(other for other in cells() if other.task == cell.task)


def place(cell: Cell, work: Path, backbone: str, recipe: str) -> Path:
    """The folder of a prompt; a further corpus of a task has one beside those of the recipe."""
    return work / backbone / (recipe if is_first(cell) else f"{recipe}-{cell.corpus}") / cell.task


def data_of(cell: Cell, root: Path, work: Path, backbone: Backbone, recipe: str) -> Path | None:
    """The data of a corpus for a backbone, made where it is not there; None where the corpus is not found.

    Without an encoder these are the packed units that a task names, which are those of its first corpus.
    """
    task = TASKS[cell.task]
    if not backbone.has_encoder:
        stems = (task.unit_files or task.files) if is_first(cell) else ()
        return next((path for stem in stems if (path := root / f"{stem}.parquet").is_file()), None)
    copies = TuneConfig(**settings(recipe, cell.task)).augment
    kind = f"{task.channel}-{copies}.units" if copies else "units"
    units = work / backbone.name / f"{cell.corpus}.{kind}.parquet"
    if units.is_file():
        return units
    packed = next((p for p in (root, work) if (p / f"{cell.corpus}.parquet").is_file()), None)
    data = (packed or work) / f"{cell.corpus}.parquet"
    if packed is None:
        if not (root / cell.corpus).is_dir():
            return None
        must(["prepare", cell.corpus, str(root / cell.corpus), str(data)])
    units.parent.mkdir(parents=True, exist_ok=True)
    given = ["--backbone", str(backbone.folder), "--data", str(data), "--out", str(units)]
    must(["units", *given, "--augment", str(copies), "--channel", task.channel])
    return units


def must(argv: list[str]) -> None:
    if main(argv):
        raise SpeechPromptError(f"The command {argv[0]} failed, as it said above.")


def make(cell: Cell, data: Path, work: Path, backbone: Backbone, recipe: str, more: Sequence[str]) -> Prompt:
    """The prompt of a corpus by one recipe, tuned and measured on test, or valid where there is no test."""
    folder = place(cell, work, backbone.name, recipe)
    given = ["--task", cell.task, "--data", str(data), "--backbone", str(backbone.folder)]
    if not (folder / "prompt_config.json").is_file():
        run = ["--run", str(work / backbone.name / f"{recipe}-{cell.corpus}-{cell.task}.run")]
        must(["tune", *given, "--recipe", recipe, "--out", str(folder), *run, *more])
    prompt = Prompt.load(folder)
    if "measured" not in prompt.commands:
        split, examples = of_split(read_task([data], TASKS[cell.task]), "test")
        figures: Metrics = {**evaluate(backbone, prompt, examples), "split": split}
        commands = prompt.commands | {"measured": f"python -m studies.papers ROOT --backbone {backbone.name}"}
        prompt = replace(prompt, metrics=figures, commands=commands)
        prompt.save(folder, prompt_card(prompt))
    return prompt


def percent(figure: float | None) -> str:
    return "" if figure is None else f"{100 * figure:.1f}"


def figure_of(prompt: Prompt | None, made_here: bool = False) -> str:
    """The task's figure of a prompt with what it was measured on; nothing where it was not.

    made_here: then also the steps that it was held to.
    """
    if prompt is None or "accuracy" not in prompt.metrics:
        return ""
    metric = TASKS[prompt.task].metric
    found = prompt.metrics.get(metric)
    if not isinstance(found, float | int):
        return ""
    steps = re.search(r" --steps (\d+)", prompt.commands.get("tuned", "")) if made_here else None
    held = f"; {steps[1]} steps" if steps else ""
    return f"{percent(float(found))} ({prompt.metrics['split']}, {prompt.metrics['n']}{held})"


def kept(cell: Cell, work: Path, backbone: str, recipe: str) -> Prompt | None:
    """The prompt of an earlier run, if it was measured."""
    folder = place(cell, work, backbone, recipe)
    prompt = Prompt.load(folder) if (folder / "prompt_config.json").is_file() else None
    return prompt if prompt and "measured" in prompt.commands else None


def figures_of(cell: Cell, work: Path, recipe: str) -> dict[str, str]:
    """Backbone -> the figure of its prompt, of every backbone in --work."""
    names = sorted(path.name for path in work.glob("*/") if path.is_dir())
    found = {name: figure_of(kept(cell, work, name, recipe), made_here=True) for name in names}
    return {name: figure for name, figure in found.items() if figure}


def lines(figures: dict[str, str]) -> str:
    return "<br>".join(f"{name}: {figure}" for name, figure in figures.items())


def table(work: Path, backbone: str) -> str:
    """The document: every corpus with its published figure, those that were measured, and what fills the empty ones."""
    bundled = [Backbone.load(name) for name in list_backbones()]
    rows = [COLUMNS, ["---"] * len(COLUMNS)]
    for cell in cells():
        metric = TASKS[cell.task].metric.replace("_", " ")
        own = [figures_of(cell, work, recipe) for recipe in SHOWN]
        also = {one.name: found for one in bundled if (found := figure_of(one.prompts.get(cell.task)))}
        command = f"`python -m studies.papers ROOT --backbone {backbone} --corpus {cell.corpus}`"
        published = "" if cell.published is None else f"{cell.published:.1f}"
        shown = [cell.corpus, f"`{cell.task}`", metric, published, *map(lines, own), lines(also)]
        rows.append([*shown, "" if all(backbone in found for found in own) else command])
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{HEAD.format(backbone=backbone)}{body}\n"
