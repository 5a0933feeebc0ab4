"""Two writers, half-written and half-deleted folders: what counts is whole."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage import folders as storage
from speechprompt.tuning.checkpoint import run_folder, save_checkpoint
from tests import tiny
from tests.robustness import accidents
from tests.robustness.accidents import start, wait_for
from tests.robustness.small_runs import no_rest, prompt_is_whole


def test_a_failed_save_keeps_the_old_prompt(tmp_path: Path) -> None:
    folder = tmp_path / "colours"
    tiny.make_prompt(seed=1).save(folder, card="# 1\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(SpeechPromptError, match=r"cannot be written .*free some space"):
            tiny.make_prompt(seed=2, length=20).save(folder, card="# 2\n")
        with pytest.raises(SpeechPromptError, match=r"checkpoint tune.pt cannot be written"):
            save_checkpoint(tmp_path / "colours" / "tune.pt", {}, {"model": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    prompt_is_whole(folder)
    assert no_rest(folder) and sorted(os.listdir(folder)) == [
        "README.md",
        "prompt.safetensors",
        "prompt_config.json",
    ]


def test_two_runs_cannot_share_a_folder(backbone: Path, data: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "sizes"
    first = start(accidents.tune_forever, backbone, data, run, out)
    try:
        wait_for((run / "tune.pt").is_file)
        second = start(accidents.tune_forever, backbone, data, run, out, log=tmp_path / "log")
        second.join(60)
        assert second.exitcode == 2
        (sentence,) = (tmp_path / "log").read_text().splitlines()[-1:]
        assert "Another tuning or training is at work in the run folder" in sentence
        assert first.is_alive()
    finally:
        first.kill()
        first.join()
    with run_folder(run):  # free again, though the first was killed
        pass


def test_killed_between_the_two_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old folder is left aside; whoever reads it by its name, or writes it again, takes it back."""

    def killed(source: Path, target: Path) -> None:
        if target == folder:
            raise KeyboardInterrupt  # as kill -9, nothing after it is done
        os.rename(source, target)

    folder = tmp_path / "colours"
    for read_first in (True, False):
        tiny.make_prompt(seed=1).save(folder, card="# 1\n")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "rename", killed)
            tiny.make_prompt(seed=2).save(folder, card="# 2\n")
        assert not folder.exists()
        if read_first:
            assert Prompt.load(folder) and (folder / "README.md").read_text() == "# 1\n"
        tiny.make_prompt(seed=2).save(folder)
        assert (folder / "README.md").read_text() == "# 1\n"  # kept from the old folder
        assert no_rest(folder)


def test_of_two_writers_of_one_folder_the_last_wins_whole(tmp_path: Path) -> None:
    folder = tmp_path / "colours"
    writers = [start(accidents.save_prompts, folder) for _ in range(3)]
    try:
        wait_for(lambda: (folder / "README.md").is_file())
        looks, ends = 0, time.monotonic() + 2
        while time.monotonic() < ends:
            # there at every moment, also between old and new, which is the moment for which it is aside
            names = os.listdir(tmp_path)  # one look: of several, each may come upon another moment
            assert "colours" in names or any(name.endswith(".aside.old") for name in names)
            looks += 1
        assert looks > 100 and all(writer.is_alive() for writer in writers)
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    prompt_is_whole(folder)


def test_what_is_half_deleted_is_never_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is killed while it deletes the old folder leaves a part of it."""
    folder = tmp_path / "colours"
    tiny.make_prompt(seed=1).save(folder)
    with monkeypatch.context() as killed:
        killed.setattr(
            storage.shutil,
            "rmtree",
            lambda path, **_: [file.unlink() for file in Path(path).glob("*.safetensors")],
        )
        tiny.make_prompt(seed=2).save(folder)
    folder.rename(tmp_path / "elsewhere")  # as the next writer has it, killed between its renames
    storage.put_back(folder)
    assert not folder.exists()


def test_the_latest_of_several_old_folders_is_put_back(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        old = tmp_path / f".colours.{name}.aside"
        old.mkdir()
        (old / name).touch()
        time.sleep(0.02)
        old.rename(f"{old}.old")
    storage.put_back(tmp_path / "colours")
    assert [path.name for path in (tmp_path / "colours").iterdir()] == ["c"]


@pytest.mark.usefixtures("an_hour_later")
def test_what_a_killed_writer_left_is_cleared_an_hour_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tmp_path / ".colours.x.aside"
    for seconds in (3600, 0):
        rest.mkdir(exist_ok=True)
        monkeypatch.setattr(storage, "REST_SECONDS", seconds)
        tiny.make_prompt(seed=1).save(tmp_path / "colours")
        assert rest.exists() == (seconds > 0)


def test_all_is_on_the_disk_before_the_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file and both folders are synced; the names are changed after the first and before the last."""
    done: list[str] = []
    sync, swap = storage.sync, storage.swap

    def seen_sync(path: Path) -> None:
        done.append("aside" if path.suffix == ".aside" else path.name)
        sync(path)

    def seen_swap(new: Path, folder: Path) -> None:
        done.append("swap")
        swap(new, folder)

    monkeypatch.setattr(storage, "sync", seen_sync)
    monkeypatch.setattr(storage, "swap", seen_swap)
    tiny.make_prompt().save(tmp_path / "colours", card="# 1\n")
    files = {"prompt_config.json", "prompt.safetensors", "README.md"}
    assert set(done[:3]) == files and done[3:] == ["aside", "swap", tmp_path.name]
