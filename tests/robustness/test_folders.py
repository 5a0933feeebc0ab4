"""Hostile prompt and backbone folders, as one table: each is refused with the fact named, nothing is read or written.

What test_prompt.py, test_unit_lm.py, test_encoder.py and test_backbone.py try already is not tried again here.
"""

from __future__ import annotations

import html
import json
import os
import pickle
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage import bundled
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.events import Try
from speechprompt.ui.desk import Desk
from speechprompt.ui.page import build
from tests import tiny

MARKUP = "<img src=x onerror=alert(1)>'\"&`${x}"
Change = Callable[[Path, Path], None]  # what is done to root/backbones/tiny and root/prompts/tiny/colours


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_form(prompt: Path, **changes: Any) -> None:
    edit(prompt / CONFIG, form=json.loads((prompt / CONFIG).read_text())["form"] | changes)


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def safetensors(path: Path, header: object, data: bytes = b"", length: int | None = None) -> None:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(content) if length is None else length) + content + data)


def replaced_by_link(path: Path) -> None:
    elsewhere = path.parent.parent.parent.parent / f"outside-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


class Attack:
    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return (os.mkdir, ("attacked",))


PROMPT, CONFIG = "prompt.safetensors", "prompt_config.json"
LM, LM_CONFIG = "unit_lm/model.safetensors", "unit_lm/config.json"
ENCODER, ENCODER_CONFIG = "encoder/model.safetensors", "encoder/encoder.json"
HUGE = {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 2**64]}
WRAPS = {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}  # 2^66 bytes are 0 in 64 bits
OVERLAP = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}

PROMPTS: list[tuple[str, Change, str]] = [
    (
        "a million labels",
        lambda b, p: edit_form(p, labels=[str(i) for i in range(10**6)]),
        "more than the",
    ),
    (
        "20,000 short labels",
        lambda b, p: edit_form(p, labels=[str(i) for i in range(20_000)]),
        "at most 2000 items",
    ),
    (
        "a header of 2^60 bytes",
        lambda b, p: safetensors(p / PROMPT, {}, length=2**60),
        "damaged or not a safetensors",
    ),
    (
        "a header of 2^64 - 1 bytes",
        lambda b, p: safetensors(p / PROMPT, {}, length=2**64 - 1),
        "damaged or not",
    ),
    ("a shape of 2^62 numbers", lambda b, p: safetensors(p / PROMPT, {"separator": HUGE}), "damaged or not"),
    (
        "a shape that wraps around",
        lambda b, p: safetensors(p / PROMPT, {"separator": WRAPS}),
        "damaged or not",
    ),
    (
        "tensors that overlap",
        lambda b, p: safetensors(p / PROMPT, {"separator": OVERLAP, "key_prompts": OVERLAP}, bytes(16)),
        "damaged or not",
    ),
    ("a header that is no JSON", lambda b, p: safetensors(p / PROMPT, b"\xff" * 64), "damaged or not"),
    ("a header nested 10,000 deep", lambda b, p: safetensors(p / PROMPT, b"[" * 10_000), "damaged or not"),
    (
        "10,000 tensors",
        lambda b, p: edit_tensors(
            p / PROMPT, lambda t: t.update({f"t{i}": torch.zeros(1) for i in range(10_000)})
        ),
        "unexpected tensor 't0'",
    ),
    (
        "a tensor's name with markup",
        lambda b, p: edit_tensors(p / PROMPT, lambda t: t.update({"x\n\x1b[31m" * 50: torch.zeros(1)})),
        "unexpected tensor 'x",
    ),
    ("a pickle", lambda b, p: (p / PROMPT).write_bytes(pickle.dumps(Attack())), "pickles are never loaded"),
    ("a link to a pipe", lambda b, p: replaced_by_pipe(p / CONFIG), "is missing|has no task"),
    ("weights that are a pipe", lambda b, p: replaced_by_pipe(p / PROMPT), "is missing"),
    ("JSON nested 100,000 deep", lambda b, p: (p / CONFIG).write_text("[" * 100_000), "not valid JSON"),
    (
        "a number of 100,000 digits",
        lambda b, p: (p / CONFIG).write_text('{"a":' + "9" * 100_000 + "}"),
        "not valid JSON",
    ),
    ("JSON that is no UTF-8", lambda b, p: (p / CONFIG).write_bytes(b'{"a": "\xff"}'), "not valid JSON"),
    (
        "a future format",
        lambda b, p: edit(p / CONFIG, format_version=99),
        "format version 99.*update speechprompt",
    ),
    ("a format that is a list", lambda b, p: edit(p / CONFIG, format_version=[2]), "format version"),
    ("another task's name", lambda b, p: edit(p / CONFIG, task="fruit"), "name the folder so too"),
    (
        "labels alike but for case and space",
        lambda b, p: edit_form(p, labels=["red", "red", "red "]),
        "there twice",
    ),
    (
        "another unit LM",
        lambda b, p: edit(p / CONFIG, unit_lm_sha256="f" * 64),
        "was tuned for the unit LM ffffffffffff",
    ),
    (
        "an LM trained again",
        lambda b, p: edit_tensors(b / LM, lambda t: t["model.layer_norm.bias"].add_(1)),
        "was tuned for",
    ),
    (
        "metrics of 1e999",
        lambda b, p: (p / CONFIG).write_text(
            (p / CONFIG).read_text().replace('"metrics": {}', '"metrics": {"accuracy": 1e999}')
        ),
        "metrics.accuracy must be a finite number",
    ),
    ("an example elsewhere", lambda b, p: edit(p / CONFIG, examples=["../../secret.wav"]), "relative path"),
]

