"""A backbone: one unit encoder, the unit LM trained on its units, and the prompts that fit them.

Finds and checks the folders backbones/<name> and prompts/<name>/<task>. All is read when first asked for, so one
without its encoder still answers on units, and one whose files are yet to be fetched says what it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import torch

from speechprompt.audio.pauses import without_pauses
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.device import choose_dtype
from speechprompt.machine.memory import memory_guard
from speechprompt.machine.request_time import check_time
from speechprompt.models.backbone_config import ENCODERS, missing, read_info
from speechprompt.models.causal_config import CausalConfig
from speechprompt.models.lm_config import LMConfig, ProsodyLMConfig, read_config, sha256
from speechprompt.models.load import load_encoder, load_lm
from speechprompt.prompts.fit import check_fits
from speechprompt.prompts.installed import InstalledPrompts
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.bundled import BACKBONE_JSON, find
from speechprompt.storage.hub import is_address
from speechprompt.units import FRAME_RATE, FRAME_SAMPLES, UNIT_OFFSET, Units

if TYPE_CHECKING:  # the models' libraries take seconds to import
    from speechprompt.models.quantizer import Quantizer
    from speechprompt.models.unit_lm import UnitLM


class Backbone:
    """Facts at once, models on first use; safe to share between threads."""

    def __init__(
        self,
        folder: Path,
        device: str | torch.device = "cpu",
        prompts_folder: Path | None = None,
        dtype: str | torch.dtype = torch.float32,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.device, self.dtype = torch.device(device), choose_dtype(dtype, device)
        self.info = info = read_info(self.folder)
        self.name, self.title, self.n_units = info.name, info.title, info.n_units
        self.prompts_folder = prompts_folder or self.folder.parent.parent / "prompts" / self.name
        self._lock = RLock()
        self._encoder: Quantizer | None = None
        self._lm: UnitLM | None = None
        self._lm_config: LMConfig | ProsodyLMConfig | CausalConfig | None = None
        self._sha256: dict[Path, str] = {}
        self._installed = InstalledPrompts(self.prompts_folder)

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = torch.float32,
        revision: str | None = None,
    ) -> Backbone:
        """Find a backbone by its bundled name, its folder, or its repository on the Hub ("owner/name").

        revision: of the repository, a branch, tag or commit. dtype: what the models multiply in: "float32", or
        "bfloat16" or "float16", which are faster where the hardware has them and change few units and answers.
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
            with suppress(SpeechPromptError):  # not here either; `missing` says so
                return find(shared) / "encoder"
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
        return missing(self.info, self.has_encoder, self.has_lm)

    @property
    def encoder(self) -> Quantizer:
        """The unit encoder; SpeechPromptError when its files are not here."""
        with self._lock:
            if self._encoder is None:
                self._require(self.has_encoder)
                encoder = load_encoder(self.encoder_folder, self.device, self.dtype)
                self._check_promise("encoder", encoder.n_units, self.n_units, "units")
                rate = FRAME_RATE // encoder.frames_of_20_ms
                self._check_promise("encoder", rate, self.info.frame_rate, "frames per second")
                self._encoder = encoder
            return self._encoder

    @property
    def needs_f0(self) -> bool:
        """Whether the unit LM is a prosody LM, which needs the F0 of a recording beside its units."""
        return self.has_lm and isinstance(self.lm_config, ProsodyLMConfig)

    @property
    def lm_config(self) -> LMConfig | ProsodyLMConfig | CausalConfig:
        """The unit LM's config.json, checked and read once; SpeechPromptError when it is not here."""
        with self._lock:
            if self._lm_config is None:
                self._require(self.has_lm)
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

        return [with_f0(units, waveform) for units, waveform in zip(found, waveforms, strict=True)]

    @property
    def lm(self) -> UnitLM:
        """The frozen unit LM; SpeechPromptError when its files are not here."""
        with self._lock:
            if self._lm is None:
                self._require(self.has_lm)
                lm = load_lm(self.folder / "unit_lm", self.device, self.dtype)
                self._check_promise("unit LM", lm.config.vocab_size - UNIT_OFFSET, self.n_units, "units")
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
        self._require(self.has_lm)
        return self._sha256_of(self.folder / "unit_lm")

    @property
    def encoder_sha256(self) -> str:
        """Identity of the encoder's weights and centroids; SpeechPromptError when it is not here."""
        self._require(self.has_encoder)
        return self._sha256_of(self.encoder_folder)

    def _sha256_of(self, folder: Path) -> str:
        with self._lock:
            if folder not in self._sha256:
                self._sha256[folder] = sha256(folder)
            return self._sha256[folder]

    def _check_promise(self, model: str, found: int, promised: int, what: str) -> None:
        if found != promised:
            raise SpeechPromptError(
                f"Backbone {self.name}: {BACKBONE_JSON} promises {promised} {what}, but the {model} has {found}."
            )

    def _require(self, here: bool) -> None:
        if not here:
            raise SpeechPromptError(str(self.missing))

    @property
    def prompts(self) -> dict[str, Prompt]:
        """Task -> prompt, for all prompts here that are sound and fit; ordered by group, then title."""
        return self._installed.read(self.load_prompt)[0] if self.has_lm else {}

    def sound_prompts(self, tasks: Sequence[str]) -> dict[str, Prompt]:
        """Task -> prompt for those of these tasks that are here and sound; no other prompt is read."""
        return self._installed.some(tasks, self.load_prompt) if self.has_lm else {}

    @property
    def refused(self) -> dict[str, str]:
        """Prompt folder -> why it is not among `prompts`."""
        return self._installed.read(self.load_prompt)[1] if self.has_lm else {}

    def load_prompt(self, folder: Path) -> Prompt:
        """Read a prompt from any folder; SpeechPromptError unless it fits this backbone."""
        prompt = Prompt.load(folder)
        self.check_fits(prompt)
        return prompt

    def check_fits(self, prompt: Prompt) -> None:
        """Raise SpeechPromptError unless the prompt belongs to this backbone's unit LM."""
        lm = self.lm_config
        sizes = (lm.d_model, lm.num_layers, lm.vocab_size, lm.past_width, lm.projects)
        check_fits(prompt, self.unit_lm_sha256, *sizes)

    def prompt(self, task: str) -> Prompt:
        """The prompt of a task; the error lists the known ones, or says why this one is refused."""
        if isinstance(task, str) and task in self.prompts:
            return self.prompts[task]
        self._require(self.has_lm)
        if isinstance(task, str) and task in self.refused:
            raise SpeechPromptError(self.refused[task])
        raise SpeechPromptError(
            f"Backbone {self.name} has no task {str(task)[:80]!r}; its tasks are: {', '.join(self.prompts) or 'none'}."
        )

    def prompt_folder(self, task: str) -> Path:
        """Where the prompt of a task is kept (it need not be there yet)."""
        return self.prompts_folder / task
