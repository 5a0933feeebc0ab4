"""A prompt: all that is learnt for one task on one backbone (SpeechPrompt, section 2.2; v2, section 3).

Per-layer key and value prompts (or input prompts), the separator embedding and the verbalizer, with
the facts a user needs: labels, what it was tuned on, how well it does. Knows the shapes of the unit
LM it belongs to, but imports no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.config import Facts, PromptFile
from speechprompt.prompts.confusion import PICTURE_NAME, picture
from speechprompt.prompts.tensors import TENSOR_NAMES, check_tensors, expected_shapes
from speechprompt.storage.folders import read_json, replaced_folder, write_json
from speechprompt.storage.hub import is_address
from speechprompt.storage.schema import read, schema
from speechprompt.storage.tensors import TensorFile, write_tensors

FORMAT_VERSION = 3
CONVERT = "convert it with `python -m speechprompt convert prompt-folder FOLDER`"  # one of an older version
PROMPT_JSON = "prompt_config.json"
WEIGHTS_NAME = "prompt.safetensors"
CARD_NAME = "README.md"
MAX_BYTES = 64 << 20  # a prompt of length 200 on GSLM takes 20 MB in fp32
TINY = 1e-9  # a score is so far from 0 and 1 where its odds are taken


@schema(eq=False, repr=False, kw_only=True)
class Prompt(Facts):
    """One task's prompt: Facts and tensors. L layers, P prompt vectors, width d, V symbols, C labels.

    Tensors are float32: deep prompts hold key_prompts and value_prompts [L, P, d] (where they are projected, as
    wide as the LM's keys of all heads), input prompts input_prompts [P, d]; separator [d]. A learned verbalizer has
    verbalizer_weight [C + 4, V] (row c + 4 is label c, row 2 ends a sequence; the other specials' are never
    answered); a fixed one has verbalizer_units int64 [C], the unit that stands for each label, or [C, K], up to K
    units for each, the likeliest first and -1 where a label has fewer.

    label_embeddings [C, d], of answers with several labels alone: what an answered label is fed back as
    (scaled like the separator). Without them it is fed back as a unit, as the papers do: the label's
    first in a fixed verbalizer, unit c for label c in a learned one.

    SpeechPromptError, naming the fact, when these do not hold together.
    """

    separator: Tensor
    key_prompts: Tensor | None = None
    value_prompts: Tensor | None = None
    input_prompts: Tensor | None = None
    label_embeddings: Tensor | None = None
    verbalizer_weight: Tensor | None = None
    verbalizer_units: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in TENSOR_NAMES:
            if (tensor := getattr(self, name)) is not None and tensor.is_floating_point():
                object.__setattr__(self, name, tensor.detach().float())
        check_tensors(self.tensors(), len(self.labels), self.form.kind, self.projected)

    def __repr__(self) -> str:
        return f"<Prompt {self.task} of {self.backbone}: {len(self.labels)} labels>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the answer form."""
        return self.form.labels

    @property
    def deep(self) -> bool:
        """True for prompts in every layer's keys and values, False for prompts before the input."""
        return self.input_prompts is None

    @property
    def verbalizer(self) -> Literal["fixed", "learned"]:
        return "fixed" if self.verbalizer_weight is None else "learned"

    @property
    def length(self) -> int:
        """P, the prompt vectors per layer."""
        prompts = self.key_prompts if self.deep else self.input_prompts
        return cast(Tensor, prompts).shape[-2]

    @property
    def temperature(self) -> float:
        """What label logits are divided by; 1 without a calibration."""
        return 1.0 if self.calibration is None else self.calibration["temperature"]

    @property
    def threshold(self) -> float:
        """The score below which an answer is flagged; 0, so never, without a calibration."""
        return 0.0 if self.calibration is None else self.calibration["threshold"]

    def threshold_of(self, labels: Sequence[int]) -> float:
        """The score below which an answer of these labels, by their indices, is flagged: at least threshold."""
        special = {} if self.calibration is None else self.calibration.get("labels", {})
        return max([self.threshold, *(special.get(self.labels[label], 0.0) for label in labels)])

    def believed(self, score: float) -> float:
        """The probability (0..1) that a whole answer of this score is right: of sequences, as it was calibrated."""
        if self.calibration is None or "slope" not in self.calibration:
            return score
        kept = min(max(score, TINY), 1 - TINY)
        odds = self.calibration["slope"] * math.log(kept / (1 - kept)) + self.calibration.get("offset", 0.0)
        return 1 / (1 + math.exp(-odds))

    @property
    def n_parameters(self) -> int:
        """Trained numbers: prompts, separator and a learned verbalizer."""
        return sum(t.numel() for t in self.tensors().values() if t.is_floating_point())

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are there, under the names they are stored with."""
        named = {stored: getattr(self, name) for name, stored in TENSOR_NAMES.items()}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def unit_label(self, unit: int) -> str | None:
        """The label that a unit belongs to; None for one of no label, and with a learned verbalizer always."""
        for label, units in zip(self.labels, self.label_units, strict=True):
            if unit in units:
                return label
        return None

    @property
    def label_units(self) -> list[list[int]]:
        """The units of each label in a fixed verbalizer; of a learned one none."""
        if self.verbalizer_units is None:
            return [[] for _ in self.labels]
        rows = self.verbalizer_units.reshape(len(self.labels), -1).tolist()
        return [[unit for unit in row if unit >= 0] for row in rows]

    @property
    def shift(self) -> int:
        """The position of a row's first token: 0, or P where positions count from the prompt."""
        return self.length if self.positions == "after_prompt" else 0

    def config(self) -> dict[str, Any]:
        """Everything but the tensors, as stored in prompt_config.json."""
        facts = {one.name: getattr(self, one.name) for one in fields(Facts)} | {"form": asdict(self.form)}
        units = None if self.verbalizer_units is None else self.label_units
        return {
            "format_version": FORMAT_VERSION,
            **facts,
            "prompt": {"kind": "deep" if self.deep else "input", "length": self.length},
            "verbalizer": {"kind": self.verbalizer, "units": units},
        }

    def save(self, folder: Path, card: str | None = None, dtype: torch.dtype = torch.float16) -> None:
        """Write the prompt (and its card as README.md); an interrupted save leaves the old one.

        The picture of its confusions is made from metrics["confusion"], or goes where there are none.
        """
        tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in self.tensors().items()}
        with replaced_folder(folder, drop=(PICTURE_NAME,)) as aside:
            write_json(aside / PROMPT_JSON, self.config())
            write_tensors(aside / WEIGHTS_NAME, tensors, f"Prompt {self.task}")
            if card is not None:
                (aside / CARD_NAME).write_text(card, encoding="utf-8")
            if cells := self.metrics.get("confusion"):
                drawn = picture(self.labels, self.form.spans, cells)
                (aside / PICTURE_NAME).write_text(drawn, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Prompt:
        """Read and check a prompt folder; SpeechPromptError names the file and the fact."""
        folder = Path(folder)
        what = f"Prompt {folder.name}"
        config = read_json(folder, PROMPT_JSON, what, version=FORMAT_VERSION, older=CONVERT)
        given: dict[str, Any] = {
            name: config.pop(name) for name in ("prompt", "verbalizer") if name in config
        }
        stated = read(PromptFile, given, f"{what}: {PROMPT_JSON}")
        facts = read(Facts, config, f"{what}: {PROMPT_JSON}")
        prompt = read(
            cls, vars(facts) | read_tensors(folder, what, len(facts.form.labels), facts.projected), what
        )
        held = prompt.config()
        for name in ("prompt", "verbalizer"):
            for entry, value in asdict(getattr(stated, name)).items():
                if held[name][entry] != value:
                    raise SpeechPromptError(
                        f"{what}: {PROMPT_JSON} and {WEIGHTS_NAME} disagree on {name}.{entry}."
                    )
        return prompt

    @classmethod
    def from_pretrained(
        cls, name: str | Path, revision: str | None = None, token: str | bool | None = None
    ) -> Prompt:
        """The prompt of a folder, or of a repository on the Hub, "owner/name": a branch, tag or commit of it.

        token: for a private one; None takes that of `hf auth login`.
        """
        if not is_address(name):
            return cls.load(Path(name))
        from speechprompt.prompts.hub import pull  # late, as it builds on this file

        return pull(str(name), revision, token)

    def push_to_hub(
        self, repository: str, private: bool = True, base_model: str = "", token: str | bool | None = None
    ) -> str:
        """Upload the prompt with its card; its address. base_model: the repository of its backbone, for the card."""
        from speechprompt.prompts.hub import push  # as above, and so does the card

        return push(self, repository, token, private, base_model)


def read_tensors(folder: Path, what: str, n_labels: int, projected: bool = False) -> dict[str, Tensor]:
    """The tensors of a prompt folder as fields of Prompt, float32; `what` begins every error."""
    file = TensorFile(folder, WEIGHTS_NAME, what, MAX_BYTES)
    try:
        shapes = expected_shapes(file.shapes, n_labels, projected)
    except ValueError as error:
        raise SpeechPromptError(f"{file.label}: {error}.") from None
    file.expect(shapes, {"verbalizer.units": ("I64",)})
    tensors = file.read(torch.float32)
    return {name: tensors[stored] for name, stored in TENSOR_NAMES.items() if stored in tensors}
