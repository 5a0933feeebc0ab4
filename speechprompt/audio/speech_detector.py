"""When somebody speaks: Silero's model says how likely it is in every 32 ms, and a segment ends after 0.2 s without.

Music, machines, animals and rain are not taken for speech, nor do they keep a word from ending; both detectors are
measured by `studies.voice_activity`. Live and recordings of any length are cut by `detector_for`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speechprompt.audio.voice_activity import LONGEST_SECONDS, SAMPLE_RATE, Change, VoiceDetector

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

FOLDER = Path(__file__).parent / "silero_vad"
MAX_BYTES = 8 << 20
FRAME, CONTEXT = 512, 64  # samples of a frame, and of the stream before it, that the model takes
WIDTH, BINS, FFT, STRIDE = 128, 129, 256, 128
OPEN, HOLD = 0.5, 0.35  # probabilities that open a segment, and that keep it open
HANGOVER = 6  # frames: 0.19 s, longer than the closure of a t, shorter than a pause between words
SHORTEST = 3  # frames of speech, 0.1 s; a click is shorter
SHAPES: dict[str, tuple[int, ...]] = {
    "stft_conv.weight": (2 * BINS, 1, FFT),
    **{
        f"conv{i}.{what}": shape if what == "weight" else shape[:1]
        for i, shape in enumerate(((128, BINS, 3), (64, 128, 3), (64, 64, 3), (128, 64, 3)), 1)
        for what in ("weight", "bias")
    },
    **{f"lstm_cell.weight_{what}": (4 * WIDTH, WIDTH) for what in ("ih", "hh")},
    **{f"lstm_cell.bias_{what}": (4 * WIDTH,) for what in ("ih", "hh")},
    "final_conv.weight": (1, WIDTH, 1),
    "final_conv.bias": (1,),
}


@cache
def weights() -> dict[str, Tensor]:
    """The model's tensors, float32; read once."""
    import torch

    from speechprompt.storage.tensors import TensorFile

    file = TensorFile(FOLDER, "model.safetensors", "Speech detector", MAX_BYTES)
    file.expect(SHAPES, {})
    return file.read(torch.float32)


class SpeechModel:
    """Silero's network over one stream: what it remembers of the past is its LSTM's state."""

    def __init__(self) -> None:
        self._state: tuple[Tensor, Tensor] | None = None

    def probabilities(self, samples: np.ndarray) -> list[float]:
        """float32 [64 + 512 n] at 16 kHz, the 64 from before -> the probability of speech in each of n frames."""
        import torch
        from torch.nn import functional as F

        w = weights()

        def layer(x: Tensor, number: int, stride: int) -> Tensor:
            return F.conv1d(x, w[f"conv{number}.weight"], w[f"conv{number}.bias"], stride, padding=1).relu_()

        with torch.inference_mode():
            frames = torch.from_numpy(samples).unfold(0, CONTEXT + FRAME, FRAME)
            x = F.conv1d(
                F.pad(frames[:, None], (0, CONTEXT), "reflect"), w["stft_conv.weight"], stride=STRIDE
            )
            x = (x[:, :BINS] ** 2 + x[:, BINS:] ** 2).sqrt_()
            x = layer(layer(layer(layer(x, 1, 1), 2, 2), 3, 2), 4, 1)[:, None, :, 0]
            state = self._state or (torch.zeros(1, 1, WIDTH), torch.zeros(1, 1, WIDTH))
            flat = [w[f"lstm_cell.{what}"] for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            hidden, h, c = torch.lstm(x, state, flat, True, 1, 0.0, False, False, False)
            self._state = (h, c)
            scores = F.conv1d(hidden.relu().transpose(1, 2), w["final_conv.weight"], w["final_conv.bias"])
            return scores.sigmoid_().flatten().tolist()


class SpeechDetector(VoiceDetector):
    """As VoiceDetector, by the probability of speech in place of levels; frames of 32 ms."""

    hop, window, before = FRAME, FRAME, CONTEXT
    open_frames, open_of, settle_frames = 1, 1, 0
    hangover_frames, longest_frames = HANGOVER, LONGEST_SECONDS * SAMPLE_RATE // FRAME

    def __init__(self) -> None:
        super().__init__()
        self._model = SpeechModel()

    @property
    def voiced(self) -> bool:
        return self._sounded >= SHORTEST

    def feed(self, samples: np.ndarray) -> Iterator[Change]:
        for probability in self._model.probabilities(np.ascontiguousarray(samples)):
            yield self._step(probability >= OPEN, probability >= HOLD, probability)


def detector_for(any_sound: bool) -> VoiceDetector:
    """What cuts a stream: by speech, or by any sound where a task is about such."""
    return VoiceDetector() if any_sound else SpeechDetector()
