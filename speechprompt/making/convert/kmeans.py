"""Turn a k-means file of the papers, such as HuBERT's km.bin, into centroids in safetensors.

The command `convert kmeans` says how and why.
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert.checkpoint import StandIn
from speechprompt.making.convert.joblib_file import Reader, Refused, array
from speechprompt.storage.tensors import write_tensors

MAX_BYTES = 1 << 30  # some files keep the label of every frame that was clustered
MAX_CLUSTERS = 65_000
MAX_WIDTH = 4096
PICKLE_MAGIC = b"\x80"  # protocol 2 and later
NPY_MAGIC = b"\x93NUMPY"
# First bytes of what joblib.dump(..., compress=...) writes: zlib, gzip, bz2, xz, lzma, lz4.
COMPRESSED = (b"x\x01", b"x^", b"x\x9c", b"x\xda", b"\x1f\x8b", b"BZ", b"\xfd7zXZ", b"]\x00", b'\x04"M\x18')

KMEANS = re.compile(r"sklearn\.cluster\.(_kmeans\.|k_means_\.)?(KMeans|MiniBatchKMeans)")


def _read_npy(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read(file)
    if dtype.kind != "f":
        raise ValueError("no array of floats")
    return array(data[file.tell() :], dtype, shape, fortran)


def read(path: Path) -> Tensor:
    """A joblib pickle of a k-means model, or a .npy array -> centroids float32 [K, d]; runs nothing.

    SpeechPromptError says what the file is instead, or which class it named that was refused.
    """
    path = Path(path)
    label = f"K-means: {path.name}"
    if not path.is_file():
        raise SpeechPromptError(f"{label} is not there, or is no file.")
    if path.stat().st_size > MAX_BYTES:
        raise SpeechPromptError(
            f"{label} has {path.stat().st_size} bytes, more than the {MAX_BYTES} allowed."
        )
    data = path.read_bytes()
    if data.startswith(COMPRESSED):
        raise SpeechPromptError(
            f"{label} is compressed: write it again, with joblib.dump(joblib.load(old), new), on a machine "
            "that may trust it."
        )
    if not data.startswith((NPY_MAGIC, PICKLE_MAGIC)):
        raise SpeechPromptError(f"{label} is neither a pickle that joblib wrote nor a .npy array.")
    try:
        found = _read_npy(data) if data.startswith(NPY_MAGIC) else _centroids(Reader(data, KMEANS).load())
    except Refused as refused:
        raise SpeechPromptError(
            f"{label} holds {refused}, which no k-means model needs; nothing of it was run."
        ) from refused
    except Exception as error:  # a hostile file can make the reader raise anything
        raise SpeechPromptError(
            f"{label} is damaged, cut short, or no k-means model that joblib wrote: copy or download it again."
        ) from error
    if not isinstance(found, np.ndarray):
        raise SpeechPromptError(f"{label} holds no fitted KMeans or MiniBatchKMeans of scikit-learn.")
    return _checked(found, label)


def _centroids(model: Any) -> Any:
    """The centroids of a fitted model, None in anything else."""
    return (
        model.state.get("cluster_centers_")
        if isinstance(model, StandIn) and KMEANS.fullmatch(model.name)
        else None
    )


def _checked(centroids: np.ndarray, label: str) -> Tensor:
    shape = centroids.shape
    if centroids.dtype.kind != "f" or len(shape) != 2 or shape[0] not in range(2, MAX_CLUSTERS + 1):
        raise SpeechPromptError(
            f"{label}: centroids are floats [K, d], but these are {centroids.dtype} {list(shape)}."
        )
    if shape[1] not in range(1, MAX_WIDTH + 1):
        raise SpeechPromptError(
            f"{label}: centroids have 1 to {MAX_WIDTH} numbers, but these have {shape[1]}."
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused
        made = torch.from_numpy(np.ascontiguousarray(centroids, dtype=np.float32))
    if not bool(torch.isfinite(made).all()):
        raise SpeechPromptError(f"{label}: the centroids hold values that are not finite numbers.")
    return made


def convert(source: Path, out: Path) -> Tensor:
    """km.bin (or .npy) -> safetensors file `out`; returns the centroids float32 [K, d].

    SpeechPromptError before anything is written; an interrupted write leaves the old file.
    """
    centroids = read(source)
    out = Path(out)
    if out.is_dir():
        raise SpeechPromptError(
            f"{out.name} is a folder: name a file to write, such as centroids.safetensors."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
        write_tensors(Path(aside) / out.name, {"centroids": centroids}, "K-means")
        (Path(aside) / out.name).replace(out)
    return centroids
