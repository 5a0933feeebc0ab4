"""kill -9 and Ctrl-C at any moment: nothing is lost that was there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from speechprompt.backbone import Backbone
from speechprompt.models import unit_lm
from speechprompt.prompts.prompt import Prompt
from speechprompt.tuning.checkpoint import read_checkpoint
from tests import tiny
from tests.robustness import accidents
from tests.robustness.accidents import start, wait_for
from tests.robustness.small_runs import no_rest, prompt_is_whole

KILLS = int(os.environ.get("ACCIDENTS", "4"))  # of each kind; more on demand


@pytest.mark.usefixtures("an_hour_later")
def test_killed_while_saving_a_prompt(tmp_path: Path, record_property: Callable) -> None:
    record_property("kills", 2 * KILLS)
    folder = tmp_path / "colours"
    made = folder / "README.md"
    amidst = accidents.kill_often(
        accidents.save_prompts, (folder,), made, lambda: prompt_is_whole(folder), 2 * KILLS
    )
    assert amidst > 0
    tiny.make_prompt(seed=5).save(folder)
    assert no_rest(folder)  # what the killed ones left was cleared away


def test_killed_while_saving_a_unit_lm(tmp_path: Path, record_property: Callable) -> None:
    record_property("kills", KILLS)
    folder, wanted = (
        tmp_path / "unit_lm",
        [tiny.make_lm(seed=seed).lm_head.weight for seed in accidents.SEEDS],
    )

    def check() -> None:
        found = unit_lm.load(folder).lm_head.weight
        assert any(torch.equal(found, weight.half().float()) for weight in wanted)

    accidents.kill_often(accidents.save_lms, (folder,), folder / "model.safetensors", check, KILLS)


def test_killed_while_converting(tmp_path: Path, record_property: Callable) -> None:
    record_property("kills", KILLS)
    folder, weights = tmp_path / "unit_lm", []

    def check() -> None:
        weights.append(unit_lm.load(folder).lm_head.weight)
        torch.testing.assert_close(weights[-1], weights[0], atol=1e-3, rtol=0)  # float16 or float32

    accidents.kill_often(accidents.convert_lms, (folder,), folder / "model.safetensors", check, KILLS)


def test_killed_while_tuning(backbone: Path, data: Path, tmp_path: Path, record_property: Callable) -> None:
    """The checkpoint is always whole, and the next start goes on from it."""
    record_property("kills", KILLS)
    run, out, steps = tmp_path / "run", tmp_path / "prompts" / "sizes", [0]
    checkpoint = run / "tune.pt"

    def check() -> None:
        steps.append(read_checkpoint(checkpoint)["step"])
        assert steps[-1] >= steps[-2] and not out.exists()

    accidents.kill_often(accidents.tune_forever, (backbone, data, run, out), checkpoint, check, KILLS)
    assert steps[-1] > 0 and (KILLS == 1 or steps[-1] > steps[1])


def test_killed_while_pretraining(data: Path, tmp_path: Path, record_property: Callable) -> None:
    record_property("kills", KILLS)
    run, out, epochs = tmp_path / "run", tmp_path / "made" / "unit_lm", [0]

    def check() -> None:
        unit_lm.load(out)
        epochs.append(read_checkpoint(run / "unit_lm.pt")["epoch"])
        assert epochs[-1] >= epochs[-2]

    accidents.kill_often(accidents.pretrain_forever, (data, run, out), run / "unit_lm.pt", check, KILLS)
    assert epochs[-1] > 0


def test_ctrl_c_keeps_the_best_prompt_so_far(backbone: Path, data: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "prompts" / "sizes"
    process = start(accidents.tune_forever, backbone, data, run, out, log=tmp_path / "log")
    wait_for((run / "tune.pt").is_file)
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    prompt = Prompt.load(out)
    Backbone.load(backbone).check_fits(prompt)
    assert (
        prompt.labels == ("a", "b") and prompt.metrics["split"] == "valid" and (out / "README.md").is_file()
    )
    assert prompt.metrics["accuracy"] == pytest.approx(read_checkpoint(run / "tune.pt")["best"], abs=0.15)
