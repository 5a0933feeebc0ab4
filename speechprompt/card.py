"""The card of a prompt: what it is for, how it was made, how well it does and where it fails."""

from __future__ import annotations

from typing import Any

from speechprompt.prompt import Prompt


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def accuracy_line(metrics: dict[str, Any]) -> str:
    low, high = metrics["interval95"]
    return (
        f"**{percent(metrics['accuracy'])}** of {metrics['n']} utterances of the {metrics['split']} split "
        f"(95 % interval {percent(low)} to {percent(high)}; mean recall of the classes "
        f"{percent(metrics['unweighted_recall'])})"
    )


def prompt_card(prompt: Prompt, command: str) -> str:
    """Markdown with front matter for the Hub; every figure comes from prompt.metrics."""
    metrics = prompt.metrics
    rows = "\n".join(
        f"| {label} | {row['n']} | {percent(row['recall'])} | {percent(row['precision'])} |"
        for label, row in metrics["per_class"].items()
    )
    mistakes = "\n".join(
        f"- {truth!r} answered as {answer!r}: {count} times"
        for truth, answer, count in metrics["confusions"][:5]
    )
    chosen = " The best step of the tuning was chosen on this split." if metrics["split"] == "valid" else ""
    return f"""---
library_name: speechprompt
pipeline_tag: audio-classification
---

# {prompt.title} (`{prompt.task}`, backbone `{prompt.backbone}`)

A prompt of {prompt.n_parameters:,} parameters ({"deep" if prompt.deep else "input"} prompt of length
{prompt.length}, {prompt.verbalizer} verbalizer) that makes the frozen unit LM answer with one of
{len(prompt.labels)} labels.

- Data: {prompt.data}
- Licence of the data: {prompt.licence}
- Unit LM: sha256 `{prompt.unit_lm_sha256}`

## Accuracy

{accuracy_line(metrics)}.{chosen}

| label | n | recall | precision |
|---|---|---|---|
{rows}

## Where it fails

Most frequent mistakes in that measurement:

{mistakes or "- none"}

Sounds that are none of the labels are still answered with one of them.

## How it was made

```
{command}
```
"""
