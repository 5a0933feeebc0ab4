"""The card of a prompt: what it is for, how it was made, how well it does and where it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from speechprompt.prompts.card_texts import (
    accuracy_line,
    answer_text,
    calibration_text,
    percent,
    seeds_line,
    strangers_line,
)
from speechprompt.prompts.confusion import PICTURE_NAME
from speechprompt.prompts.prompt import Prompt

if TYPE_CHECKING:  # a third of a second, and a list of tasks needs no card
    from huggingface_hub import EvalResult

LIBRARY = "speechprompt"  # as the Hub names libraries, and finds by them
TASK_TYPE = "audio-classification"
# Licences that prompts' data has, as the Hub spells them; others are named in its field for that.
LICENCES = {
    "apache 2.0": "apache-2.0",
    "cc by 4.0": "cc-by-4.0",
    "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0",
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "mit": "mit",
}
PICTURE_TEXT = "Table of true labels (rows) and answers (columns), each cell the count of utterances"


def in_a_cell(label: str) -> str:
    """A label as the text of a table's cell, whatever it is."""
    return label.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def how_made(prompt: Prompt) -> str:
    """The commands that made the prompt, each after the first under what it did."""
    lines = []
    for how in ("tuned", "measured", "calibrated"):
        if command := prompt.commands.get(how):
            lines += [command] if how == "tuned" else [f"# {how} by", command]
    return "\n".join(lines) or "not stated"


def lm_tag(unit_lm_sha256: str) -> str:
    """The tag by which the prompts for a unit LM are found."""
    return f"unit-lm-{unit_lm_sha256[:16]}"


def results(prompt: Prompt) -> list[EvalResult]:
    """What was measured, as the Hub lists it: accuracy and mean recall on the split, and accuracy on strangers."""
    from huggingface_hub import EvalResult

    found = []

    def add(
        data: str, split: str, metric: str, value: float, n: int, interval: list[float] | None = None
    ) -> None:
        args: dict[str, Any] = {"n": n} | ({"interval95": list(interval)} if interval else {})
        found.append(
            EvalResult(
                task_type=TASK_TYPE,
                task_name=prompt.title,
                dataset_type=prompt.task,
                dataset_name=data or prompt.task,
                dataset_split=split,
                metric_type=metric,
                metric_name=metric.replace("_", " "),
                metric_value=value,
                metric_args=args,
            )
        )

    if "accuracy" in (metrics := prompt.metrics):
        add(
            prompt.data,
            metrics["split"],
            "accuracy",
            metrics["accuracy"],
            metrics["n"],
            metrics["interval95"],
        )
        if "unweighted_recall" in metrics:
            add(prompt.data, metrics["split"], "recall", metrics["unweighted_recall"], metrics["n"])
    if (others := prompt.strangers) is not None:
        add(
            "recordings of other sources",
            "strangers",
            "accuracy",
            others["right"],
            others["n"],
            others["interval95"],
        )
    return found


def front_matter(prompt: Prompt, base_model: str, repository: str, examples: Sequence[str]) -> str:
    """The lines between the dashes of a card, as the Hub's own class writes them."""
    from huggingface_hub import ModelCardData

    stated = prompt.licence.partition(";")[0].strip()
    licence = LICENCES.get(stated.lower())
    source = f"https://huggingface.co/{repository}/resolve/main"
    widget = [{"example_title": path.rpartition("/")[2], "src": f"{source}/{path}"} for path in examples]
    measured = results(prompt)
    data = ModelCardData(
        library_name=LIBRARY,
        language=list(prompt.languages) or None,
        pipeline_tag=TASK_TYPE,
        tags=[LIBRARY, lm_tag(prompt.unit_lm_sha256), f"backbone-{prompt.backbone}"],
        base_model=base_model or None,
        model_name=prompt.task if measured else None,
        eval_results=measured or None,
        metrics=["accuracy"] if measured else None,
        widget=widget or None,
        license=licence or ("other" if stated else None),
        license_name=stated if stated and not licence else None,
    )
    return data.to_yaml()


def prompt_card(
    prompt: Prompt, base_model: str = "", repository: str = "", examples: Sequence[str] = ()
) -> str:
    """Markdown with front matter for the Hub; everything it says comes from the prompt.

    base_model: the repository of its backbone, where that is on the Hub. repository: where the card will stand, with
    these recordings beside it, to be heard there.
    """
    metrics = prompt.metrics
    rows = "\n".join(
        f"| {in_a_cell(label)} | {row['n']} | {percent(row['recall'])} | {percent(row['precision'])} |"
        for label, row in metrics.get("per_class", {}).items()
    )
    table = f"\n| label | n | recall | precision |\n|---|---|---|---|\n{rows}\n" if rows else ""
    mistakes = "\n".join(
        f"- {truth!r} answered as {answer!r}: {count} times"
        for truth, answer, count in metrics.get("confusions", [])[:5]
    )
    spoken = f" ({', '.join(prompt.languages)})" if prompt.languages else ""
    about = f"{prompt.about}\n\n" if prompt.about else ""
    chosen = (
        " The best step of the tuning was chosen on this split." if metrics.get("split") == "valid" else ""
    )
    seeds = f" {seeds_line(metrics['tuning'])}." if "tuning" in metrics else ""
    strangers = f"\n\n{strangers_line(prompt)}" if prompt.strangers else ""
    window = (
        f"- Longer recordings are answered in stretches of {prompt.form.window:g} s\n"
        if prompt.form.window
        else ""
    )
    picture = f"\n![{PICTURE_TEXT}]({PICTURE_NAME})\n" if metrics.get("confusion") else ""
    return f"""---
{front_matter(prompt, base_model, repository, examples)}
---

# {prompt.title} (`{prompt.task}`, backbone `{prompt.backbone}`)

{about}A prompt of {prompt.n_parameters:,} parameters ({"deep" if prompt.deep else "input"} prompt of length
{prompt.length}, {prompt.verbalizer} verbalizer) that makes the frozen unit LM answer with
{answer_text(prompt)}.

- Expects: {prompt.expects}{spoken}
- Data: {prompt.data}
- Licence of the data: {prompt.licence}
- Unit LM: sha256 `{prompt.unit_lm_sha256}`
{window}
## Accuracy

{accuracy_line(metrics)}.{chosen}{seeds}{strangers}
{table}{picture}
## Where it fails

Most frequent mistakes in that measurement:

{mistakes or ("- none" if metrics else "- not measured")}

{prompt.limits}

## How far its scores can be believed

{calibration_text(prompt)}

## How it was made

```
{how_made(prompt)}
```
"""
