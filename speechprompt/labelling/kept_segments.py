"""The segments of a run so far, in a file that a killed run leaves whole; the next one goes on behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from speechprompt.audio.load import opened_file
from speechprompt.backbone import Backbone
from speechprompt.labelling.kept import Kept, parsed, settings
from speechprompt.labelling.segment_files import Row
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.folders import sha256_file


class KeptSegments(Kept):
    """A JSON line for each batch, behind one of settings: seconds answered by then, and its rows."""

    def __init__(self, out: Path, backbone: Backbone, prompts: Sequence[Prompt], recording: Path) -> None:
        """out: of the run. SpeechPromptError where the recording is no file."""
        opened_file(recording).close()
        digest = {"recording": sha256_file(recording)}
        about = settings(backbone.unit_lm_sha256, backbone.dtype, prompts, ())
        super().__init__(out.with_name(out.name + ".part"), about | digest)

    OTHER = "another recording"

    def resume_at(self) -> float:
        """Seconds of the recording that are answered already; half a last line is cut off.

        SpeechPromptError where another run is kept in the file.
        """
        self.begin()
        until, end = 0.0, self.file.tell()
        for line in self.file:
            batch = parsed(line) if line.endswith(b"\n") else None
            if not isinstance(batch, list) or len(batch) != 2 or not isinstance(batch[0], int | float):
                break
            until, end = batch[0], end + len(line)
        self.file.truncate(end)
        return until

    def append_batch(self, until: float, rows: Sequence[Row]) -> None:
        self.append([[until, list(rows)]])

    def segments(self) -> Iterator[Row]:
        """All rows so far, in order."""
        for _, rows in self.rows():
            yield from rows
