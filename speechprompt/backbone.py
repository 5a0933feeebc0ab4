"""A backbone: one unit encoder, the unit LM trained on its units, and the prompts that fit them.

Finds and checks the folders backbones/<name> and prompts/<name>/<task>. The LM, the encoder and the
prompts are read when first asked for, so a backbone without its encoder still answers on units, and
one whose files are yet to be fetched is known by name and says what it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import Field

from speechprompt.audio.pauses import without_pauses
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import check_time, memory_guard
from speechprompt.models.lm_config import LMConfig, ProsodyLMConfig, read_config, sha256
from speechprompt.models.load import load_encoder, load_lm
from speechprompt.prompts.prompt import PROMPT_JSON, Prompt
from speechprompt.schema import matching, plain, read, schema
from speechprompt.storage.bundled import BACKBONE_JSON, NAME_PATTERN, find
from speechprompt.storage.folders import read_json
from speechprompt.storage.hub import is_address
from speechprompt.units import FRAME_RATE, FRAME_SAMPLES, UNIT_OFFSET, Units

if TYPE_CHECKING:  # the models' libraries take seconds to import
    from speechprompt.models.quantizer import Quantizer
    from speechprompt.models.unit_lm import UnitLM

FORMAT_VERSION = 1
ENCODERS = ("bundled", "hubert-base")  # or the name of the backbone whose encoder is shared
DTYPES = (torch.float32, torch.bfloat16, torch.float16)  # that the models may run in
FETCHED = ("gslm", "hubert-mini", "pgslm")  # what `speechprompt fetch` completes


Line = Annotated[str, plain(2000)]
BackboneName = Annotated[str, matching(NAME_PATTERN, "1 to 64 of a-z, 0-9, - and _")]


@schema(kw_only=True)
class Info:
    """What backbone.json says. encoder: "bundled", "hubert-base", or the backbone whose encoder it shares."""

    name: BackboneName
    title: Line
    encoder: BackboneName
    n_units: Annotated[int, Field(ge=2, le=65_000)]
    frame_rate: int
    description: Line
    licence: Line

    def __post_init__(self) -> None:
        if self.encoder == self.name:
            raise ValueError(f"the encoder must be one of {', '.join(ENCODERS)}, or another backbone's name")
        if self.frame_rate != FRAME_RATE:
            raise ValueError(f"frame_rate must be {FRAME_RATE} frames per second")


class Backbone:
    """Facts at once, models on first use; safe to share between threads."""

    def __init__(
        self,
        folder: Path,
        device: str | torch.device = "cpu",
        prompts_folder: Path | None = None,
        dtype: str | torch.dtype = torch.float32,
    ) -> None:
        if isinstance(dtype, str):
            dtype = next((kind for kind in DTYPES if str(kind) == f"torch.{dtype}"), dtype)
        if not isinstance(dtype, torch.dtype) or dtype not in DTYPES:
            known = ", ".join(str(kind).removeprefix("torch.") for kind in DTYPES)
            raise SpeechPromptError(f"The models run in {known}, not in {str(dtype)[:40]}.")
        if dtype == torch.float16 and torch.device(device).type == "cpu":
            # oneDNN's float16 convolutions were seen not to return on processors with AVX512-FP16.
            raise SpeechPromptError(
                "float16 is for GPUs: on a CPU take bfloat16, or float32 where it has no AMX."
            )
        self.folder = Path(folder).absolute()
        self.device, self.dtype = torch.device(device), dtype
        what = f"Backbone {self.folder.name}"
        info = read_json(self.folder, BACKBONE_JSON, what, version=FORMAT_VERSION)
        self.info = read(Info, info, f"{what}: {BACKBONE_JSON}")
        self.name, self.title, self.n_units = self.info.name, self.info.title, self.info.n_units
        self.prompts_folder = prompts_folder or self.folder.parent.parent / "prompts" / self.name
        self._lock = RLock()
        self._encoder: Quantizer | None = None
        self._lm: UnitLM | None = None
        self._lm_config: LMConfig | ProsodyLMConfig | None = None
        self._sha256: str | None = None
        self._encoder_sha256: str | None = None
        self._prompts: dict[str, Prompt] | None = None
        self._refused: dict[str, str] = {}

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = torch.float32,
        revision: str | None = None,
    ) -> Backbone:
        """Find a backbone by its bundled name, its folder, or its repository on the Hub ("owner/name").

        revision: of the repository, a branch, tag or commit.

        dtype: what the models multiply in: "float32", or "bfloat16" or "float16", which are faster where the
        hardware has them and change few units and answers (docs/precision.md).
        """
        if is_address(name_or_folder):
            from speechprompt.storage.backbone_hub import pull

            return cls(pull(str(name_or_folder), revision), device, dtype=dtype)
        return cls(find(name_or_folder), device, dtype=dtype)

    def __repr__(self) -> str:
        return f"<Backbone {self.name} on {self.device}>"

    @property
    def encoder_folder(self) -> Path:
        """Where the encoder belongs: in this folder, or in that of the backbone which shares it."""
        shared = self.info.encoder
        if shared not in ENCODERS:
            try:
                return find(shared) / "encoder"
            except SpeechPromptError:  # not here either; `missing` says so
                pass
        return self.folder / "encoder"

    @property
    def has_encoder(self) -> bool:
        """Whether audio can become units here."""
        return self.encoder_folder.is_dir()

    @property
    def has_lm(self) -> bool:
        """Whether units can be answered here."""
        return (self.folder / "unit_lm").is_dir()

    @property
    def complete(self) -> bool:
        """Whether audio can be answered here."""
        return self.has_encoder and self.has_lm

    @property
    def missing(self) -> str | None:
        """One sentence that says what is not on this machine and how to get it; None when all is here."""
        if self.complete:
            return None
        encoder, it, instead = f"encoder of backbone {self.name} ({self.info.encoder})", "it", ""
        if self.has_encoder:
            lacking = f"The unit LM of backbone {self.name} is"
        elif self.has_lm:
            lacking, instead = f"The {encoder} is", " for audio"
        else:
            lacking, it = f"The unit LM and the {encoder} are", "them"
        how = f"copy {it} into its folder"
        if self.name in FETCHED:
            how = f"fetch {it} with `python -m speechprompt fetch {self.name}`"
        return f"{lacking} not on this machine: {how}, or choose another backbone{instead}."

    @property
    def encoder(self) -> Quantizer:
        """The unit encoder; SpeechPromptError when its files are not here."""
        with self._lock:
            if self._encoder is None:
                if not self.has_encoder:
                    raise SpeechPromptError(str(self.missing))
                encoder = load_encoder(self.encoder_folder, self.device, self.dtype)
                if encoder.n_units != self.n_units:
                    raise SpeechPromptError(
                        f"Backbone {self.name}: {BACKBONE_JSON} promises {self.n_units} units, "
                        f"but the encoder has {encoder.n_units}."
                    )
                self._encoder = encoder
            return self._encoder

    @property
    def needs_f0(self) -> bool:
        """Whether the unit LM is a prosody LM, which needs the F0 of a recording beside its units."""
        return self.has_lm and isinstance(self.lm_config, ProsodyLMConfig)

    @property
    def lm_config(self) -> LMConfig | ProsodyLMConfig:
        """The unit LM's config.json, checked and read once; SpeechPromptError when it is not here."""
        with self._lock:
            if self._lm_config is None:
                self._require_lm()
                self._lm_config = read_config(self.folder / "unit_lm")
            return self._lm_config

    @memory_guard()
    def units(self, waveforms: Sequence[np.ndarray]) -> list[Units]:
        """float32 [T] at 16 kHz each -> the encoder's units, without melody.

        Long pauses at either end are not listened to (pauses.py): there the first unit starts after one.
        """
        check_time()
        spans = [without_pauses(waveform) for waveform in waveforms]
        found = self.encoder.batch([w[first:end] for w, (first, end) in zip(waveforms, spans, strict=True)])
        firsts = [first // FRAME_SAMPLES for first, _ in spans]
        return [replace(u, starts=u.starts + first) for u, first in zip(found, firsts, strict=True)]

    @memory_guard()
    def listen(self, waveforms: Sequence[np.ndarray], known: list[Units] | None = None) -> list[Units]:
        """float32 [T] at 16 kHz each -> Units as above, with their melody where the unit LM takes it.

        known: their units, where a backbone that shares the encoder has made them already.
        """
        found = self.units(waveforms) if known is None else known
        if not self.needs_f0:
            return found
        from speechprompt.models.pitch import with_f0

        melodies = []
        for units, waveform in zip(found, waveforms, strict=True):
            check_time()
            melodies.append(with_f0(units, waveform))
        return melodies

    @property
    def lm(self) -> UnitLM:
        """The frozen unit LM; SpeechPromptError when its files are not here."""
        with self._lock:
            if self._lm is None:
                self._require_lm()
                lm = load_lm(self.folder / "unit_lm", self.device, self.dtype)
                if lm.config.vocab_size != self.n_units + UNIT_OFFSET:
                    raise SpeechPromptError(
                        f"Backbone {self.name}: {BACKBONE_JSON} promises {self.n_units} units, "
                        f"but the unit LM has {lm.config.vocab_size - UNIT_OFFSET}."
                    )
                self._lm = lm
            return self._lm

    @property
    def n_parameters(self) -> int:
        """Numbers in the frozen models that are here: the unit LM and, where there is one, the encoder."""
        models = [self.lm, self.encoder] if self.has_encoder else [self.lm]
        return sum(p.numel() for model in models for p in model.parameters())

    @property
    def unit_lm_sha256(self) -> str:
        """Identity of the unit LM's weights, which prompts are tied to."""
        with self._lock:
            if self._sha256 is None:
                self._require_lm()
                self._sha256 = sha256(self.folder / "unit_lm")
            return self._sha256

    @property
    def encoder_sha256(self) -> str:
        """Identity of the encoder's weights and centroids; SpeechPromptError when it is not here."""
        with self._lock:
            if self._encoder_sha256 is None:
                if not self.has_encoder:
                    raise SpeechPromptError(str(self.missing))
                self._encoder_sha256 = sha256(self.encoder_folder)
            return self._encoder_sha256

    def _require_lm(self) -> None:
        if not self.has_lm:
            raise SpeechPromptError(str(self.missing))

    @property
    def prompts(self) -> dict[str, Prompt]:
        """Task -> prompt, for all prompts here that are sound and fit; ordered by group, then title.

        None fit where there is no unit LM.
        """
        with self._lock:
            if not self.has_lm:
                return {}
            if self._prompts is None:
                found, self._refused = {}, {}
                for path in sorted(self.prompts_folder.glob(f"[!.]*/{PROMPT_JSON}")):
                    try:
                        prompt = self.load_prompt(path.parent)
                        if prompt.task != path.parent.name:
                            raise SpeechPromptError(
                                f"Prompt {path.parent.name}: its task is {prompt.task!r}; name the folder so too."
                            )
                        found[prompt.task] = prompt
                    except SpeechPromptError as error:  # one bad prompt must not take the others away
                        self._refused[path.parent.name] = str(error)
                self._prompts = dict(sorted(found.items(), key=lambda kv: in_list(kv[1])))
            return self._prompts

    def sound_prompts(self, tasks: Sequence[str]) -> dict[str, Prompt]:
        """Task -> prompt for those of these tasks that are here and sound; no other prompt is read."""
        with self._lock:
            if self._prompts is not None:
                return {task: self._prompts[task] for task in tasks if task in self._prompts}
            found = {}
            for task in tasks if self.has_lm else ():
                with suppress(SpeechPromptError):  # `refused` says what is wrong with it
                    found[task] = self.load_prompt(self.prompt_folder(task))
            return found

    @property
    def refused(self) -> dict[str, str]:
        """Prompt folder -> why it is not among `prompts`."""
        return self._refused if self.prompts is not None else {}

    def load_prompt(self, folder: Path) -> Prompt:
        """Read a prompt from any folder; SpeechPromptError unless it fits this backbone."""
        prompt = Prompt.load(folder)
        self.check_fits(prompt)
        return prompt

    def check_fits(self, prompt: Prompt) -> None:
        """Raise SpeechPromptError unless the prompt belongs to this backbone's unit LM."""
        config = self.lm_config
        prompt.check_fits(self.unit_lm_sha256, config.d_model, config.num_layers, config.vocab_size)

    def prompt(self, task: str) -> Prompt:
        """The prompt of a task; the error lists the known ones, or says why this one is refused."""
        if isinstance(task, str) and task in self.prompts:
            return self.prompts[task]
        self._require_lm()
        if isinstance(task, str) and task in self.refused:
            raise SpeechPromptError(self.refused[task])
        raise SpeechPromptError(
            f"Backbone {self.name} has no task {str(task)[:80]!r}; its tasks are: {', '.join(self.prompts) or 'none'}."
        )

    def prompt_folder(self, task: str) -> Path:
        """Where the prompt of a task is kept (it need not be there yet)."""
        return self.prompts_folder / task


def in_list(prompt: Prompt) -> tuple[bool, str, str]:
    """Where a prompt stands in the list of tasks: by group, then title, experimental ones last."""
    return prompt.experimental, prompt.group, prompt.title
