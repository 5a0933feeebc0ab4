"""Read what joblib pickled, without running it: records of objects, and real arrays.

A pickle is a list of instructions for a stack machine, and two of them import and call whatever the file
names. Here calling a name only makes a record of it, names are a short list, and so are instructions.
joblib's files have the bytes of each array between the instructions. Knows nothing of k-means.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

MAX_AXES = 4

# Names that describe arrays, and those of numbers and random states that fitted models keep.
ARRAY = re.compile(r"(sklearn\.externals\.)?joblib\.numpy_pickle\.NumpyArrayWrapper")
DTYPE = re.compile(r"numpy\.dtype")
IGNORED = re.compile(
    r"numpy\.ndarray|numpy\._?core\.multiarray\.scalar|_codecs\.encode|numpy\.random\.__RandomState_ctor"
    r"|numpy\.random\._pickle\.__(randomstate|bit_generator)_ctor|numpy\.random\._mt19937\.MT19937"
)
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
LITERALS = re.compile(r"BININT[12]?|LONG1|BINFLOAT|(SHORT_)?BIN(STRING|BYTES|UNICODE)")


@dataclass
class _Name:
    """A class or function that the file names; never looked up."""

    name: str


@dataclass
class Record:
    """What the file would have made by calling a name: a record of it."""

    name: str
    args: tuple[Any, ...]
    state: Any = None


class Refused(Exception):
    """What the file asked for and does not get; becomes the error sentence."""


class Reader:
    """Follows a pickle's instructions on a stack of its own; no instruction can import, call or set anything.

    data: the whole file. allowed: the names that may occur in it, besides those of arrays. Raises Refused
    with what it will not follow; a damaged file makes it raise any other exception.
    """

    def __init__(self, data: bytes, allowed: re.Pattern[str]) -> None:
        self.data = data
        self.allowed = allowed
        self.file = io.BytesIO(data)
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """What the pickle describes: plain values, numpy arrays, and a Record of each other object."""
        for opcode, arg, _ in pickletools.genops(self.file):
            if opcode.name == "STOP":
                return self.stack.pop()
            self.follow(opcode.name, arg)
        raise EOFError

    def follow(self, instruction: str, arg: Any) -> None:
        stack = self.stack
        if instruction in ("PROTO", "FRAME"):
            return
        if instruction in CONSTANTS:
            stack.append(CONSTANTS[instruction]())
        elif LITERALS.fullmatch(instruction):
            stack.append(arg)
        elif instruction == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif instruction == "TUPLE":
            items = self.since_mark()
            self.stack.append(tuple(items))
        elif instruction in TUPLES:
            stack[-TUPLES[instruction] :] = [tuple(stack[-TUPLES[instruction] :])]
        elif instruction in ("APPEND", "APPENDS"):
            items = [stack.pop()] if instruction == "APPEND" else self.since_mark()
            self.top(list).extend(items)
        elif instruction in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if instruction == "SETITEM" else self.since_mark()
            # Hashing a tuple of tuples of … may take for ever, and the entries of a state have names.
            if not all(isinstance(key, str) for key in items[::2]):
                raise Refused("a dictionary whose keys are not text")
            self.top(dict).update(zip(items[::2], items[1::2], strict=True))
        elif instruction in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if arg is None else arg] = stack[-1]
        elif instruction in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[arg])
        elif instruction in ("GLOBAL", "STACK_GLOBAL"):
            parts = arg.split(" ") if instruction == "GLOBAL" else [stack.pop(-2), stack.pop()]
            stack.append(self.named(".".join(parts)))
        elif instruction in ("NEWOBJ", "REDUCE"):
            args = self.top(tuple)
            stack.pop()
            stack.append(Record(self.top(_Name).name, args))
            del stack[-2]
        elif instruction == "BUILD":
            state = stack.pop()
            made = self.top(Record)
            made.state = state
            if ARRAY.fullmatch(made.name):
                stack[-1] = self.read_array(state)
        else:
            raise Refused(f"the pickle instruction {instruction}")

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def top(self, kind: type[T]) -> T:
        if not isinstance(self.stack[-1], kind):
            raise ValueError("an instruction without its operand")
        return self.stack[-1]

    def named(self, name: str) -> _Name:
        if not any(known.fullmatch(name) for known in (self.allowed, ARRAY, DTYPE, IGNORED)):
            raise Refused(name[:120])
        return _Name(name)

    def read_array(self, header: dict[str, Any]) -> np.ndarray:
        """The array whose bytes begin here, as joblib's NumpyArrayWrapper describes it."""
        # joblib 1.2 and later write how many bytes of padding follow, then those.
        if header.get("numpy_array_alignment_bytes") is not None:
            self.file.seek(self.file.read(1)[0], os.SEEK_CUR)
        start = self.file.tell()
        shape, fortran = header["shape"], header["order"] == "F"
        found = array(memoryview(self.data)[start:], _dtype(header["dtype"]), shape, fortran)
        self.file.seek(start + found.nbytes)
        return found


def _dtype(described: Record) -> np.dtype:
    """The dtype if it is that of plain numbers."""
    if not DTYPE.fullmatch(described.name) or not re.fullmatch(r"f[248]|[iu][1248]|b1", described.args[0]):
        raise Refused(f"an array of the dtype {str(described.args[0])[:20]!r}")
    return np.dtype((">" if described.state[1] == ">" else "<") + described.args[0])


def array(data: memoryview | bytes, dtype: np.dtype, shape: Any, fortran: bool) -> np.ndarray:
    """A copy of the array at the beginning of data; ValueError if it does not fit into it."""
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > MAX_AXES:
        raise ValueError("an impossible shape")
    count = math.prod(shape)
    if count * dtype.itemsize > len(data):
        raise ValueError("fewer bytes than its shape asks for")
    flat = np.frombuffer(data, dtype, count).copy()
    return flat.reshape(shape, order="F" if fortran else "C")
