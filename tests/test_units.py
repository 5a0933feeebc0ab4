"""Runs of equal units collapse without losing time; ids that are no units are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.units import Units, check_unit_ids, parse_units, stretches, to_tokens


def test_runs_collapse() -> None:
    units = Units.from_frames([7, 7, 7, 2, 7, 7])
    assert units.ids.tolist() == [7, 2, 7]
    assert units.starts.tolist() == [0, 3, 4]
    assert units.lengths.tolist() == [3, 1, 2]
    assert units.n_frames == 6 and len(units) == 3


def test_expanding_gives_the_frames_back() -> None:
    frames = np.random.default_rng(0).integers(0, 3, 500)
    units = Units.from_frames(frames)
    np.testing.assert_array_equal(np.repeat(units.ids, units.lengths), frames)
    assert (units.ids[1:] != units.ids[:-1]).all()


def test_no_frames_no_units() -> None:
    assert Units.from_frames([]).span == (0, 0)
    assert len(Units.from_frames([])) == 0 and Units.from_frames([]).n_frames == 0


@pytest.mark.parametrize("pause", [0, 70])
@pytest.mark.parametrize("n_frames", [3, 10, 97, 500, 501])
def test_stretches_hold_everything_and_overlap(n_frames: int, pause: int) -> None:
    frames = np.random.default_rng(1).integers(0, 4, 500)
    units = Units.from_frames(frames)
    units = replace(units, starts=units.starts + pause)
    assert units.span == (pause, pause + 500)
    units = replace(units, f0=np.arange(len(units), dtype=np.float32), log_f0=-np.arange(len(units)))
    cut = stretches(units, n_frames)
    if n_frames >= 500:
        assert len(cut) == 1 and cut[0] is units
        return
    assert {int(i) for piece in cut for i in piece.f0} == set(range(len(units)))  # type: ignore[union-attr]
    firsts = [int(units.starts[int(piece.f0[0])]) for piece in cut]  # type: ignore[index]
    assert firsts == sorted(firsts) and max(np.diff(firsts)) <= n_frames / 2 + units.lengths.max()
    for piece in cut:
        assert piece.f0 is not None and piece.log_f0 is not None
        own = piece.f0.astype(int)
        np.testing.assert_array_equal(own, np.arange(own[0], own[-1] + 1))
        np.testing.assert_array_equal(piece.ids, units.ids[own])
        np.testing.assert_array_equal(piece.log_f0, -own)
        assert piece.starts[0] == 0 and n_frames <= piece.n_frames < n_frames + 2 * units.lengths.max()


def test_tokens_leave_room_for_the_specials() -> None:
    assert to_tokens([0, 99]) == [4, 103]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "empty"),
        ([1, 20], "Unit 20 does not exist"),
        ([-1, 3], "Unit -1 does not exist"),
        ([1.5], "whole numbers"),
        ([[1], [2]], "one flat list"),
        ([[1], [2, 3]], "one flat list"),
        (["a"], "whole numbers"),
        (3, "one flat list"),
        ([True, False], "whole numbers"),
    ],
)
def test_bad_ids(ids: object, message: str) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        check_unit_ids(ids, 20)


def test_units_are_read_as_people_paste_them():
    assert parse_units("71, 12  63\n[40;5]") == [71, 12, 63, 40, 5] and parse_units(" ") == []
    for text in ("1 x", "-4", "1.5", "١", "1" * 10):
        with pytest.raises(SpeechPromptError, match="is no unit"):
            parse_units(text)


def test_units_as_plain_lists_can_be_sent() -> None:
    units = Units.from_frames([5, 5, 3, 5])
    assert json.loads(json.dumps(units.to_dict())) == {
        "ids": [5, 3, 5],
        "starts": [0, 2, 3],
        "lengths": [2, 1, 1],
    }
