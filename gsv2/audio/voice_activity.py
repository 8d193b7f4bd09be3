"""Voice activity of a recording by Silero VAD: how likely each 32 ms of it hold speech.

The weights come in the package `silero-vad` (the extra `gsv2[vad]`), whose safetensors are read;
its code, which would load TorchScript and change torch's threads, is not run. The network is
computed for many frames at once, with the recurrent state carried on, so that a recording of any
length is read in pieces.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

RATE_HZ = 16_000
FRAME_SAMPLES = 512
FRAME_SEC = FRAME_SAMPLES / RATE_HZ
"""Length of a frame, in seconds."""
_CONTEXT_SAMPLES = 64
_WINDOW, _HOP = 256, 128
_BINS = _WINDOW // 2 + 1
_WEIGHTS = Path("data", "silero_vad_16k.safetensors")


class SileroNetwork(nn.Module):
    """Network of Silero VAD 6 for 16 kHz; names of its parameters are those of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * _BINS, _WINDOW, _HOP, bias=False)
        self.conv1 = nn.Conv1d(_BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(
        self, frames: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return the probability of speech [F], and the state after the last frame.

        Args:
            frames: [F, context + frame] float32 at 16 kHz, one after the other.
            state: state after the frame before; None at the beginning.
        """
        padded = nn.functional.pad(frames, (0, _CONTEXT_SAMPLES), mode="reflect")
        spectrum = self.stft_conv(padded[:, None])  # [F, 2 * bins, 4]
        x = torch.hypot(spectrum[:, :_BINS], spectrum[:, _BINS:])
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        hidden, state = self.lstm(x.squeeze(-1), state)  # [F, 128]
        return self.final_conv(hidden.relu()[..., None]).sigmoid().flatten(), state


class VoiceActivity:
    """Detector of speech.

    Raises:
        ValueError: the package that brings the weights is not installed, or is another version.
    """

    def __init__(self) -> None:
        weights = load_file(_weights_file())
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        renamed = {f"lstm_cell.{name}": f"lstm.{name}_l0" for name in names}
        self._network = SileroNetwork()
        self._network.load_state_dict({renamed.get(n, n): value for n, value in weights.items()})
        self._network.eval().requires_grad_(False)

    @torch.inference_mode()
    def probabilities(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """Return how likely each frame of a recording holds speech, [F] float32.

        Args:
            pieces: the recording in its order, each [N] float32 at `RATE_HZ`; what is left of the
                last frame is filled with zeros.
        """
        found: list[np.ndarray] = []
        state = None
        left = np.zeros(_CONTEXT_SAMPLES, dtype=np.float32)  # context, and what fills no frame
        for piece in _then_rest(pieces):
            held = np.concatenate([left, piece])
            count = (len(held) - _CONTEXT_SAMPLES) // FRAME_SAMPLES
            if count:
                windows = np.lib.stride_tricks.sliding_window_view(
                    held[: _CONTEXT_SAMPLES + count * FRAME_SAMPLES],
                    _CONTEXT_SAMPLES + FRAME_SAMPLES,
                )[::FRAME_SAMPLES]
                chance, state = self._network(torch.from_numpy(windows.copy()), state)
                found.append(chance.numpy())
            left = held[count * FRAME_SAMPLES :]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)


def _then_rest(pieces: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """Yield the pieces, and zeros that fill the last frame."""
    total = 0
    for piece in pieces:
        total += len(piece)
        yield piece
    yield np.zeros(-total % FRAME_SAMPLES, dtype=np.float32)


def _weights_file() -> Path:
    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise ValueError(
            "cutting recordings by voice activity needs silero-vad: pip install 'gsv2[vad]'"
        )
    path = Path(spec.origin).parent / _WEIGHTS
    if not path.is_file():
        raise ValueError(f"silero-vad has no {_WEIGHTS}: pip install 'silero-vad>=6.2.1'")
    return path
