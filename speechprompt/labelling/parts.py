"""The finished parts of a run on a cluster: a parquet file each, so that a stopped run goes on with the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from speechprompt.data.clips import Clips
from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.kept import lock, of_another_run
from speechprompt.storage.folders import read_json, replaced_file, write_json

RUN, LOCK = "_run.json", "_lock"  # readers of parquet folders pass over such names
SMALLEST, LARGEST = 64, 1024  # clips of a part: what is answered again where a worker dies
PARTS_PER_WORKER = 8  # where there are clips enough, so that the last one is waited for briefly


class Parts:
    """A folder of tables, part-0000000.parquet and so on, of one run; within `with` no other run may use it.

    len() says how many parts there are to be, `clips` how many recordings each has but the last one.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], source: Clips, workers: int) -> None:
        """settings: what makes two runs the same. workers: by which the size of a new run's parts is chosen."""
        self.folder, self.settings, self.source = folder, settings, source
        self.clips = min(max(-(-len(source) // (workers * PARTS_PER_WORKER)), SMALLEST), LARGEST)

    def __enter__(self) -> Self:
        """SpeechPromptError where another run is at work in the folder, or it holds something else."""
        self.folder.mkdir(exist_ok=True)
        self.lock: IO[bytes] = (self.folder / LOCK).open("ab")
        try:
            lock(self.lock, "parts", self.folder)
            self._begin()
        except BaseException:
            self.lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.close()

    def _begin(self) -> None:
        """Write what the run is about into a new folder; take the size of the parts from an old one."""
        run = self.folder / RUN
        if run.exists():
            found = read_json(self.folder, RUN, self.folder.name)
            size = found.pop("clips_of_a_part", None)
            if found != self.settings or type(size) is not int or size < 1:
                raise of_another_run(self.folder)
            self.clips = size
        elif {path.name for path in self.folder.iterdir()} - {LOCK, f".{RUN}.new"}:
            raise of_another_run(self.folder)
        else:
            with replaced_file(run) as aside:
                write_json(aside, self.settings | {"clips_of_a_part": self.clips})

    def __len__(self) -> int:
        return -(-len(self.source) // self.clips)

    def of(self, number: int) -> Clips:
        """The recordings of a part."""
        return self.source.part(number * self.clips, min((number + 1) * self.clips, len(self.source)))

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:07}.parquet"

    def keep(self, number: int, table: bytes) -> None:
        """Write the parquet file of a part so that it is there whole or not at all."""
        with replaced_file(self._path(number)) as aside:
            aside.write_bytes(table)

    def failed(self, number: int) -> int | None:
        """How many rows of a finished part have no labels; None where it is not finished.

        SpeechPromptError where it is about other recordings.
        """
        import pyarrow
        import pyarrow.parquet

        path = self._path(number)
        if not path.exists():
            return None
        try:
            table = pyarrow.parquet.read_table(path, columns=["id", "error"])
        except (OSError, ValueError, pyarrow.ArrowException):  # a disk lost its end: it is made again
            return None
        if table["id"].to_pylist() != list(self.of(number).ids()):
            raise of_another_run(self.folder)
        return table.num_rows - table["error"].null_count

    def cells(self) -> Iterator[list[Any]]:
        """The cells of all rows, in order; SpeechPromptError unless there are as many as recordings."""
        import pyarrow.parquet

        rows = 0
        for number in range(len(self)):
            for row in pyarrow.parquet.read_table(self._path(number)).to_pylist():
                rows += 1
                yield list(row.values())
        if rows != len(self.source):
            raise SpeechPromptError(
                f"{self.folder.name} holds {rows} rows for {len(self.source)} recordings: delete it and run the "
                "command again."
            )

    def become(self, folder: Path) -> None:
        """Leave the parts as the output: a folder of parquet files."""
        self.folder.rename(folder)
        for rest in (*folder.glob(".part-*.new"), folder / RUN, folder / LOCK):
            rest.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete what was kept; what it is about goes last, so that a kill in between leaves a run that goes on."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name in (RUN, LOCK)):
            path.unlink()
        self.folder.rmdir()
