"""A full disk, damaged checkpoints, no memory: one sentence, and the program goes on."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.memory import memory_guard
from speechprompt.tuning.checkpoint import load_checkpoint, save_checkpoint
from tests import tiny
from tests.robustness import accidents
from tests.robustness.accidents import start
from tests.robustness.small_runs import no_rest


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
