"""The papers' k-means models become centroids; what is hostile, broken or none is refused unrun."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from speechprompt.commands.convert import kmeans as command
from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import kmeans
from tests.making.convert.checkpoints import (
    CHECKPOINTS,
    FIXTURES,
    Touch,
    attacks,
    named,
    run,
)


def refuses_kmeans(path, match, out):
    with pytest.raises(SpeechPromptError, match=match) as caught:
        kmeans.convert(path, out)
    assert str(path.parent) not in str(caught.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


@pytest.mark.parametrize("name", ["km", "km_float64"])
@pytest.mark.parametrize("suffix", ["bin", "npy"])
def test_centroids_are_those_of_the_model(tmp_path, capsys, name, suffix):
    out = tmp_path / "new" / "centroids.safetensors"
    run(command, CHECKPOINTS / f"{name}.{suffix}", out)
    assert "8 centroids of 16 numbers" in capsys.readouterr().out
    (stored,) = load_file(out).items()
    expected = torch.from_numpy(np.load(CHECKPOINTS / f"{name}.npy")).float()
    assert stored[0] == "centroids"
    assert stored[1].dtype == torch.float32
    assert torch.equal(stored[1], expected)
    assert [path.name for path in out.parent.iterdir()] == ["centroids.safetensors"]


def test_reading_imports_neither_scikit_learn_nor_joblib():
    code = (
        "import sys; from pathlib import Path; from speechprompt.making.convert import kmeans;"
        f"kmeans.read(Path({str(CHECKPOINTS / 'km.bin')!r}));"
        "assert not {'sklearn', 'joblib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FIXTURES.parents[1])


def piece(value):
    """The instructions that put a value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def built(name, **state):
    """The instructions for an object of this class with this state; bytes stand for instructions."""
    entries = [piece(k) + (v if isinstance(v, bytes) else piece(v)) for k, v in state.items()]
    return named(name) + b")\x81}(" + b"".join(entries) + b"ub"


def joblib_array(array, order="C", shape=None, code=None, wrapper="sklearn.externals.joblib", **state):
    """An array as joblib before 1.2 wrote it: a header without alignment, then the bytes."""
    order_mark = array.dtype.str[0]
    dtype = named("numpy.dtype") + piece((code or array.dtype.str[1:], False, True)) + b"R"
    dtype += piece((3, order_mark, None, None, None, -1, -1, 0)) + b"b"
    header = {"subclass": named("numpy.ndarray"), "shape": array.shape if shape is None else shape}
    header |= {"order": order, "dtype": dtype, "allow_mmap": True, **state}
    return built(f"{wrapper}.numpy_pickle.NumpyArrayWrapper", **header) + array.tobytes(order)


def old_kmeans(tmp_path, centroids, name="sklearn.cluster.k_means_.MiniBatchKMeans", **state):
    path = tmp_path / "km.bin"
    path.write_bytes(b"\x80\x02" + built(name, n_clusters=8, cluster_centers_=centroids, **state) + b".")
    return path


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_old_files_of_joblib_and_scikit_learn(tmp_path, dtype, order):
    array = (np.arange(24).reshape(4, 6) / 4).astype(dtype)
    counts = joblib_array(np.arange(4, dtype="<i8"))
    path = old_kmeans(tmp_path, joblib_array(array, order), counts_=counts, tol=0.0, random_state=None)
    assert torch.equal(kmeans.read(path), torch.arange(24).reshape(4, 6) / 4)


