"""A request that takes too long ends with a sentence, and only that one; freed memory serves the next batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.machine.memory import KERNELS, keep_freed_memory
from speechprompt.machine.request_time import check_time, time_limit
from tests import tiny

# A process of its own, since the setting stays; numpy asks the C library for memory as PyTorch does.
PAGES = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from speechprompt.machine.memory import keep_freed_memory
    keep_freed_memory()
def batch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [np.empty(16 << 20, np.uint8) for _ in range(6)]
    for piece in pieces:
        piece.fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print([batch() for _ in range(4)][-1])
"""

KERNELS_MADE = """
import sys, torch
from speechprompt.machine.memory import keep_few_kernels
keep_few_kernels()
def kernels(lengths):
    for n in lengths:
        torch.nn.functional.conv1d(torch.zeros(8, 64, n), torch.zeros(64, 64, 3))  # three kernels, or so
    print("then", flush=True)
first, others = range(2000, 2004), range(3000, 3000 + int(sys.argv[1]) // 2)
for lengths in (first, first, others, first):
    kernels(lengths)
"""


def test_the_limit_is_the_blocks_own() -> None:
    check_time()
    with time_limit(60):
        with time_limit(-1), pytest.raises(SpeechPromptError, match="longer than the -1 s"):
            check_time()
        check_time()
        with time_limit(-1):
            other = Thread(target=check_time)  # another request is not concerned
            other.start()
            other.join()
    check_time()


def test_of_two_limits_the_earlier_holds() -> None:
    with time_limit(-1), time_limit(60), pytest.raises(SpeechPromptError, match="longer than the -1 s"):
        check_time()


def pages_fetched(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_memory_is_kept_for_the_next_batch() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc, which alone can be told")
    assert pages_fetched("kept") < 100
    assert pages_fetched("as it comes") > 1000  # else there is no more need for this


@pytest.mark.long
def test_of_the_kernels_for_lengths_that_were_met_a_few_are_kept() -> None:
    command = [sys.executable, "-c", KERNELS_MADE, str(KERNELS)]
    told = os.environ | {"ONEDNN_VERBOSE": "profile_create"}
    told.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    done = subprocess.run(
        command, env=told, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    made = [part.count("cache_miss") for part in done.stdout.split("then")]
    if not made[0]:
        pytest.skip("oneDNN makes no convolution of this machine")
    assert made[1] == 0 and KERNELS < made[2] < 1000 and made[3] >= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_forked_after_the_models_worked_says_so_and_does_not_hang(tmp_path: Path) -> None:
    code = """
import os, sys, torch
from tests import tiny
from speechprompt import SpeechPrompt, SpeechPromptError
sp, recording = SpeechPrompt.from_pretrained(sys.argv[1], "cpu"), (16_000, tiny.make_waveform())
torch.set_num_threads(2)
label = sp.classify(recording)[0].label
if os.fork() == 0:
    try:
        sp.classify(recording)
    except SpeechPromptError as error:
        print(error, flush=True)
    torch.set_num_threads(1)
    print(sp.classify(recording)[0].label == label, flush=True)
    os._exit(0)
os.wait()
"""
    command = [sys.executable, "-c", code, str(tiny.make_backbone(tmp_path))]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    sentence, same = done.stdout.splitlines()
    assert sentence.startswith("This process was forked after the models had been used") and same == "True"
