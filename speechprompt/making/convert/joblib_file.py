"""Read what joblib pickled without running it: numbers, text, arrays, and a stand-in for every other object.

Python's own unpickler imports and calls what a file names through `find_class`; here that gives a class
without behaviour for a short list of names and refuses all others, and only the instructions that such a
file needs are followed. joblib writes the bytes of each array between them. Knows nothing of k-means.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from speechprompt.making.convert.checkpoint import StandIn

MAX_AXES = 4

# Names that describe arrays, and those of numbers and random states that fitted models keep.
ARRAY = re.compile(r"(sklearn\.externals\.)?joblib\.numpy_pickle\.NumpyArrayWrapper")
DTYPE = re.compile(r"numpy\.dtype")
IGNORED = re.compile(
    r"numpy\.ndarray|numpy\._?core\.multiarray\.scalar|_codecs\.encode|numpy\.random\.__RandomState_ctor"
    r"|numpy\.random\._pickle\.__(randomstate|bit_generator)_ctor|numpy\.random\._mt19937\.MT19937"
)
FOLLOWED = re.compile(
    r"PROTO|FRAME|STOP|MARK|NONE|NEW(TRUE|FALSE)|BININT[12]?|LONG1|BINFLOAT|(SHORT_)?BIN(STRING|BYTES|UNICODE)"
    r"|EMPTY_(TUPLE|LIST|DICT)|TUPLE[123]?|APPENDS?|SETITEMS?|MEMOIZE|(LONG_)?BIN(PUT|GET)|(STACK_)?GLOBAL"
    r"|NEWOBJ|REDUCE|BUILD"
)
INSTRUCTIONS = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class Refused(Exception):
    """What the file asked for and does not get; becomes the error sentence."""


class _Followed(dict[int, Callable[..., None]]):
    """Code of an instruction -> the unpickler's method, for those that are followed."""

    def __missing__(self, code: int) -> Callable[..., None]:
        raise Refused(f"the pickle instruction {INSTRUCTIONS[code]}")


class Reader(pickle._Unpickler):  # the one in Python: its memo cannot be made to take gigabytes, as that in C
    """load() -> plain values, numpy arrays, and a StandIn with `name`, `args` and `state` for any other object.

    data: the whole file. allowed: the names that may occur in it, besides those of arrays. load raises Refused
    with what it does not follow; a damaged file makes it raise any other exception.
    """

    stack: list[Any]

    def __init__(self, data: bytes, allowed: re.Pattern[str]) -> None:
        self.data, self.file, self.allowed = data, io.BytesIO(data), allowed
        self.classes: dict[str, type[StandIn]] = {}
        super().__init__(self.file, encoding="latin-1")

    def find_class(self, module: str, name: str) -> type[StandIn]:
        full = f"{module}.{name}"
        if not any(known.fullmatch(full) for known in (self.allowed, ARRAY, DTYPE, IGNORED)):
            raise Refused(full[:120])
        return self.classes.setdefault(full, type("StandIn", (StandIn,), {"name": full}))

    def build(self) -> None:
        made = self.stack[-2]
        if not isinstance(made, StandIn):
            raise ValueError("a state for no object")
        made.state = self.stack.pop()
        if ARRAY.fullmatch(made.name):
            self.stack[-1] = self.read_array(made.state)

    def set_item(self) -> None:
        self.check_keys(self.stack[-2:-1])
        super().load_setitem()  # type: ignore[misc]

    def set_items(self) -> None:
        self.check_keys(self.stack[::2])
        super().load_setitems()  # type: ignore[misc]

    def check_keys(self, keys: list[Any]) -> None:
        # Hashing a tuple of tuples of … may take for ever, and the entries of a state have names.
        if not all(isinstance(key, str) for key in keys):
            raise Refused("a dictionary whose keys are not text")

    def read_array(self, header: dict[str, Any]) -> np.ndarray:
        """The array whose bytes begin here, as joblib's NumpyArrayWrapper describes it."""
        # joblib 1.2 and later write how many bytes of padding follow, then those.
        if header.get("numpy_array_alignment_bytes") is not None:
            self.file.seek(self.file.read(1)[0], os.SEEK_CUR)
        start = self.file.tell()
        found = array(
            memoryview(self.data)[start:], _dtype(header["dtype"]), header["shape"], header["order"] == "F"
        )
        self.file.seek(start + found.nbytes)
        return found

    dispatch = _Followed(
        {
            code: method
            for code, method in pickle._Unpickler.dispatch.items()
            if FOLLOWED.fullmatch(INSTRUCTIONS[code])
        }
    )
    dispatch |= {pickle.BUILD[0]: build, pickle.SETITEM[0]: set_item, pickle.SETITEMS[0]: set_items}


def _dtype(described: StandIn) -> np.dtype:
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
