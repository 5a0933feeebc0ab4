"""Samples as Python has them: every shape, type and order that libraries give, or one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from speechprompt.audio import load as audio
from speechprompt.audio.arrays import from_chunk
from speechprompt.errors import SpeechPromptError
from tests.sound_files import by_libsndfile, tone

RATE = 16_000
SOUND = tone(RATE)
INTS = np.round(SOUND * 32767).astype(np.int16)
STEREO = np.stack([SOUND, 0.5 * SOUND], 1)


@pytest.mark.parametrize(
    "samples",
    [
        INTS,
        INTS.tolist(),
        INTS.astype(np.int32),
        INTS.astype(np.int64),
        INTS.astype(np.int32) * 65_536,
        INTS.astype(np.int64) * 65_536,
        torch.from_numpy(INTS),
        torch.from_numpy(INTS).int(),
        SOUND.tolist(),
        [[value] for value in SOUND.tolist()],
        SOUND[None],
        SOUND[:, None],
        SOUND.astype(np.float16),
        SOUND.astype(">f4"),
        np.asfortranarray(np.stack([SOUND, SOUND])),
        torch.from_numpy(SOUND).requires_grad_(),
        torch.from_numpy(SOUND)[None],
        torch.from_numpy(SOUND).double(),
    ],
    ids=str,
)
def test_every_way_of_writing_the_same_samples(samples: Any) -> None:
    np.testing.assert_allclose(audio.load((RATE, samples)), SOUND, atol=5e-4)


def test_bfloat16_has_its_own_precision() -> None:
    samples = torch.from_numpy(SOUND).bfloat16().requires_grad_()
    np.testing.assert_allclose(audio.load((RATE, samples)), SOUND, atol=2e-3)


@pytest.mark.parametrize(
    "rate", [16_000, 16_000.0, np.int64(16_000), np.float32(16_000), torch.tensor(16_000)]
)
def test_a_rate_is_a_whole_number_of_any_type(rate: Any) -> None:
    np.testing.assert_array_equal(audio.load((rate, SOUND)), SOUND)


@pytest.mark.parametrize(
    "source",
    [
        (SOUND, RATE),
        [RATE, SOUND],
        (torch.from_numpy(SOUND), RATE),
        (torch.from_numpy(SOUND)[None], RATE),
        {"array": SOUND, "sampling_rate": RATE, "path": "clip.wav"},
        {"array": torch.from_numpy(SOUND), "sampling_rate": float(RATE)},
        {"bytes": by_libsndfile(SOUND, RATE, "WAV", "FLOAT"), "path": None},
        {"bytes": by_libsndfile(SOUND, RATE, "WAV", "FLOAT"), "path": "clip.wav"},
        SOUND,
        torch.from_numpy(SOUND),
    ],
    ids=lambda source: type(source).__name__,
)
def test_every_way_of_giving_samples_and_rate(source: Any) -> None:
    np.testing.assert_array_equal(audio.load(source), SOUND)


def test_channels_come_first_or_last() -> None:
    expected = audio.load((RATE, STEREO))
    np.testing.assert_allclose(expected, 0.75 * SOUND, atol=1e-6)
    np.testing.assert_array_equal(audio.load((RATE, STEREO.T)), expected)


def test_quiet_integers_of_many_bits_stay_quiet() -> None:
    quiet = np.round(tone(RATE, level=0.001) * 2**31).astype(np.int32)  # above the range of 16 bits
    assert np.abs(audio.load((RATE, quiet))).max() == pytest.approx(0.001, rel=1e-3)


def test_a_chunk_of_a_stream_is_scaled_by_its_type_alone() -> None:
    sound, rate = from_chunk(16_000.0, np.full((5, 2), 1 << 10, np.int32))
    assert rate == RATE and sound.shape == (5,) and sound[0] == np.float32(2.0**-21)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ((RATE, [[1, 2], [3]]), "differ in length"),
        ((RATE, [1.0, "a"]), "must be numbers"),
        ((RATE, [None, 1.0]), "must be numbers"),
        ((RATE, SOUND.astype(bool)), "must be numbers"),
        ((RATE, SOUND.astype(complex)), "must be numbers"),
        ((RATE, torch.from_numpy(SOUND).to(torch.complex64)), "must be numbers"),
        ((RATE, torch.from_numpy(SOUND).to_sparse()), "must be numbers"),
        ((RATE, SOUND[None, None]), "must be numbers"),
        ((RATE, 5), "must be numbers"),
        ((16_000.5, SOUND), "whole number of Hz"),
        ((float("nan"), SOUND), "whole number of Hz"),
        ((float("inf"), SOUND), "whole number of Hz"),
        (("16000", SOUND), "whole number of Hz"),
        ((True, SOUND), "whole number of Hz"),
        ((None, SOUND), "whole number of Hz"),
        ((SOUND, SOUND), "whole number of Hz"),
        ({"array": SOUND}, "whole number of Hz"),
        ((10**400, SOUND), "whole number of Hz"),
        ((10**30, SOUND), "sampling rate is"),
        ({"bytes": None, "path": "clip.wav"}, "file path, bytes"),
        ((RATE, np.zeros((9, 16_000))), "9 channels"),
    ],
)
def test_anything_else_is_one_sentence(source: Any, sentence: str) -> None:
    with pytest.raises(SpeechPromptError) as caught:
        audio.load(source)
    assert sentence in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).endswith(".")
