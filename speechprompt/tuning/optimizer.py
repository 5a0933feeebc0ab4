"""What moves the tensors of a prompt: Adam all of them, or Muon the prompts and Adam the rest.

Muon (Jordan and others, 2024) makes the singular values of each step's matrix alike, so directions with small
gradients move too. Of many labels a prompt learns more in as many steps: docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Adam, Muon, Optimizer

from speechprompt.tuning.trainable import TrainablePrompt

# With Muon the prompts move fast. Separator, label embeddings and verbalizer begin at numbers a thirtieth as large.
SCALE_BESIDE_MUON = 0.03


class PromptOptimizer:
    """Adam, or Muon and Adam, over a prompt and what else is to move; resumable.

    extra: parameter groups that are no part of the prompt, as PyTorch takes them, each with its "peak": the
    learning rate that its steps peak at.
    """

    def __init__(self, prompt: TrainablePrompt, extra: Sequence[dict[str, Any]] = ()) -> None:
        lr, muon = prompt.config.lr, prompt.config.optimizer == "muon"
        self.matrices: list[tuple[nn.Parameter, list[nn.Parameter]]] = []
        slow: list[nn.Parameter] = []
        for name, parameter in prompt.named_parameters():
            if muon and name.endswith("_prompts"):
                # PyTorch's Muon takes single matrices: each layer's, in the memory of them all.
                stacked = parameter.data.view(-1, *parameter.shape[-2:])
                self.matrices.append((parameter, [nn.Parameter(matrix) for matrix in stacked]))
            else:
                slow.append(parameter)
        groups = [{"params": slow, "peak": lr * (SCALE_BESIDE_MUON if muon else 1.0)}, *extra]
        self.optimizers: list[Optimizer] = [Adam(groups, lr=lr, betas=(0.9, 0.98))]
        if muon:
            matrices = [matrix for _, parts in self.matrices for matrix in parts]
            fast = [{"params": matrices, "peak": lr}]
            self.optimizers.append(Muon(fast, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        for stacked, _ in self.matrices:
            stacked.grad = None

    def step(self) -> None:
        """Move everything, each group at its learning rate."""
        for stacked, parts in self.matrices:
            if stacked.grad is not None:
                for matrix, gradient in zip(parts, stacked.grad.view(-1, *parts[0].shape), strict=True):
                    matrix.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: Sequence[dict[str, Any]]) -> None:
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
