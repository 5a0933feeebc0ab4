"""What tests of comparing share."""

from __future__ import annotations

from pathlib import Path

from speechprompt.ui.desk import Desk
from tests import tiny

METRICS = {"split": "test", "n": 300, "accuracy": 0.9, "interval95": [0.86, 0.93]}


def several_backbones(root: Path) -> Desk:
    """`tiny` hears; `twin` hears with the encoder of tiny and has two of its tasks and one more; `deaf` does not."""
    fruit = ("apple", "pear", "plum", "nothing")
    steps = tiny.make_prompt("steps", ("a", "b", "c"), kind="sequence", max_steps=3, group="Said", seed=5)
    desk = Desk(
        tiny.make_backbone(
            root,
            prompts=(
                tiny.make_prompt(metrics=METRICS, group="Words"),
                tiny.make_prompt("fruit", fruit, 2, verbalizer="fixed", seed=1, silence_label="nothing"),
                steps,
            ),
        ),
        None,
        "cpu",
    )
    desk.backbones = {"tiny": desk.backbones["tiny"]}
    for name in ("twin", "deaf"):
        prompts = (tiny.make_prompt(seed=8, deep=False), tiny.make_prompt("seas", ("red", "black"), seed=9))
        folder = tiny.make_backbone(root, name, prompts=prompts, encoder=name != "deaf")
        desk.backbones[name] = Desk(folder, None, "cpu").backbones[name]
    twin = desk.backbones["twin"]
    twin._encoder = desk.backbones["tiny"].encoder  # as load_encoder gives both the same
    return desk
