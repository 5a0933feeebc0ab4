"""Classes whose fields are checked by their annotations; the first thing that is wrong becomes one sentence.

`schema` makes a frozen dataclass of a class, whose fields pydantic holds against their types: strictly (no bool
where a number is asked for, no number in a text), finite numbers alone, no unknown fields. What JSON files hold
and what code hands in pass the same check.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from speechprompt.errors import SpeechPromptError

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
LAX = Strict(False)  # of one field, not of what is in it: lists for tuples, as JSON has them
MAX_SHOWN = 40  # characters of a name that comes from a file

# Control characters, halves of characters, and what turns the direction of text around.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
def schema(
    *, known: bool = True, eq: bool = True, repr: bool = True, kw_only: bool = False
) -> Callable[[type[T]], type[T]]:
    """Make a class a frozen dataclass that raises SpeechPromptError with the first fault of its fields.

    known: whether fields that it does not have are refused rather than left out. Rules over several fields are
    for `__post_init__` to raise ValueError about; a rule's sentence stands alone unless it begins with "must".
    """

    def made(kind: type[T]) -> type[T]:
        config = STRICT | ConfigDict(extra="forbid" if known else "ignore")
        result: Any = dataclass(config=config, frozen=True, eq=eq, repr=repr, kw_only=kw_only)(kind)
        validate = result.__pydantic_validator__.validate_python

        def __init__(self: Any, /, *args: Any, **fields: Any) -> None:
            try:  # a field from a file may have any name
                validate(ArgsKwargs(args, fields), self_instance=self)
            except ValidationError as error:
                raise SpeechPromptError(f"{result.__name__}: {fault(error)}.") from error

        result.__init__ = __init__
        return result

    return made


def read(kind: Callable[..., T], values: Mapping[str, Any], what: str) -> T:
    """What a schema makes of a JSON object; `what` begins the sentence, in place of the schema's name."""
    try:
        return kind(**values)
    except SpeechPromptError as error:
        assert isinstance(error.__cause__, ValidationError)
        raise SpeechPromptError(f"{what}: {fault(error.__cause__)}.") from error


def from_object(kind: Callable[..., Any]) -> BeforeValidator:
    """Of a field that is a schema itself: a JSON object makes one too."""
    return BeforeValidator(lambda value: kind(**value) if isinstance(value, dict) else value)


def fault(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as half a sentence that names the field."""
    place, kind, message = first_fault(error)
    name = ".".join(map(shown, place))
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"it lacks the entry '{name}'"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"it holds an unknown entry '{name}'"
    return f"{name} {message}" if name and message.startswith("must ") else message


def first_fault(error: ValidationError) -> tuple[tuple[int | str, ...], str, str]:
    """Where it is, of which of pydantic's types, and what is said of it."""
    first = error.errors(include_url=False, include_input=False)[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(cause := getattr(inner, "__cause__", None), ValidationError):  # of a schema in a schema
        place, kind, message = first_fault(cause)
        return first["loc"] + place, kind, message
    if inner is not None:
        return first["loc"], first["type"], str(inner).removesuffix(".")
    return first["loc"], first["type"], re.sub(r"^\w+ should", "must", first["msg"])


def shown(part: object) -> str:
    """A name from a file, cut and without what cannot be printed."""
    text = str(part)[:MAX_SHOWN]
    return text if text.isprintable() else ascii(text)[1:-1]


def plain(limit: int) -> AfterValidator:
    """Of str: one line that shows what it holds, of at most `limit` characters."""

    def check(value: str) -> str:
        if not is_plain(value, limit):
            raise ValueError(f"must be plain text of at most {limit} characters")
        return value

    return AfterValidator(check)


def is_plain(value: object, limit: int) -> bool:
    return isinstance(value, str) and len(value) <= limit and CONTROL.search(value) is None


def matching(pattern: re.Pattern[str], described: str) -> AfterValidator:
    """Of str: the pattern matches the whole, else it "must be" what is described."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"must be {described}")
        return value

    return AfterValidator(check)


def look_alike(names: Sequence[str]) -> tuple[str, str] | None:
    """The first two names that people cannot tell apart: equal but for composition, spaces and what has no width."""
    seen: dict[str, str] = {}
    for name in names:
        visible = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")
        key = " ".join(unicodedata.normalize("NFC", visible).split())
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None
