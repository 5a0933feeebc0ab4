"""The public class on a tiny backbone: order, scores, units, silence, errors; and how little an import costs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import N_UNITS, make_backbone, make_prompt, make_waveform

import speechprompt
from speechprompt import SpeechPrompt, SpeechPromptError
from speechprompt.units import UNIT_OFFSET

ROOT = Path(__file__).parents[1]
RATE = 16_000


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    make_backbone(root)
    make_backbone(root, "deaf", encoder=False)
    return root


@pytest.fixture(scope="module")
def sp(root):
    return SpeechPrompt.from_pretrained(root / "backbones" / "tiny", device="cpu")


def test_answers_come_one_per_task_in_the_order_asked(sp):
    assert sp.tasks == ["colours", "fruit"]
    recording = (RATE, make_waveform())
    assert [a.task for a in sp.classify(recording)] == ["colours", "fruit"]
    assert [a.task for a in sp.classify(recording, ["fruit", "colours"])] == ["fruit", "colours"]
    assert [a.task for a in sp.classify(recording, "fruit")] == ["fruit"]


def test_an_answer_holds_together(sp):
    for answer in sp.classify((RATE, make_waveform())):
        prompt = sp.prompts[answer.task]
        assert set(answer.scores) == set(prompt.labels)
        assert list(answer.scores.values()) == sorted(answer.scores.values(), reverse=True)
        assert sum(answer.scores.values()) == pytest.approx(1)
        assert (answer.label, answer.score) == next(iter(answer.scores.items()))
        assert answer.unit_probabilities.shape == (1, N_UNITS)
        assert answer.unit_probabilities.dtype == np.float32
        assert answer.unit_probabilities.sum() == pytest.approx(1)
        assert answer.generated_scores == [pytest.approx(answer.unit_probabilities[0, answer.generated[0]])]
        assert answer.units.n_frames == 50
        assert answer.timing["encode_s"] > 0
        assert answer.timing["lm_s"] > 0


def test_generated_units_by_verbalizer(sp):
    learned, fixed = sp.classify((RATE, make_waveform()), ["colours", "fruit"])
    assert (learned.verbalizer, fixed.verbalizer) == ("learned", "fixed")
    assert learned.generated == [learned.unit_probabilities[0].argmax()]
    assert fixed.generated == [fixed.unit_probabilities[0].argmax()]
    (step,) = fixed.steps
    assert step.unit_label == sp.prompts["fruit"].unit_label(fixed.generated[0])
    assert [one.score for one in step.likeliest] == sorted(
        (one.score for one in step.likeliest), reverse=True
    )
    odds = {
        label: fixed.unit_probabilities[0, units[0]]
        for label, units in zip(sp.prompts["fruit"].labels, sp.prompts["fruit"].label_units, strict=True)
    }
    assert fixed.label == max(odds, key=lambda label: odds[label])
    assert 0 < sum(odds.values()) < 1 and fixed.inside < 1 == learned.inside


def test_path_bytes_and_array_give_the_same_answer(sp, tmp_path):
    waveform = make_waveform()
    soundfile.write(tmp_path / "clip.wav", waveform, RATE, subtype="FLOAT")
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, RATE, format="WAV", subtype="FLOAT")
    sources = [tmp_path / "clip.wav", str(tmp_path / "clip.wav"), buffer.getvalue(), (RATE, waveform)]
    answers = [sp.classify(source, ["colours"])[0] for source in sources]
    assert len({json.dumps(a.scores) for a in answers}) == 1
    assert all(np.array_equal(sp.units(source).ids, answers[0].units.ids) for source in sources)


def test_units_answer_as_the_audio_they_came_from(sp):
    from_audio = sp.classify((RATE, make_waveform()))
    (from_units,) = sp.classify_units([from_audio[0].units.ids])
    for one, other in zip(from_audio, from_units, strict=True):
        assert one.label == other.label
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_runs_of_units_are_collapsed(sp):
    (frames,), (units,) = sp.classify_units([[7, 7, 7, 1, 1, 4], [7, 1, 4]], ["colours"])
    assert frames.scores == pytest.approx(units.scores, abs=1e-5)
    assert frames.units.lengths.tolist() == [3, 2, 1]
    assert units.units.lengths.tolist() == [1, 1, 1]


def test_to_dict_is_json(sp):
    for answer in sp.classify((RATE, make_waveform())):
        back = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
        assert back["label"] == answer.label
        assert list(back["scores"]) == list(answer.scores)
        assert back["units"]["ids"] == answer.units.ids.tolist()
        assert back["generated"] == answer.generated


def test_specials_are_never_answered(root, monkeypatch):
    sp = SpeechPrompt.from_pretrained(root / "backbones" / "tiny", device="cpu")
    weight = sp.backbone.lm.lm_head.weight  # tied to the embedding, so only read here
    sp.backbone.lm.lm_head.weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    sp.backbone.lm.lm_head.weight[:UNIT_OFFSET] *= 1000
    for ids in ([1, 2, 3], [9], [4, 8]):
        for answer in sp.classify_units([ids])[0]:
            assert 0 <= answer.generated[0] < N_UNITS
            assert answer.unit_probabilities.sum() == pytest.approx(1)


def test_silence_needs_a_label_for_it(sp):
    silence = (RATE, np.zeros(RATE, np.float32))
    with pytest.raises(
        SpeechPromptError, match="Nothing was recorded, and Colours has no answer for silence"
    ):
        sp.classify(silence)
    with pytest.raises(SpeechPromptError, match="Nothing was recorded"):
        sp.classify((RATE, 0.0009 * np.sign(make_waveform())), ["colours"])  # peak at -61 dBFS
    assert sp.classify(silence, ["fruit"])[0].label in sp.prompts["fruit"].labels


def test_unknown_tasks_and_backbones_list_the_known(sp):
    with pytest.raises(
        SpeechPromptError, match="no task 'smell' on backbone tiny; its tasks are: colours, fruit"
    ):
        sp.classify((RATE, make_waveform()), ["smell"])
    with pytest.raises(SpeechPromptError, match="at least one task"):
        sp.classify((RATE, make_waveform()), [])
    with pytest.raises(SpeechPromptError, match="no backbone 'nowhere'; bundled here: "):
        SpeechPrompt.from_pretrained("nowhere")


@pytest.mark.parametrize(
    ("ids", "fact"),
    [
        ([[]], "list is empty"),
        ([[0, N_UNITS]], f"Unit {N_UNITS} does not exist"),
        ([[-1]], "Unit -1 does not exist"),
        ([[0.5]], "whole numbers"),
        ([["7"]], "whole numbers"),
        ([[[1], [2]]], "flat list"),
        ([3, 4], "flat list"),
        ([[0, 1] * 1501], "3002 units; at most 3000"),
    ],
)
def test_bad_units_are_refused(sp, ids, fact):
    with pytest.raises(SpeechPromptError, match=fact):
        sp.classify_units(ids)


def test_bad_audio_is_refused(sp, tmp_path):
    (tmp_path / "text.wav").write_text("this is no recording")
    for source in (
        tmp_path / "text.wav",
        b"",
        (RATE, np.full(RATE, np.nan, np.float32)),
        (RATE, np.zeros(9)),
    ):
        with pytest.raises(SpeechPromptError):
            sp.classify(source)


def test_without_encoder_units_are_still_answered(root):
    sp = SpeechPrompt.from_pretrained(root / "backbones" / "deaf", device="cpu")
    assert sp.classify_units([[1, 2]], ["fruit"])[0][0].task == "fruit"
    with pytest.raises(SpeechPromptError, match="not on this machine"):
        sp.classify((RATE, make_waveform()))


def test_prompts_can_be_chosen(root, tmp_path):
    folder = root / "backbones" / "tiny"
    own = make_prompt("own", sha256=SpeechPrompt.from_pretrained(folder, "cpu").backbone.unit_lm_sha256)
    own.save(tmp_path / "somewhere")
    assert SpeechPrompt.from_pretrained(folder, "cpu", prompts=["fruit", own]).tasks == ["fruit", "own"]
    assert SpeechPrompt.from_pretrained(folder, "cpu", prompts=tmp_path / "somewhere").tasks == ["own"]
    with pytest.raises(SpeechPromptError, match="tuned for the unit LM 000000000000"):
        SpeechPrompt.from_pretrained(folder, "cpu", prompts=[make_prompt("foreign")])
    with pytest.raises(SpeechPromptError, match="no task 'smell'"):
        SpeechPrompt.from_pretrained(folder, "cpu", prompts=["smell"])


def test_unknown_device_is_refused(root):
    with pytest.raises(SpeechPromptError, match="no device 'abacus'"):
        SpeechPrompt.from_pretrained(root / "backbones" / "tiny", device="abacus")


def test_threads_share_one_instance(sp):
    clips = [make_waveform(seed=seed) for seed in range(8)]
    alone = [sp.classify((RATE, clip))[0].scores for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: sp.classify((RATE, clip))[0].scores, clips))
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_public_names():
    assert set(speechprompt.__all__) <= set(dir(speechprompt))
    assert speechprompt.Units.__module__ == "speechprompt.units"
    assert speechprompt.Listener.__module__ == "speechprompt.live.listener"
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert newest.split()[1] == speechprompt.__version__.partition(".dev")[0]
    assert (ROOT / "speechprompt" / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = speechprompt.Nothing


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("speechprompt", "torch"),
        ("speechprompt", "numpy"),
        ("speechprompt.prompts.prompt", "transformers"),
        ("app", "transformers"),  # the page is up before the models are
    ],
)
def test_imports_stay_light(module, absent):
    code = f"import sys, {module}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_answers_as_the_cpu(root, sp):
    on_gpu = SpeechPrompt.from_pretrained(root / "backbones" / "tiny")
    assert on_gpu.device.type == "cuda"
    for one, other in zip(
        sp.classify_units([[1, 2, 3]])[0], on_gpu.classify_units([[1, 2, 3]])[0], strict=True
    ):
        assert one.scores == pytest.approx(other.scores, abs=1e-3)


@pytest.mark.parametrize("tasks", [[["colours"]], [{}], 5, [None], [b"colours"]])
def test_a_task_that_is_no_name_is_one_sentence(tmp_path, tasks):
    backbone = make_backbone(tmp_path)
    sp = SpeechPrompt.from_pretrained(backbone, "cpu")
    with pytest.raises(SpeechPromptError, match="There is no task .* its tasks are: colours, fruit"):
        sp.classify((16_000, make_waveform()), tasks)
    with pytest.raises(SpeechPromptError, match="has no task"):
        sp.backbone.prompt(tasks if tasks == 5 else tasks[0])
