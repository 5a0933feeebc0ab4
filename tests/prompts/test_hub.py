"""Prompts and backbones there and back through the real client of the Hub, against a small one on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import ModelCard

from speechprompt import Prompt, SpeechPrompt, SpeechPromptError
from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.models import lm_config
from speechprompt.prompts import hub
from speechprompt.prompts.prompt import PROMPT_JSON, WEIGHTS_NAME
from speechprompt.storage import backbone_hub
from speechprompt.storage.hub import parse
from speechprompt.storage.repository import Repository, most
from tests import fake_hub, tiny
from tests.fake_hub import TOKEN, FakeHub

METRICS = {"split": "test", "n": 6, "accuracy": 0.5, "interval95": [0.2, 0.8], "unweighted_recall": 0.4}
UNITS = [[1, 5, 3, 7], [2, 9]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backbone with two prompts."""
    return tiny.make_backbone(tmp_path / "made")


@pytest.fixture
def prompt(folder: Path) -> Prompt:
    found = Backbone(folder).prompt("colours")
    return replace(
        found, metrics=METRICS, licence="CC BY 4.0; none is included", languages=("en",), data="Clips"
    )


def labels(sp: SpeechPrompt, task: str = "colours") -> list[tuple[str, float]]:
    return [(row[0].label, row[0].score) for row in sp.classify_units(UNITS, [task])]


def stored(prompt: Prompt, place: Path) -> dict[str, bytes]:
    prompt.save(place / prompt.task)
    return fake_hub.read(place / prompt.task)


def test_a_prompt_there_and_back_answers_the_same(
    fake: FakeHub, folder: Path, prompt: Prompt, tmp_path: Path
) -> None:
    sound = tmp_path / "a.wav"
    sound.write_bytes(b"RIFF")
    address = prompt.push_to_hub("me/colours", token=TOKEN)
    assert address == "https://huggingface.co/me/colours" and fake.repositories["me/colours"].private
    backbone = Backbone(folder)
    there = Prompt.from_pretrained("me/colours", token=TOKEN)
    expected, sp = labels(SpeechPrompt(backbone, [prompt])), SpeechPrompt(backbone, [])
    sp.add(there)
    assert labels(sp) == expected
    with pytest.raises(
        SpeechPromptError, match=r"no repository me/colours, or it is private: .*hf auth login"
    ):
        sp.add("me/colours")
    hub.push(prompt, "me/open", TOKEN, private=False, base_model="me/backbone", examples=[sound])
    sp = SpeechPrompt(backbone, [])
    assert sp.add("me/open").task == "colours" and labels(sp) == expected
    card = ModelCard(
        fake.repositories["me/open"].commits[fake.repositories["me/open"].refs["main"]]["README.md"].decode()
    )
    data = card.data.to_dict()
    assert (
        data["base_model"] == "me/backbone" and data["license"] == "cc-by-4.0" and data["language"] == ["en"]
    )
    assert data["widget"][0]["src"] == "https://huggingface.co/me/open/resolve/main/examples/a.wav"
    result = data["model-index"][0]["results"][0]
    assert result["task"]["type"] == "audio-classification" and result["dataset"]["split"] == "test"
    assert result["metrics"][0]["value"] == 0.5
    assert result["metrics"][0]["args"] == {"n": 6, "interval95": [0.2, 0.8]}
    assert [one.name for one in hub.find(backbone.unit_lm_sha256)] == ["me/open"]
    assert hub.find("0" * 64) == []


