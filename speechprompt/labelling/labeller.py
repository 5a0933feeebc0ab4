"""One callable for whoever has recordings in columns: `datasets`, Ray Data, pandas and Spark.

    dataset.map(Labeller("mini", ["keyword_spotting"]), batched=True)
    dataset.map_batches(Labeller, fn_constructor_args=("mini", ["keyword_spotting"]), concurrency=2)
    frame.mapInPandas(labeller.frames, schema=labeller.schema)

It goes to other processes without its models, which each of them loads once, with the first batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechprompt.audio.clips import AHEAD, Clip, Decoders
from speechprompt.backbone import Backbone
from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.rows import Answerer, Row, batch_factor
from speechprompt.labelling.table import columns_of, is_number, ordered
from speechprompt.machine.device import choose_device
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.bundled import list_backbones
from speechprompt.storage.hub import is_address


class Labeller:
    """A batch of recordings in columns -> the columns of `label` about them."""

    def __init__(
        self,
        backbone: str | Path = "mini",
        tasks: str | Prompt | Sequence[str | Prompt] = (),
        device: str = "auto",
        dtype: str = "float32",
        workers: int = 0,
    ) -> None:
        """backbone, device, dtype: as SpeechPrompt.from_pretrained. tasks: names or prompts; none are all.

        workers: processes that decode, 0 for none. SpeechPromptError when the backbone or a task is unknown.
        """
        by_name = isinstance(backbone, str) and (backbone in list_backbones() or is_address(backbone))
        self.backbone = str(backbone if by_name else Path(backbone).absolute())
        self.device, self.dtype, self.workers = device, dtype, workers
        given = [tasks] if isinstance(tasks, str | Prompt) else tasks
        facts = Backbone.load(backbone)
        self.prompts, self.unit_lm_sha256 = prompts_of(facts, given), facts.unit_lm_sha256
        self._models: tuple[Answerer, Decoders] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_models": None}

    @property
    def columns(self) -> list[str]:
        """id, seconds, `TASK.label`, `TASK.score` and `TASK.fits` of every task, error."""
        return columns_of(self.prompts)

    @property
    def schema(self) -> str:
        """The columns and their types in Spark's words."""
        kinds = {True: "double", False: "string"}
        return ", ".join(f"`{name}` {kinds[is_number(name)]}" for name in self.columns)

    def models(self) -> tuple[Answerer, Decoders]:
        """What answers and what decodes in this process; SpeechPromptError when the models are not here, or others."""
        if self._models is None:
            backbone = Backbone.load(self.backbone, choose_device(self.device), self.dtype)
            if backbone.unit_lm_sha256 != self.unit_lm_sha256:
                raise SpeechPromptError(
                    f"Backbone {self.backbone} is another one here than where the labeller was made: install the same "
                    "files."
                )
            for prompt in self.prompts:
                backbone.check_fits(prompt)
            decoders = Decoders(self.workers, ahead=AHEAD * batch_factor(backbone))
            self._models = Answerer(backbone, self.prompts), decoders
        return self._models

    def rows(self, clips: Iterable[Clip]) -> Iterator[list[Row]]:
        """Rows of all clips, in order, as many together as are answered together."""
        answerer, decoders = self.models()
        yield from answerer.rows(decoders.map(iter(clips)))

    def __call__(self, batch: Any) -> Any:
        """Columns `audio` and, if it likes, `id` of a mapping or a pandas frame -> `columns`, as one of these.

        audio: whatever SpeechPrompt takes, such as bytes of sound files or structs of them. What cannot be used has
        its reason in `error`. Without `id` it is the number in the batch. SpeechPromptError where there is no `audio`.
        """
        if "audio" not in batch:
            raise SpeechPromptError("The batch has no column 'audio': rename the one of the recordings.")
        sounds = list(batch["audio"])
        ids = list(batch["id"]) if "id" in batch else [None] * len(sounds)
        clips = (
            (str(i if of is None else of), sound)
            for i, (of, sound) in enumerate(zip(ids, sounds, strict=True))
        )
        cells = [ordered(row) for rows in self.rows(clips) for row in rows]
        columns = {name: [row[i] for row in cells] for i, name in enumerate(self.columns)}
        return columns if isinstance(batch, Mapping) else type(batch)(columns, index=batch.index)

    def frames(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Pandas frames, as Spark's mapInPandas gives them, one by one."""
        return map(self, frames)


def prompts_of(backbone: Backbone, tasks: Sequence[str | Prompt]) -> list[Prompt]:
    """The prompts of some tasks, each once, or of all; SpeechPromptError where there is none or one does not fit."""
    asked = [
        task if isinstance(task, Prompt) else backbone.prompt(task) for task in tasks or backbone.prompts
    ]
    prompts = list({prompt.task: prompt for prompt in asked}.values())
    if not prompts:
        raise SpeechPromptError(f"Backbone {backbone.name} has no tasks to answer.")
    return prompts
