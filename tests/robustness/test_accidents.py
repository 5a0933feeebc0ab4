"""kill -9, a full disk, two writers, damaged checkpoints, no memory, Ctrl-C: nothing is lost that was there."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.memory import memory_guard
from speechprompt.models import unit_lm
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage import folders as storage
from speechprompt.tuning.checkpoint import load_checkpoint, read_checkpoint, run_folder, save_checkpoint
from tests import tiny
from tests.robustness import accidents
from tests.robustness.accidents import start, wait_for

KILLS = int(os.environ.get("ACCIDENTS", "4"))  # of each kind; more on demand


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_backbone(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accidents.write_units(tmp_path_factory.mktemp("data") / "units.parquet")


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left aside counts as left by a writer that was killed."""
    monkeypatch.setattr(storage, "REST_SECONDS", 0)


def no_rest(folder: Path) -> bool:
    return [path.name for path in folder.parent.iterdir()] == [folder.name]


# kill -9


def prompt_is_whole(folder: Path) -> None:
    """One of the two prompts that were written in turns, with its own card."""
    found = Prompt.load(folder)
    seed = int((folder / "README.md").read_text().removeprefix("# "))
    assert torch.equal(found.separator, tiny.make_prompt(seed=seed).separator.half().float())


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


# A full disk


@pytest.mark.parametrize("limit", [700, 6_000])
def test_a_full_disk_is_said(backbone: Path, data: Path, tmp_path: Path, limit: int) -> None:
    out = tmp_path / "prompts" / "sizes"
    tiny.make_prompt("sizes").save(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    where = [
        "--backbone",
        str(backbone),
        "--data",
        str(data),
        "--run",
        str(tmp_path / "run"),
        "--out",
        str(out),
    ]
    options = ["--task", "sizes", "--steps", "3", "--prompt-length", "20"]
    read, write = os.pipe()  # a log file would be full as well
    process = accidents.CONTEXT.Process(
        target=full_disk, args=(write_end(write), limit, "tune", *options, *where)
    )
    process.start()
    os.close(write)
    with os.fdopen(read) as file:
        told = file.read()
    process.join()
    assert process.exitcode == 2, told
    assert "cannot be written" in told and "Traceback" not in told and str(tmp_path) not in told
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert no_rest(out) and not list((tmp_path / "run").glob("*.pt*"))


def write_end(descriptor: int) -> object:
    from multiprocessing.reduction import DupFd

    return DupFd(descriptor)


def full_disk(pipe, limit: int, *argv: str) -> None:  # type: ignore[no-untyped-def]
    descriptor = pipe.detach()
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    torch.set_num_threads(1)
    accidents.command_with_limit(limit, *argv)


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


# Two writers


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


# Damaged checkpoints


def damage(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    return {
        "cut short": content[:middle],
        "empty": b"",
        "text": b"not a checkpoint",
        "one byte wrong": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "zeros at the end": content[:-500] + bytes(500),
    }[how]


@pytest.mark.parametrize("how", ["cut short", "empty", "text", "one byte wrong", "zeros at the end"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, how: str) -> None:
    path = tmp_path / "tune.pt"
    save_checkpoint(path, {"seed": 0}, {"model": torch.randn(5_000)})
    assert load_checkpoint(path, {"seed": 0}) is not None
    path.write_bytes(damage(path.read_bytes(), how))
    with pytest.raises(
        SpeechPromptError, match=r"checkpoint tune.pt of the run folder is damaged.*delete it"
    ) as caught:
        load_checkpoint(path, {"seed": 0})
    assert str(tmp_path) not in str(caught.value)


def test_a_checkpoint_of_another_program_runs_nothing(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Callable, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "made"),))

    for content in (Attack(), {"model": torch.zeros(2)}, [1, 2]):
        torch.save(content, tmp_path / "tune.pt")
        with pytest.raises(SpeechPromptError, match="damaged or none of ours"):
            load_checkpoint(tmp_path / "tune.pt", {})
    assert not (tmp_path / "made").exists()


# No memory


def test_a_device_without_memory_is_one_sentence() -> None:
    for error in (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()):
        with pytest.raises(SpeechPromptError, match="no memory left"), memory_guard():
            raise error
    with pytest.raises(RuntimeError, match="shapes"), memory_guard():
        raise RuntimeError("shapes do not match")


def starve(backbone: Path, clip: Path, log: Path) -> None:
    """Answer, lose the memory, be told so, get it back, answer as before."""
    from speechprompt.pipeline import SpeechPrompt

    sp = SpeechPrompt(Backbone.load(backbone), list(Backbone.load(backbone).prompts.values()))
    first = sp.classify(clip)[0].scores
    minute = tiny.make_waveform(59.0)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
    sentences = set()
    for _ in range(3):
        try:
            sp.classify((16_000, minute))
            sentences.add("answered")
        except SpeechPromptError as error:
            sentences.add(str(error))
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    same = sp.classify(clip)[0].scores == first
    log.write_text(f"{same}\n" + "\n".join(sentences))


def test_without_memory_the_program_says_so_and_goes_on(backbone: Path, tmp_path: Path) -> None:
    """A real lack of memory: the child may have 1 MB more than it has, a minute of sound takes more."""
    soundfile.write(tmp_path / "clip.wav", tiny.make_waveform(), 16_000)
    process = start(starve, backbone, tmp_path / "clip.wav", tmp_path / "log", log=tmp_path / "err")
    process.join(120)
    assert process.exitcode == 0, (tmp_path / "err").read_text()
    same, *sentences = (tmp_path / "log").read_text().splitlines()
    assert same == "True"
    assert sentences == [
        "The machine has no memory left for this: try again in a moment, or with less at a time."
    ]


# Ctrl-C


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
