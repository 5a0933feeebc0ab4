"""Units of recordings that studies ask for again, kept in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from speechprompt.audio.silence import has_no_speech
from speechprompt.backbone import Backbone
from speechprompt.data import dataset
from speechprompt.data.dataset import Example
from speechprompt.data.unit_file import UnitWriter
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import waveform_of
from speechprompt.units import Units


class KeptUnits:
    """The units of recordings by the hash of their sound, kept as files of units in a folder; None: in memory."""

    def __init__(self, backbone: Backbone, folder: Path | None) -> None:
        self.backbone, self.found = backbone, dict[str, tuple[Units, bool]]()
        self.folder = None if folder is None else folder / f"{backbone.name}-{backbone.encoder_sha256[:12]}"
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(self.folder.glob("*.parquet")):
                self.found |= {
                    row["id"]: (row["units"], bool(row["nobody"])) for row in dataset.read_rows(path)
                }

    def of(self, examples: Sequence[Example]) -> list[tuple[Units, bool]]:
        """Units of every example, and whether nobody speaks in it."""
        names = [hashlib.sha256(sound_of(example)).hexdigest()[:32] for example in examples]
        fresh = {name: e for name, e in zip(names, examples, strict=True) if name not in self.found}
        for name, example in tqdm(fresh.items(), desc="units", mininterval=5, disable=not fresh):
            waveform = waveform_of(example)
            (units,), nobody = self.backbone.listen([waveform]), has_no_speech(waveform)
            self.found[name] = units, nobody
        if fresh and self.folder is not None:
            self.keep(self.folder / f"{next(iter(fresh))}.parquet", list(fresh))
        return [self.found[name] for name in names]

    def keep(self, path: Path, names: Sequence[str]) -> None:
        """Write a file of units; those in which nobody speaks have a word in the column `nobody`."""
        backbone, rows = self.backbone, [(name, *self.found[name]) for name in names]
        with UnitWriter(
            path, backbone.name, backbone.encoder_sha256, ["nobody"], backbone.needs_f0
        ) as writer:
            writer.add(
                ({"id": name, "split": "test", "nobody": "yes" * nobody}, units)
                for name, units, nobody in rows
            )


def sound_of(example: Example) -> bytes:
    """The bytes of its sound file."""
    if example.audio is None:
        raise SpeechPromptError(f"{example.id} has no recording, only units: give the file with recordings.")
    return example.audio if isinstance(example.audio, bytes) else example.audio.read()