BACKBONES: list[tuple[str, Change, str]] = [
    (
        "NaN in the unit LM",
        lambda b, p: edit_tensors(b / LM, lambda t: t["model.layer_norm.bias"].fill_(torch.nan)),
        "not finite",
    ),
    (
        "Inf in the encoder",
        lambda b, p: edit_tensors(b / ENCODER, lambda t: t["centroids"].fill_(torch.inf)),
        "not finite",
    ),
    (
        "a unit LM that is a pickle",
        lambda b, p: (b / LM).write_bytes(pickle.dumps(Attack())),
        "pickles are never loaded",
    ),
    (
        "an encoder that is a pickle",
        lambda b, p: (b / ENCODER).write_bytes(pickle.dumps(Attack())),
        "pickles are never",
    ),
    (
        "a huge header in the encoder",
        lambda b, p: safetensors(b / ENCODER, {}, length=2**60),
        "damaged or not",
    ),
    (
        "an encoder of 10^9 layers",
        lambda b, p: edit(b / ENCODER_CONFIG, n_layers=10**9),
        "n_layers must be less",
    ),
    (
        "an encoder of 48 wide layers",
        lambda b, p: edit(b / ENCODER_CONFIG, n_layers=48, dim=2048, ffn_dim=8192, n_heads=64),
        "lacks the tensor|has the shape",
    ),
    (
        "an encoder of a future format",
        lambda b, p: edit(b / ENCODER_CONFIG, format_version=7),
        "update speechprompt",
    ),
    ("an unknown kind of encoder", lambda b, p: edit(b / ENCODER_CONFIG, kind="../../evil"), "has kind"),
    (
        "an LM of 64 wide layers",
        lambda b, p: edit(b / LM_CONFIG, num_layers=64, d_model=4096, ffn_dim=16_384),
        "lacks the tensor|has the shape|has the width",
    ),
    ("weights that lead out", lambda b, p: replaced_by_link(b / LM), "leads out of the folder"),
    ("an encoder that leads out", lambda b, p: replaced_by_link(b / ENCODER), "leads out of the folder"),
    ("a future backbone", lambda b, p: edit(b / "backbone.json", format_version=2), "update speechprompt"),
    (
        "a backbone's name that climbs",
        lambda b, p: edit(b / "backbone.json", name="../../x"),
        "name must be 1 to 64",
    ),
    (
        "an encoder's name that climbs",
        lambda b, p: edit(b / "backbone.json", encoder="../../x"),
        "encoder must be 1 to 64",
    ),
    ("more units than the LM", lambda b, p: edit(b / "backbone.json", n_units=21), "promises 21 units"),
    (
        "backbone.json of 1 MB",
        lambda b, p: edit(b / "backbone.json", description="x" * 10**6),
        "more than the",
    ),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.make_backbone(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bundled, "ROOTS", (tmp_path,))
    return tmp_path


def every_file(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.mark.parametrize(
    ("change", "fact"), [case[1:] for case in PROMPTS], ids=[case[0] for case in PROMPTS]
)
def test_a_hostile_prompt_is_refused_and_the_others_stay(root: Path, change: Change, fact: str) -> None:
    change(root / "backbones" / "tiny", root / "prompts" / "tiny" / "colours")
    before = every_file(root)
    backbone = Backbone.load("tiny")
    assert "colours" not in backbone.prompts
    if "the LM trained again" not in fact and "was tuned for" not in fact:
        assert "fruit" in backbone.prompts
    with pytest.raises(SpeechPromptError, match=fact) as caught:
        backbone.prompt("colours")
    sentence = str(caught.value)
    assert sentence.isprintable() and len(sentence) < 400 and str(root) not in sentence
    assert every_file(root) == before and not (root / "attacked").exists()


@pytest.mark.parametrize(
    ("change", "fact"), [case[1:] for case in BACKBONES], ids=[case[0] for case in BACKBONES]
)
def test_a_hostile_backbone_is_refused(root: Path, change: Change, fact: str) -> None:
    change(root / "backbones" / "tiny", root / "prompts" / "tiny" / "colours")
    before = every_file(root)
    with pytest.raises(SpeechPromptError, match=fact) as caught:
        sp = SpeechPrompt.from_pretrained("tiny", "cpu", prompts=[])
        sp.units((16_000, tiny.make_waveform()))
    assert str(caught.value).isprintable() and str(root) not in str(caught.value)
    assert every_file(root) == before and not (root / "attacked").exists()


@pytest.mark.parametrize(
    "name", ["..", "../../prompts/tiny/colours", "/etc", "a/b", "", ".", "colours\0", "~"]
)
def test_names_do_not_lead_out_of_the_folder(root: Path, name: str) -> None:
    backbone = Backbone.load("tiny")
    with pytest.raises(SpeechPromptError, match="has no task"):
        backbone.prompt(name)


def test_a_hostile_prompt_does_not_keep_the_page_from_opening(root: Path) -> None:
    for _, change, _ in (PROMPTS[0], PROMPTS[2], PROMPTS[11]):
        change(root / "backbones" / "tiny", root / "prompts" / "tiny" / "colours")
        desk = Desk("tiny", device="cpu")
        assert "fruit" in build(desk).get_config_file()["components"].__repr__()


def test_markup_in_every_text_stays_text(root: Path, tmp_path: Path) -> None:
    """Title, group, labels, slots, licence, data and description: on the page, in answers and in sentences."""
    folder = root / "backbones" / "tiny"
    edit(folder / "backbone.json", title=MARKUP, description=MARKUP, licence=MARKUP)
    labels = tuple(f"{MARKUP}{i}" for i in range(3))
    texts = {"title": MARKUP, "group": MARKUP[:40], "data": MARKUP, "licence": MARKUP}
    slots = {"kind": "slots", "slots": {MARKUP: 1, "b": 2}}
    sequence = {"kind": "sequence", "max_steps": 3, "joiner": "<u>"}
    prompts = [
        tiny.make_prompt(f"hostile_{i}", labels, **texts, **kind)
        for i, kind in enumerate(({}, slots, sequence))
    ]
    for prompt in prompts:
        prompt = replace(prompt, unit_lm_sha256=Backbone.load("tiny").unit_lm_sha256)
        prompt.save(root / "prompts" / "tiny" / prompt.task)
    desk = Desk("tiny", device="cpu")
    soundfile.write(tmp_path / "clip.wav", tiny.make_waveform(), 16_000)
    shown = [Choices(desk).task_options("tiny"), Choices(desk).backbone_options()]
    for prompt in prompts:
        panel = Try(desk).answer(str(tmp_path / "clip.wav"), prompt.task, "tiny")
        shown += [panel.value, Try(desk).invite(prompt.task, "tiny").value]
        assert "sp-answer" in panel.value, panel.value
    shown += [
        Try(desk).answer("x.wav", MARKUP, "tiny").value,
        Try(desk).answer(None, "hostile_0", MARKUP).value,
    ]
    pieces = " ".join(shown)
    assert html.escape(MARKUP, quote=False)[:12] in pieces  # it is there, as text
    assert not re.search(r"<img|<u>|onerror=alert\(1\)[^&]*>", pieces)


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_in_weights_are_refused_or_answer(root: Path, seed: int) -> None:
    """One byte of the header or of the numbers: a sound prompt, or one sentence."""
    path, rng = root / "prompts" / "tiny" / "colours" / PROMPT, np.random.default_rng(seed)
    content = path.read_bytes()
    for _ in range(40):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            prompt = Prompt.load(path.parent)
        except SpeechPromptError as error:
            assert str(error).startswith("Prompt colours: ")
        else:
            assert all(torch.isfinite(t).all() for t in prompt.tensors().values() if t.is_floating_point())