def test_what_was_fetched_once_is_there_without_a_network(
    fake: FakeHub, folder: Path, prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("me/colours", stored(prompt, tmp_path))
    first = Prompt.from_pretrained("me/colours")
    downloaded = len(fake.downloads())
    assert Prompt.from_pretrained("me/colours").config() == first.config()
    assert len(fake.downloads()) == downloaded == 2  # neither README nor what else there is, and each once
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert Prompt.from_pretrained("me/colours").config() == first.config()
    with pytest.raises(SpeechPromptError, match="The Hub cannot be reached for me/other: check the network"):
        Prompt.from_pretrained("me/other")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert Prompt.from_pretrained("me/colours").config() == first.config()
    with pytest.raises(SpeechPromptError, match="because HF_HUB_OFFLINE is set"):
        Prompt.from_pretrained("me/other")


def test_revisions(fake: FakeHub, prompt: Prompt, tmp_path: Path) -> None:
    repository = fake.add("me/colours", stored(prompt, tmp_path))
    repository.refs["v1"] = old = repository.refs["main"]
    fake.add("me/colours", stored(replace(prompt, title="Newer"), tmp_path))
    assert Prompt.from_pretrained("me/colours").title == "Newer"
    for address, revision in (("me/colours@v1", None), ("me/colours", "v1"), ("me/colours", old)):
        assert Prompt.from_pretrained(address, revision).title == prompt.title
    with pytest.raises(SpeechPromptError, match="me/colours has no revision 'v9' on the Hub"):
        Prompt.from_pretrained("me/colours", "v9")


Spoil = Callable[[FakeHub, dict[str, bytes]], None]


def lie(path: str, **what: object) -> Spoil:
    return lambda fake, files: fake.lies.update({path: what})


def spoil_weights(fake: FakeHub, files: dict[str, bytes]) -> None:
    data = bytearray(files[WEIGHTS_NAME])
    data[-1] ^= 1
    fake.served[WEIGHTS_NAME] = bytes(data)


def change_config(**entries: object) -> Spoil:
    def change(fake: FakeHub, files: dict[str, bytes]) -> None:
        files[PROMPT_JSON] = json.dumps(json.loads(files[PROMPT_JSON]) | entries).encode()

    return change


SPOILT: dict[str, tuple[Spoil, str]] = {
    "no prompt": (
        lambda fake, files: files.clear() or files.update({"a.txt": b"x"}),
        "is no prompt: it lacks prompt_",
    ),
    "pickles": (
        lambda fake, files: files.pop(WEIGHTS_NAME) and files.update({"prompt.bin": b"x"}),
        "lacks prompt.safetensors, and pickles are never loaded",
    ),
    "a pickle by another name": (
        lambda fake, files: files.update({WEIGHTS_NAME: b"\x80\x04\x95garbage"}),
        "not a safetensors file",
    ),
    "huge": (
        lie(WEIGHTS_NAME, lfs={"oid": "0" * 64, "size": 1 << 40, "pointerSize": 1}, size=1 << 40),
        "more than the",
    ),
    "..": (lie("../../evil.py"), "lists a file that points out of it"),
    "absolute": (lie("/etc/passwd"), "lists a file that points out of it"),
    "without a size": (lie(WEIGHTS_NAME, size="many"), "lists a file without its size"),
    "tampered": (spoil_weights, "is not the file that the Hub lists"),
    "half": (lambda fake, files: setattr(fake, "cut", 100), "incomplete|cannot be reached"),
    "broken": (lambda fake, files: setattr(fake, "status", 500), "status 500"),
    "another LM": (change_config(unit_lm_sha256="1" * 64), "was tuned for the unit LM 111111111111"),
    "unknown entry": (change_config(run="rm -rf"), "it holds an unknown entry 'run'"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_hostile_and_broken_repositories_are_one_sentence(
    name: str, fake: FakeHub, folder: Path, prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's, before it asks again
    spoil, message = SPOILT[name]
    files = stored(prompt, tmp_path)
    spoil(fake, files)
    fake.add("me/colours", files)
    sp = SpeechPrompt(Backbone(folder), [])
    with pytest.raises(SpeechPromptError, match=message) as found:
        sp.add("me/colours")
    assert str(found.value).count("\n") == 0 and not sp.tasks
    out = tmp_path / "out"
    with pytest.raises(SpeechPromptError, match=message):
        hub.pull("me/colours", folder=out)
        Backbone(folder).load_prompt(out)
    if name != "another LM":  # that is for the backbone to say
        assert not out.exists() and not [*tmp_path.glob(".out*")]
    if name in ("huge", "..", "absolute", "no prompt", "pickles"):
        assert not fake.downloads()  # it was refused by its list of files


NO_ANSWER = """
import sys
from pathlib import Path
from huggingface_hub import constants
from speechprompt import Prompt, SpeechPromptError
from speechprompt.data import hub as data_hub
from speechprompt.prompts import hub
from speechprompt.storage import hub as storage_hub

prompt = Prompt.load(Path(sys.argv[1]))
address, kept = constants.ENDPOINT, Prompt.from_pretrained("me/colours").config()
storage_hub.ANSWER_SECONDS = 0.5
for how in ("silent", "dripping"):
    constants.ENDPOINT = f"{address}/{how}"
    assert Prompt.from_pretrained("me/colours").config() == kept  # what was fetched once is there
    for work in (
        lambda: Prompt.from_pretrained("me/other"),
        lambda: hub.pull_from_stranger("me/colours"),
        lambda: hub.push(prompt, "me/new", "hf_token"),
        lambda: hub.find(prompt.unit_lm_sha256),
        lambda: data_hub.fetch("hf://datasets/me/clips"),
    ):
        try:
            work()
        except SpeechPromptError as error:
            print(error)
"""


def test_a_hub_that_never_answers_is_given_up(fake: FakeHub, prompt: Prompt, tmp_path: Path) -> None:
    """In a process of its own, which ends although its client still waits."""
    fake.add("me/colours", stored(prompt, tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_ANSWER, str(tmp_path / prompt.task)],
        env=os.environ | fake_hub.environment(fake, tmp_path / "home") | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    sentences = done.stdout.splitlines()
    assert done.returncode == 0 and len(sentences) == 10, done.stderr
    for sentence in sentences:
        assert re.search("The Hub (cannot be reached for|did not answer about) .*: (check|try)", sentence)


def test_a_repository_may_not_fill_the_disk(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    files = fake_hub.read(folder)
    for name in [f"unit_lm/{i}.safetensors" for i in range(5)]:
        fake.lies[name] = {"size": 4 << 30, "lfs": {"oid": "0" * 64, "size": 4 << 30, "pointerSize": 1}}
    fake.add("me/tiny", files)
    with pytest.raises(SpeechPromptError, match="would bring 20 GB, more than the 16 allowed"):
        backbone_hub.pull_to("me/tiny", tmp_path / "out")
    assert not fake.downloads() and not (tmp_path / "out").exists()


def test_no_folders_beyond_those_of_a_backbone_are_fetched() -> None:
    wanted = backbone_hub.WANTED
    assert most(wanted, "prompts/colours/prompt.safetensors") and most(wanted, "unit_lm/model.safetensors")
    for name in ("prompts/a/b/prompt.safetensors", "unit_lm/config.json/model.safetensors"):
        assert not most(wanted, name)


@pytest.mark.parametrize(
    "text", ["words", "a/b/c", "../x", "a/..", "me/colours@", "me/--x", "me/x@../y", "a b/c", ""]
)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(SpeechPromptError, match="is named owner/name"):
        parse(text)


def test_a_visitor_sees_public_prompts_alone_and_leaves_nothing(
    fake: FakeHub, prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("me/open", stored(prompt, tmp_path))
    fake.add("me/closed", stored(prompt, tmp_path), private=True)
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "token").write_text(TOKEN)  # of whoever runs the server
    assert Prompt.from_pretrained("me/closed").task == "colours"
    before = sorted((tmp_path / "home").rglob("*"))
    assert hub.pull_from_stranger("me/open").task == "colours"
    with pytest.raises(SpeechPromptError, match="no repository me/closed, or it is private"):
        hub.pull_from_stranger("me/closed")
    assert sorted((tmp_path / "home").rglob("*")) == before
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        SpeechPromptError, match="Nothing can be added from the Hub here because HF_HUB_OFFLINE is set"
    ):
        hub.pull_from_stranger("me/open")


def test_a_backbone_there_and_back(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("stays here")
    backbone = Backbone(folder)
    backbone_hub.push(folder, backbone.prompts_folder, "me/tiny", TOKEN, private=False)
    names = [*Repository("me/tiny").files]
    assert "notes.txt" not in names and "prompts/colours/prompt.safetensors" in names
    sp = SpeechPrompt.from_pretrained("me/tiny", device="cpu")
    assert sp.tasks == SpeechPrompt(backbone).tasks and labels(sp) == labels(SpeechPrompt(backbone))
    waveform = tiny.make_waveform()
    assert np.array_equal(sp.units(waveform).ids, SpeechPrompt(backbone).units(waveform).ids)
    n = len(fake.downloads())
    assert Backbone.load("me/tiny", revision="main").unit_lm_sha256 == lm_config.sha256(folder / "unit_lm")
    assert len(fake.downloads()) == n
    assert main(["pull", "me/tiny", "--out", str(tmp_path / "pulled")]) == 0
    assert Backbone(tmp_path / "pulled" / "backbones" / "tiny").prompts.keys() == backbone.prompts.keys()
    files = fake_hub.read(folder) | {"unit_lm/model.bin": b"x"}
    del files["unit_lm/model.safetensors"]
    fake.add("me/pickled", files)
    with pytest.raises(
        SpeechPromptError, match=r"no backbone: it lacks unit_lm/model.safetensors, and pickles"
    ):
        SpeechPrompt.from_pretrained("me/pickled")


def test_commands_in_a_process_of_their_own(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    """As one types them, with HF_ENDPOINT and HF_HOME: pushed, listed, pulled, the same bytes."""
    variables = (
        os.environ
        | fake_hub.environment(fake, tmp_path / "home")
        | {"HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    )

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "speechprompt", *args]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)

    source, backbone = folder.parents[1] / "prompts" / "tiny" / "colours", str(folder)
    done = run("push", str(source), "me/colours", "--public")
    assert done.returncode == 0 and done.stdout == "https://huggingface.co/me/colours\n", done.stderr
    assert "me/colours" in run("tasks", "--hub", "--backbone", backbone).stdout
    done = run("pull", "me/colours", "--backbone", backbone, "--out", str(tmp_path / "out"))
    assert done.returncode == 0 and "task colours, 3 labels" in done.stdout, done.stderr
    for name in (PROMPT_JSON, WEIGHTS_NAME):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    done = run("pull", "me/colours", "--backbone", "mini", "--out", str(tmp_path / "mini"))
    assert done.returncode == 2 and "was tuned for the unit LM" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mini").exists()
