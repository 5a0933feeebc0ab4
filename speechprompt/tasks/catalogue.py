"""The tasks by name: those that this package ships prompts for, a table a group, and those of the papers' corpora.

A task that is not here can be tuned too; the command line asks for what these tables have of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.tasks import emotions, keywords, meaning, sources, speakers
from speechprompt.tasks.labels import Labels, Row, Rule, labels_of
from speechprompt.tasks.papers import CORPUS_TASKS
from speechprompt.tasks.task import Task

TABLES = (keywords.TABLE, meaning.TABLE, emotions.TABLE, sources.TABLE, speakers.TABLE, CORPUS_TASKS)
TASKS = {task.name: task for table in TABLES for task in table}


def task_of(name: str, label_rule: dict[str, Any] | None, labels: Sequence[str] = ()) -> Task:
    """The task that a prompt of this name is measured as, by the rule that rule_of gives; without its train_files."""
    rule = rule_of(name, label_rule, labels)
    return replace(TASKS.get(name) or Task(name, name, "Other", "", ""), label_rule=rule, train_files=())


def rule_of(task: str, label_rule: dict[str, Any] | None, labels: Sequence[str] = ()) -> Rule:
    """How data for a prompt gets its labels: by the prompt's rule, else by that of its task, which is a function.

    labels: the prompt's; of a prompt without the task's open_label, rows that have it are left out.
    """
    if label_rule is not None:
        return label_rule
    if task not in TASKS:
        raise SpeechPromptError(
            f"The prompt {task} does not say how data gets its labels, and no task of this program has that name: "
            'give it a label_rule such as {"column": "label"}.'
        )
    rule, others = TASKS[task].label_rule, TASKS[task].open_label
    if others is None or not labels or others in labels:
        return rule

    def closed(row: Row) -> Labels | None:
        found = labels_of(row, rule)
        return None if found == (others,) else found

    return closed
