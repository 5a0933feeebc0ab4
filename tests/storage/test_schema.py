"""A schema refuses by the first fault, in one sentence that names the field."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Annotated, Any

import pytest
from pydantic import Field

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.schema import from_object, look_alike, plain, read, schema


@schema()
class Size:
    width: Annotated[int, Field(ge=1, le=9)] = 1
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.width == 7:
            raise ValueError("nothing is 7 wide")


@schema()
class Thing:
    name: Annotated[str, plain(5)]
    size: Annotated[Size, from_object(Size)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"size": {}}, "it lacks the entry 'name'."),
        ({"name": "x", "size": {}, "y\n\x1b" * 30: 1}, "it holds an unknown entry"),
        ({"name": "x", "size": {"width": 10}}, "size.width must be less than or equal to 9."),
        ({"name": "x", "size": {"width": True}}, "size.width must be a valid integer."),
        ({"name": "x", "size": {"width": 1.0}}, "size.width must be a valid integer."),
        ({"name": "x", "size": {"width": 10**500}}, "size.width must be"),
        ({"name": "x", "size": {"share": float("inf")}}, "size.share must be a finite number."),
        ({"name": "x", "size": {"share": 10**400}}, "size.share must be"),
        ({"name": "x", "size": {"depth": 1}}, "it holds an unknown entry 'size.depth'."),
        ({"name": "x", "size": {"width": 7}}, "nothing is 7 wide."),
        ({"name": "x", "size": 3}, "size must be"),
        ({"name": "x", "size": {}, "self": 1}, "it holds an unknown entry 'self'."),
        (
            {"name": "x", "size": {"__dataclass_self__": 1}},
            "it holds an unknown entry 'size.__dataclass_self__'.",
        ),
        ({"name": "x\u202e", "size": {}}, "name must be plain text of at most 5 characters."),
        ({"name": "x" * 10**6, "size": {}}, "name must be plain text of at most 5 characters."),
    ],
)
def test_the_first_fault_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpeechPromptError) as caught:
        read(Thing, values, "Thing: thing.json")
    text = str(caught.value)
    assert text.startswith(f"Thing: thing.json: {sentence}")
    assert text.isprintable() and text.endswith(".") and len(text) < 200


def test_code_is_checked_as_files_are() -> None:
    thing = Thing("x", Size(2))
    assert thing == read(Thing, {"name": "x", "size": {"width": 2}}, "Thing")
    with pytest.raises(
        SpeechPromptError, match=r"^Thing: name must be plain text of at most 5 characters\.$"
    ):
        replace(thing, name="\x00")
    with pytest.raises(AttributeError):
        thing.name = "y"  # type: ignore[misc]


def test_names_that_look_alike() -> None:
    assert look_alike(["a", "b", "A"]) is None
    assert look_alike(["a", "b", "a "]) == ("a", "a ")
    assert look_alike(["caf\xe9", "cafe\u0301"]) == ("caf\xe9", "cafe\u0301")
    assert look_alike(["on", "o\u200bn"]) == ("on", "o\u200bn")


def test_the_package_and_its_help_do_without() -> None:
    code = "import speechprompt, speechprompt.cli, sys; assert not {'pydantic', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
