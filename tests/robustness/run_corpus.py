"""Answer every case of the corpus with the bundled `mini` in this process, and say what came out, a line each.

    python -m tests.robustness.run_corpus FOLDER

The files lie in FOLDER already, so that making them is not measured. A line is JSON: name, expected, came (the
answer's label, or the sentence), memory (bytes above the idle process at the worst moment), seconds, ok.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import time
from pathlib import Path

from speechprompt.errors import SpeechPromptError
from speechprompt.pipeline import SpeechPrompt
from tests.robustness.corpus import ANSWER, WAV

NOBODY = 65_534  # a user who may not read everything, as root may


def memory(kind: str) -> int:
    """VmRSS (now) or VmHWM (most since the last reset) of this process, in bytes."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def classify(sp: SpeechPrompt, source: object, as_nobody: bool) -> tuple[str, str]:
    """What kind of thing came out, and the thing itself."""
    if as_nobody and os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        answer = sp.classify(source, ["spoken_digits"])[0]  # type: ignore[arg-type]
        return ANSWER, answer.label
    except SpeechPromptError as error:
        return str(error), str(error)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def main(folder: Path) -> None:
    sp = SpeechPrompt.from_pretrained("mini", "cpu")
    sp.classify(WAV)
    idle = memory("VmRSS")
    for name, expect, source in pickle.loads((folder / "cases.pickle").read_bytes()):  # our own, just written
        print(json.dumps({"begins": name}), flush=True)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
        began = time.perf_counter()
        kind, came = classify(sp, source, name == "an unreadable file")
        seconds = time.perf_counter() - began
        fine = kind == ANSWER if expect == ANSWER else any(part in kind for part in expect.split("|"))
        clean = kind == ANSWER or ("\n" not in kind and kind.endswith(".") and str(folder) not in kind)
        worst = max(0, memory("VmHWM") - idle)
        line = {"name": name, "expected": expect, "came": came, "answered": kind == ANSWER}
        print(json.dumps({**line, "memory": worst, "seconds": seconds, "ok": fine and clean}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
