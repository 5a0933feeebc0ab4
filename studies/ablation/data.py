"""The units and labels of an ablation: made from recordings once, then read from the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from speechprompt.backbone import Backbone
from speechprompt.data import dataset
from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import read_json, replaced_file, sha256_file, write_json
from speechprompt.storage.parquet import read_parquet
from speechprompt.tasks.catalogue import TASKS, Task
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.labelled import labelled
from speechprompt.tuning.recipe import check_learnt, labels_in_order
from speechprompt.tuning.trainable import Labelled
from speechprompt.units import Units

UNITS, SETTINGS = "units.parquet", "settings.json"


@dataclass
class Data:
    """Units with their label indices, and the labels."""

    train: list[Labelled]
    valid: list[Labelled]
    labels: list[str]


def read_data(
    run: Path, path: Path, name: str, label_column: str | None, steps: int, backbone: Backbone
) -> Data:
    """The units of the run folder, made when they are not there yet; SpeechPromptError when it is another run's."""
    task = TASKS.get(name) or Task(name, name, "Other", path.stem, "not stated")
    if task.form.kind != "label":
        raise SpeechPromptError(f"{task.title} has several labels in an answer: choose a task with one.")
    rule = {"column": label_column} if label_column else task.label_rule
    asked = {
        "task": task.name,
        "data": path.name,
        "data_sha256": sha256_file(path),
        "label_rule": rule if isinstance(rule, Mapping) else None,
        "backbone": backbone.name,
        "unit_lm_sha256": backbone.unit_lm_sha256,
        "copies": TuneConfig.augment,
        "steps": steps,
    }
    if (run / SETTINGS).is_file():
        stored = read_json(run, SETTINGS, "Ablation")
        if any(stored.get(key) != value for key, value in asked.items()):
            raise SpeechPromptError(
                "The run folder holds another ablation (other data, steps or backbone): choose an empty --run."
            )
        rows = list(read_parquet(run / UNITS, [], others=True))
        found = {split: [read_row(r) for r in rows if r["split"] == split] for split in ("train", "valid")}
        return Data(found["train"], found["valid"], stored["labels"])
    train, valid = (dataset.read(path, rule, split) for split in ("train", "valid"))
    labels = labels_in_order(task, train)
    check_learnt(labels, valid)
    silence = labels.index(task.form.silence_label) if task.form.silence_label in labels else None
    answers = [[(labels.index(e.labels[0]),) for e in examples] for examples in (train, valid)]
    data = Data(
        labelled(backbone, train, answers[0], TuneConfig.augment, silence=silence),
        labelled(backbone, valid, answers[1]),
        labels,
    )
    kept = [write_row("train", *one) for one in data.train] + [write_row("valid", *one) for one in data.valid]
    with replaced_file(run / UNITS) as aside:
        pq.write_table(pa.Table.from_pylist(kept), aside)
    facts = {
        "labels": labels,
        "recordings": len(train),
        "n_train": len(data.train),
        "n_valid": len(data.valid),
    }
    write_json(run / SETTINGS, {**asked, **facts})
    return data


def write_row(split: str, units: Units, answer: Sequence[int]) -> dict[str, Any]:
    log_f0 = None if units.log_f0 is None else units.log_f0.tolist()
    facts = {"split": split, "label": answer[0], "log_f0": log_f0}
    return facts | {"units": units.ids.tolist(), "lengths": units.lengths.tolist()}


def read_row(row: dict[str, Any]) -> Labelled:
    ids, lengths = (np.array(row[name], np.int64) for name in ("units", "lengths"))
    log_f0 = None if row["log_f0"] is None else np.array(row["log_f0"], np.float32)
    return Units(ids, np.cumsum(lengths) - lengths, lengths, log_f0), (row["label"],)
