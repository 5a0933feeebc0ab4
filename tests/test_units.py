"""Runs of equal units collapse without losing time; ids that are no units are refused."""

from __future__ import annotations

import numpy as np
import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.units import Units, check_unit_ids, parse_units, to_tokens


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
    assert len(Units.from_frames([])) == 0 and Units.from_frames([]).n_frames == 0


def test_tokens_leave_room_for_the_specials() -> None:
    assert to_tokens([0, 99]) == [4, 103]


@pytest.mark.parametrize(
    ("ids", "said"),
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
def test_bad_ids(ids: object, said: str) -> None:
    with pytest.raises(SpeechPromptError, match=said):
        check_unit_ids(ids, 20)


def test_units_are_read_as_people_paste_them():
    assert parse_units("71, 12  63\n[40;5]") == [71, 12, 63, 40, 5] and parse_units(" ") == []
    for text in ("1 x", "-4", "1.5", "١", "1" * 10):
        with pytest.raises(SpeechPromptError, match="is no unit"):
            parse_units(text)
