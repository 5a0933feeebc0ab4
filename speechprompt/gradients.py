"""The gradients of a batch: here, or shared out among processes of one thread each.

The operations of a step are small, and threads that share them wait for each other at every one. Processes meet
once a step. On four cores, batches of 8192 tokens: docs/performance.md.
"""

from __future__ import annotations

import pickle
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.host_memory import keep_freed_memory
from speechprompt.trainable import TrainablePrompt
from speechprompt.units import Utterance
from speechprompt.worker import worker_pool

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import XGLMForCausalLM

MAX_PROCESSES = 64
Answers = Sequence[Sequence[int]]


class Gradients(AbstractContextManager["Gradients"]):
    """Of one prompt in front of an LM, by so many processes; 1 is this one. Use it in a with statement.

    A script that asks for more must guard its own start with `if __name__ == "__main__"`.
    """

    def __init__(self, lm: XGLMForCausalLM, prompt: TrainablePrompt, processes: int = 1) -> None:
        if not 1 <= processes <= MAX_PROCESSES:
            raise SpeechPromptError(f"processes must be between 1 and {MAX_PROCESSES}.")
        if processes > 1 and lm.device.type != "cpu":
            raise SpeechPromptError("Processes share out the work of a CPU: with a GPU, ask for one.")
        self.lm, self.prompt, self.processes = lm, prompt, processes
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            # Pickled here, so that the weights do not go through shared memory, of which containers have little.
            self._pool = worker_pool(processes, begin, pickle.dumps((lm, prompt)))

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def backward(self, utterances: Sequence[Utterance], answers: Answers, seed: int) -> float:
        """Leave the gradients of a batch's mean loss in the prompt's parameters; return that loss.

        seed: of the dropout. SpeechPromptError when a process came to its end.
        """
        parameters = list(self.prompt.parameters())
        if self._pool is None:
            torch.manual_seed(seed)
            loss = self.prompt.loss(self.prompt(self.lm, utterances, answers), answers)
            loss.backward()
            return loss.item()
        values = torch.nn.utils.parameters_to_vector(parameters).detach().numpy()
        shares = [slice(first, None, self.processes) for first in range(min(self.processes, len(answers)))]
        try:
            waiting = [
                self._pool.submit(share_of, values, utterances[own], answers[own], seed) for own in shares
            ]
            found = [done.result() for done in waiting]
        except BrokenProcessPool as error:
            raise SpeechPromptError(
                "A process of the tuning came to its end, perhaps for want of memory: try fewer --processes."
            ) from error
        # Each loss is a mean over what its own answers say, of which the shares do not have equally much.
        weights = np.array([n_said for *_, n_said in found], np.float32)
        weights /= weights.sum()
        gradient = torch.from_numpy(sum(w * own for w, (_, own, _) in zip(weights, found, strict=True)))
        for parameter, part in zip(parameters, gradient.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)
        return float(sum(w * loss for w, (loss, *_) in zip(weights, found, strict=True)))


_models: tuple[XGLMForCausalLM, TrainablePrompt]  # of a process of the pool


def begin(models: bytes) -> None:
    """Make a process of the pool ready."""
    global _models
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    torch.set_num_threads(1)
    keep_freed_memory()
    _models = pickle.loads(models)


def share_of(
    values: np.ndarray, utterances: Sequence[Utterance], answers: Answers, seed: int
) -> tuple[float, np.ndarray, int]:
    """In a process of the pool: loss and gradients float32 [n] of some rows, and how many symbols they say."""
    lm, prompt = _models
    torch.manual_seed(seed)
    parameters = list(prompt.parameters())
    torch.nn.utils.vector_to_parameters(torch.from_numpy(values), parameters)
    loss = prompt.loss(prompt(lm, utterances, answers), answers)
    gradient = torch.nn.utils.parameters_to_vector(
        torch.autograd.grad(loss, parameters, materialize_grads=True, allow_unused=True)
    )
    return loss.item(), gradient.numpy(), prompt.n_said(answers)
