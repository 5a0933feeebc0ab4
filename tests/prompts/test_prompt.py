"""Prompt folders: the round trip is exact, and a hostile or broken folder is refused by name of file and fact."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LAYERS, N_UNITS, NO_SHA256, WIDTH, make_prompt

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.fit import check_fits
from speechprompt.prompts.prompt import Prompt

KINDS = [(deep, verbalizer) for deep in (True, False) for verbalizer in ("learned", "fixed")]


@pytest.fixture
def folder(tmp_path):
    make_prompt().save(tmp_path / "colours")
    return tmp_path / "colours"


def edit_config(folder, **changes):
    config = json.loads((folder / "prompt_config.json").read_text())
    (folder / "prompt_config.json").write_text(json.dumps(config | changes))


def edit_tensors(folder, change):
    tensors = load_file(folder / "prompt.safetensors")
    change(tensors)
    save_file(tensors, folder / "prompt.safetensors")


@pytest.mark.parametrize(("deep", "verbalizer"), KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_round_trip(tmp_path, deep, verbalizer, dtype):
    prompt = make_prompt(
        labels=("ja", "nein", "<b>vielleicht</b>", "نعم"),
        deep=deep,
        verbalizer=verbalizer,
        silence_label="nein",
        metrics={"split": "valid", "n": 20, "accuracy": 0.9, "interval95": [0.7, 0.97]},
        label_rule={"column": "word"},
        examples=("examples/yes.wav",),
        about="Say yes or no.",
        expects="any sound",
        languages=("de", "ar"),
        commands={"tuned": "tune it"},
    )
    prompt.save(tmp_path / "colours", dtype=dtype)
    loaded = Prompt.load(tmp_path / "colours")
    assert loaded.config() == prompt.config()
    assert loaded.labels == prompt.labels  # markup stays the text it is
    assert loaded.tensors().keys() == prompt.tensors().keys()
    for name, tensor in prompt.tensors().items():
        kept = tensor.to(dtype).float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.tensors()[name], kept), name
    assert (loaded.deep, loaded.verbalizer, loaded.length) == (deep, verbalizer, 3)


def test_n_parameters_counts_what_was_trained():
    prompts, weight = 2 * LAYERS * 3 * WIDTH, (3 + 4) * (N_UNITS + 4)
    assert make_prompt().n_parameters == prompts + WIDTH + weight
    assert make_prompt(verbalizer="fixed").n_parameters == prompts + WIDTH
    assert make_prompt(deep=False, verbalizer="fixed").n_parameters == 3 * WIDTH + WIDTH


def test_unit_label_fixed_is_one_to_one():
    prompt = make_prompt(verbalizer="fixed")
    assert [prompt.unit_label(unit) for unit in prompt.verbalizer_units.tolist()] == [*prompt.labels]
    others = set(range(-1, N_UNITS + 2)) - set(prompt.verbalizer_units.tolist())
    assert {prompt.unit_label(unit) for unit in others} == {None}


def test_a_unit_belongs_to_no_single_label_of_a_learned_verbalizer():
    prompt = make_prompt()
    assert {prompt.unit_label(unit) for unit in range(-1, N_UNITS + 2)} == {None}


def test_check_fits_names_the_facts():
    prompt = make_prompt()
    check_fits(prompt, NO_SHA256, WIDTH, LAYERS, N_UNITS + 4)
    with pytest.raises(SpeechPromptError, match="was tuned for the unit LM 000000000000 .* is 111111111111"):
        check_fits(prompt, "1" * 64, WIDTH, LAYERS, N_UNITS + 4)
    with pytest.raises(SpeechPromptError, match="width 16, but the unit LM has 8"):
        check_fits(prompt, NO_SHA256, 8, LAYERS, N_UNITS + 4)
    with pytest.raises(SpeechPromptError, match="number of layers 2, but the unit LM has 6"):
        check_fits(prompt, NO_SHA256, WIDTH, 6, N_UNITS + 4)
    with pytest.raises(SpeechPromptError, match="vocabulary 24, but the unit LM has 104"):
        check_fits(prompt, NO_SHA256, WIDTH, LAYERS, 104)
    fixed = make_prompt(verbalizer="fixed")
    with pytest.raises(SpeechPromptError, match="answers with unit"):
        check_fits(fixed, NO_SHA256, WIDTH, LAYERS, 4 + int(fixed.verbalizer_units.max()))


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        (
            {"format_version": 2},
            "version 2, this program reads version 3; convert it with `python -m speechprompt",
        ),
        ({"format_version": 4}, "format version 4.*update speechprompt"),
        ({"format_version": True}, "format version True.*update speechprompt"),
        ({"format_version": None}, "format version None"),
        ({"surprise": 1}, "holds an unknown entry 'surprise'"),
        ({"x\x1b[31m" * 50: 1}, r"holds an unknown entry 'x\\x1b"),
        ({"task": "../../etc"}, "task must be 1 to 64 of a-z, 0-9 and _"),
        ({"task": "a" * 65}, "task must be"),
        ({"title": "x\u202ey"}, "title must be plain text"),
        ({"title": 3}, "title must be a valid string"),
        ({"title": "x" * 81}, "title must be plain text of at most 80"),
        ({"about": "x\x00"}, "about must be plain text"),
        ({"expects": "music"}, "expects must be 'speech' or 'any sound'"),
        ({"languages": ["English"]}, "languages.0 must be a code"),
        ({"languages": "en"}, "languages must be a valid tuple"),
        ({"positions": "sideways"}, "positions must be 'row' or 'after_prompt'"),
        ({"commands": {"hacked": "rm"}}, "commands.hacked"),
        ({"unit_lm_sha256": "abc"}, "64 hexadecimal"),
        ({"unit_lm_sha256": "g" * 64}, "64 hexadecimal"),
        ({"unit_lm_sha256": "a" * 64 + "\n"}, "64 hexadecimal"),
        ({"absolute_pitch": 1}, "absolute_pitch must be a valid boolean"),
        ({"form": []}, "form must be"),
        ({"label_rule": "label"}, "label_rule must be"),
        ({"label_rule": {"cases": [], "otherwise": None}}, "A label rule must be {'column': NAME}"),
        ({"metrics": []}, "metrics must be a valid dictionary"),
        ({"metrics": {"accuracy": 94.0}}, "metrics.accuracy must be less than or equal to 1"),
        ({"metrics": {"accuracy": True}}, "metrics.accuracy must be a valid number"),
        ({"metrics": {"accuracy": 0.5}}, "metrics must give split, n and interval95"),
        ({"metrics": {"interval95": [0.4]}}, "metrics.interval95"),
        ({"metrics": {"n": "many"}}, "metrics.n must be a valid integer"),
        ({"metrics": {"n": -1}}, "metrics.n must be greater"),
        ({"metrics": {"n": 10**30}}, "metrics.n must be less"),
        ({"metrics": {"per_class": {"red": {"n": 1, "recall": 2, "precision": 0}}}}, "per_class.red.recall"),
        ({"metrics": {"per_class": {"red": {"n": 1}}}}, "lacks the entry 'metrics.per_class.red.recall'"),
        ({"metrics": {"loss": 1}}, "unknown entry 'metrics.loss'"),
        ({"examples": ["/etc/passwd"]}, "examples.0 must be a relative path"),
        ({"examples": ["a/../../b.wav"]}, "relative path"),
        ({"examples": [7]}, "examples.0 must be a valid string"),
        ({"prompt": {"kind": "input", "length": 3}}, "disagree on prompt.kind"),
        ({"prompt": {"kind": "deep", "length": 4}}, "disagree on prompt.length"),
        ({"prompt": {"kind": "deep"}}, "lacks the entry 'prompt.length'"),
        ({"verbalizer": {"kind": "fixed"}}, "disagree on verbalizer.kind"),
        ({"verbalizer": {"kind": "learned", "units": [[1], [2], [3]]}}, "disagree on verbalizer.units"),
    ],
)
def test_bad_config_is_refused_by_name(folder, changes, fact):
    edit_config(folder, **changes)
    with pytest.raises(SpeechPromptError, match=f"Prompt colours.*{fact}"):
        Prompt.load(folder)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"labels": "red"}, "form.labels must be a valid tuple"),
        ({"labels": ["red"]}, "labels must be a list of 2 to 2000"),
        ({"labels": [str(i) for i in range(2001)]}, "form.labels must have at most 2000 items"),
        ({"labels": ["red", "red", "blue"]}, "label 'red' is there twice"),
        ({"labels": ["red", "red\u200b", "blue"]}, r"labels 'red' and 'red\\u200b' look alike"),
        ({"labels": ["caf\xe9", "cafe\u0301", "blue"]}, "look alike"),
        ({"labels": ["red", "red ", "blue"]}, "look alike"),
        ({"labels": ["red", "x" * 81, "blue"]}, "form.labels.1 must be plain text of at most 80"),
        ({"labels": ["red", "gr\x1been", "blue"]}, "form.labels.1"),
        ({"labels": ["red", " ", "blue"]}, "something that can be seen"),
        ({"labels": ["red", "\u200b\u2060", "blue"]}, "something that can be seen"),
        ({"labels": ["red", "\ud800", "blue"]}, "form.labels.1"),
        ({"labels": ["red", 2, "blue"]}, "form.labels.1 must be a valid string"),
        ({"labels": ["red", "green"]}, r"verbalizer.weight has the shape \[7, 24\], expected \[6, 24\]"),
        ({"kind": "poem"}, "form.kind must be 'label', 'slots' or 'sequence'"),
        ({"kind": "sequence", "max_steps": 0}, "form.max_steps must be greater than or equal to 1"),
        ({"kind": "sequence", "max_steps": 10**400}, "form.max_steps must be"),
        ({"kind": "sequence", "max_steps": 2.0}, "form.max_steps must be a valid integer"),
        ({"max_steps": 2}, "only a sequence has max_steps"),
        ({"max_steps": True}, "form.max_steps must be a valid integer"),
        ({"kind": "sequence", "beams": 17}, "form.beams must be less than or equal to 16"),
        ({"joiner": "x" * 9}, "form.joiner must be plain text"),
        ({"joiner": None}, "form.joiner must be a valid string"),
        ({"kind": "slots"}, "names 1 to 16 slots"),
        ({"slots": {"a": 3}}, "names 1 to 16 slots"),
        ({"kind": "slots", "slots": {"\u200b": 3}}, "names 1 to 16 slots"),
        ({"kind": "slots", "slots": [3]}, "form.slots must be a valid dictionary"),
        ({"kind": "slots", "slots": {"a": 1, "b": 1}}, "slots hold 2 of 3 labels"),
        ({"kind": "slots", "slots": {"a": 4, "b": -1}}, "form.slots.b must be greater"),
        ({"kind": "slots", "slots": {"a": True, "b": 2}}, "form.slots.a must be a valid integer"),
        ({"silence_label": "quiet"}, "silence_label must be one of the labels"),
        ({"voices": 2}, "unknown entry 'form.voices'"),
    ],
)
def test_a_bad_answer_form_is_refused_by_name(folder, changes, fact):
    form = json.loads((folder / "prompt_config.json").read_text())["form"]
    edit_config(folder, form=form | changes)
    with pytest.raises(SpeechPromptError, match=f"Prompt colours.*{fact}") as caught:
        Prompt.load(folder)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_numbers_that_json_lacks_are_refused(folder):
    path = folder / "prompt_config.json"
    text = path.read_text()
    for number, fact in (("NaN", "not valid JSON"), ("1e400", "form.window must be a finite number")):
        path.write_text(text.replace('"window": null', f'"window": {number}'))
        with pytest.raises(SpeechPromptError, match=fact):
            Prompt.load(folder)


def test_weights_that_no_logit_survives_are_refused(folder):
    edit_tensors(folder, lambda t: t.update(separator=torch.full((WIDTH,), 1e37)))
    with pytest.raises(
        SpeechPromptError, match="separator holds values that are not finite, or beyond 65504"
    ):
        Prompt.load(folder)


def test_a_window_is_kept_and_checked(tmp_path):
    make_prompt(window=2.4).save(tmp_path / "colours")
    assert Prompt.load(tmp_path / "colours").form.window == 2.4
    for bad in (0.1, 61, -1, float("nan"), "2", True, [2]):
        with pytest.raises(SpeechPromptError, match="AnswerForm: window must be "):
            make_prompt(window=bad)
    with pytest.raises(SpeechPromptError, match="a window is for answers of one label"):
        make_prompt(window=2.4, kind="sequence", max_steps=3)


def test_config_without_an_entry_or_json(folder):
    config = json.loads((folder / "prompt_config.json").read_text())
    del config["title"]
    (folder / "prompt_config.json").write_text(json.dumps(config))
    with pytest.raises(SpeechPromptError, match="lacks the entry 'title'"):
        Prompt.load(folder)
    (folder / "prompt_config.json").write_text("{")
    with pytest.raises(SpeechPromptError, match="prompt_config.json is not valid JSON"):
        Prompt.load(folder)
    (folder / "prompt_config.json").unlink()
    with pytest.raises(SpeechPromptError, match="prompt_config.json is missing"):
        Prompt.load(folder)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda t: t.pop("separator"), "separator as wide"),
        (lambda t: t.pop("value_prompts"), "lacks the tensor 'value_prompts'"),
        (lambda t: t.pop("key_prompts"), "need 1 to 200 vectors"),
        (lambda t: t.pop("verbalizer.weight"), "lacks the tensor 'verbalizer.units'"),
        (lambda t: t.update(more=torch.zeros(1)), "unexpected tensor 'more'"),
        (lambda t: t.update(input_prompts=torch.zeros(3, WIDTH)), "unexpected tensor 'key_prompts'"),
        (lambda t: t.update(separator=torch.zeros(WIDTH + 1)), r"key_prompts has the shape \[2, 3, 16\]"),
        (
            lambda t: t.update(value_prompts=torch.zeros(2, 4, WIDTH)),
            r"value_prompts has the shape \[2, 4, 16\]",
        ),
        (lambda t: t.update(key_prompts=torch.zeros(WIDTH)), "need 1 to 200 vectors"),
        (lambda t: t.update(key_prompts=torch.zeros(3, WIDTH)), "key_prompts has the shape"),
        (lambda t: t.update(key_prompts=torch.zeros(2, 201, WIDTH)), "need 1 to 200 vectors"),
        (lambda t: t.update(key_prompts=torch.zeros(2, 3, WIDTH, dtype=torch.float64)), "dtype F64"),
        (lambda t: t["separator"].fill_(float("nan")), "separator holds values that are not finite"),
        (lambda t: t["key_prompts"].fill_(float("inf")), "key_prompts holds values that are not finite"),
        (lambda t: t.update({"verbalizer.weight": torch.zeros(())}), "verbalizer.weight has the shape"),
    ],
)
def test_bad_tensors_are_refused_by_name(folder, change, fact):
    edit_tensors(folder, change)
    with pytest.raises(SpeechPromptError, match=f"Prompt colours: prompt.safetensors.*{fact}"):
        Prompt.load(folder)


@pytest.mark.parametrize("units", [[1, 1, 2], [1, 2, -3]])
def test_fixed_verbalizer_needs_different_units(tmp_path, units):
    make_prompt(verbalizer="fixed").save(tmp_path / "colours")
    edit_tensors(tmp_path / "colours", lambda t: t.update({"verbalizer.units": torch.tensor(units)}))
    with pytest.raises(SpeechPromptError, match="verbalizer.units must be different units"):
        Prompt.load(tmp_path / "colours")


def test_pickles_junk_and_huge_files_are_refused(folder):
    path = folder / "prompt.safetensors"
    for content in (pickle.dumps({"a": 1}), b"", b"\xff" * 8 + b"{}", path.read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(
            SpeechPromptError, match="prompt.safetensors is damaged or not a safetensors file"
        ):
            Prompt.load(folder)
    with path.open("wb") as file:
        file.truncate(65 << 20)  # sparse: takes no disk
    with pytest.raises(SpeechPromptError, match="more than the"):
        Prompt.load(folder)


def test_links_that_leave_the_folder_are_refused(folder, tmp_path):
    for name in ("prompt.safetensors", "prompt_config.json"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
        with pytest.raises(SpeechPromptError, match=f"{name} is a link that leads out of the folder"):
            Prompt.load(folder)


def test_saving_replaces_whole_and_keeps_the_card(folder):
    make_prompt(seed=5).save(folder, card="# Colours\n")
    make_prompt(seed=6).save(folder)
    assert torch.equal(Prompt.load(folder).separator, make_prompt(seed=6).separator.half().float())
    assert (folder / "README.md").read_text() == "# Colours\n"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["colours"]


def test_a_save_that_fails_leaves_the_old_prompt(folder):
    broken = make_prompt(seed=5)
    broken.separator[0] = 1e6  # finite, but not in fp16
    with pytest.raises(SpeechPromptError, match="separator holds values that are not finite"):
        broken.save(folder)
    assert torch.equal(Prompt.load(folder).separator, make_prompt().separator.half().float())
    assert sorted(path.name for path in folder.parent.iterdir()) == ["colours"]


def test_a_prompt_that_makes_no_sense_cannot_be_made():
    with pytest.raises(SpeechPromptError, match="there twice"):
        make_prompt(labels=("a", "a"))
    with pytest.raises(SpeechPromptError, match="not finite"):
        replace(make_prompt(), separator=torch.full((WIDTH,), float("nan")))
    with pytest.raises(SpeechPromptError, match="separator as wide"):
        replace(make_prompt(), key_prompts=None, value_prompts=None)


def test_slots_may_share_a_label_but_hold_none_twice(tmp_path):
    slots = {"do": 2, "what": 3}
    prompt = make_prompt(labels=("on", "none", "none", "lamp", "heat"), kind="slots", slots=slots)
    prompt.save(tmp_path / "p")
    back = Prompt.load(tmp_path / "p")
    assert back.form.spans == [("do", 0, 2), ("what", 2, 5)] and back.form.n_steps == 2
    assert back.form.fill_slots(["on", "lamp"]) == {"do": "on", "what": "lamp"}
    assert back.form.text(["on", "lamp"]) == "on, lamp"
    with pytest.raises(SpeechPromptError, match="'none' is there twice"):
        make_prompt(labels=("on", "off", "none", "none", "heat"), kind="slots", slots=slots)


def test_a_sequence_reads_as_slots_or_as_text():
    labels = ("size=large", "milk=a bit of", "milk=cream")
    order = make_prompt(labels=labels, kind="sequence", max_steps=9)
    assert order.form.text(labels) == "size: large, milk: a bit of cream" and order.form.text([]) == ""
    word = make_prompt(labels=tuple("ab "), kind="sequence", max_steps=9, joiner="")
    assert word.form.text(["a", "b", " ", "a"]) == "ab a"


def test_labels_that_are_fed_back_need_a_unit_each():
    many = tuple(f"label {i}" for i in range(N_UNITS + 1))
    make_prompt(labels=many)  # one label is never fed back
    with pytest.raises(SpeechPromptError, match="at most 20 labels, one for each unit"):
        make_prompt(labels=many, kind="sequence", max_steps=2)
    make_prompt(labels=many, kind="sequence", max_steps=2, with_label_embeddings=True)
    with pytest.raises(SpeechPromptError, match="one label needs no label_embeddings"):
        make_prompt(with_label_embeddings=True)