@pytest.mark.parametrize("attack", attacks(""))
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_hostile_pickle_runs_nothing(tmp_path, attack, nested, protocol):
    marker = tmp_path / "ran"
    evil = attacks(marker)[attack]
    path = tmp_path / "km.bin"
    path.write_bytes(pickle.dumps(evil, protocol))
    if nested:
        centroids = joblib_array(np.ones((4, 6), "<f4"))
        old_kmeans(tmp_path, centroids, init=pickle.dumps(evil, protocol)[2:-1])
    refuses_kmeans(path, f"{attack.removeprefix('os.')}, which no k-means", tmp_path / "x" / "o")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("instructions", "match"),
    [
        (b"(S'touch x'\nios\nsystem\n.", "instruction STRING"),
        (b"(ios\nsystem\n.", "instruction INST"),
        (b"(" + named("numpy.ndarray") + b"o.", "instruction OBJ"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"Pid\n.", "instruction PERSID"),
        (b"\x8f(K\x01\x90.", "instruction EMPTY_SET"),
        (b"\x8c\x05numpy\x8c\x11ndarray.__class__\x93.", r"numpy\.ndarray\.__class__"),
        (b"}))s.", "keys are not text"),
        (named("sklearn.cluster.k_means_.KMeans") + piece((1,)) + b"R}b.", "no fitted KMeans"),
        (b"}.", "no fitted KMeans"),
        (piece([1, 2]) + b".", "no fitted KMeans"),
        (named("sklearn.cluster._bisect_k_means.BisectingKMeans") + b")\x81.", "BisectingKMeans"),
        (named("numpy.ndarray") + b"}b.", "damaged"),
        (b"))b.", "damaged"),
        (b"a.", "damaged"),
        (b"h\x09.", "damaged"),
    ],
)
def test_pickles_that_are_no_kmeans(tmp_path, instructions, match):
    (tmp_path / "km.bin").write_bytes(b"\x80\x04" + instructions)
    refuses_kmeans(tmp_path / "km.bin", match, tmp_path / "x" / "o")


ONES = np.ones((4, 6), "<f4")


@pytest.mark.parametrize(
    ("centroids", "match"),
    [
        (joblib_array(ONES, shape=(1 << 40, 6)), "damaged"),
        (joblib_array(ONES, shape=(4, -6)), "damaged"),
        (joblib_array(ONES, shape=(4, 6.0)), "damaged"),
        (joblib_array(ONES, shape=[4, 6]), "damaged"),
        (joblib_array(ONES, shape=(1, 1, 1, 1, 1)), "damaged"),
        (joblib_array(ONES, code="O8"), "an array of the dtype 'O8'"),
        (joblib_array(ONES, code="V8"), "an array of the dtype 'V8'"),
        (joblib_array(ONES[0]), r"but these are float32 \[6\]"),
        (joblib_array(ONES[:1]), r"but these are float32 \[1, 6\]"),
        (joblib_array(np.ones((2, 5000), "<f4")), "but these have 5000"),
        (joblib_array(np.ones((4, 6), "<i8")), "but these are int64"),
        (joblib_array(ONES * np.nan), "not finite"),
        (joblib_array(np.full((4, 6), 1e300)), "not finite"),
        (b"N", "no fitted KMeans"),
    ],
)
def test_centroids_that_cannot_be(tmp_path, centroids, match):
    refuses_kmeans(old_kmeans(tmp_path, centroids), match, tmp_path / "x" / "o")


def test_kmeans_file_cut_short_at_any_place(tmp_path):
    whole = (CHECKPOINTS / "km_float64.bin").read_bytes()
    path = tmp_path / "km.bin"
    for end in [*range(0, len(whole), 23), len(whole) - 1]:
        path.write_bytes(whole[:end])
        refuses_kmeans(path, "damaged, cut short|neither a pickle", tmp_path / "x" / "o")


def test_kmeans_file_with_a_wrong_byte_is_read_or_refused(tmp_path):
    whole, draw = (CHECKPOINTS / "km.bin").read_bytes(), random.Random(0)
    path = tmp_path / "km.bin"
    for _ in range(400):
        broken = bytearray(whole)
        broken[draw.randrange(len(whole))] = draw.randrange(256)
        path.write_bytes(broken)
        with contextlib.suppress(SpeechPromptError):
            assert kmeans.read(path).ndim == 2


def test_files_that_are_no_kmeans(tmp_path):
    out = tmp_path / "x" / "o"
    refuses_kmeans(CHECKPOINTS / "km_compressed.bin", "is compressed", out)
    refuses_kmeans(tmp_path / "none.bin", "none.bin is not there", out)
    refuses_kmeans(CHECKPOINTS / "dict.txt", "neither a pickle", out)
    refuses_kmeans(CHECKPOINTS / "base_lm.pt", "neither a pickle", out)
    np.save(tmp_path / "objects.npy", np.array([Touch(os.system, "true")], dtype=object), allow_pickle=True)
    refuses_kmeans(tmp_path / "objects.npy", "damaged", out)
    whole = (CHECKPOINTS / "km.npy").read_bytes()
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(8, 16)", b"(8000000000, 16)".ljust(7)))
    refuses_kmeans(tmp_path / "huge.npy", "damaged", out)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpeechPromptError, match="folder is a folder"):
        kmeans.convert(CHECKPOINTS / "km.bin", tmp_path / "folder")
