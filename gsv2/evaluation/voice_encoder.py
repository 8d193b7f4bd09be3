"""Voice encoder of Resemblyzer: the speaker encoder that comes with gsv2 (GE2E, arXiv 1710.10467).

Its weights are those of the package Resemblyzer 0.1.4 (Apache 2.0), in half precision; the package
itself asks for a C compiler and does not import beside current setuptools. Network, mel and
windows are the package's; long pauses stay, which it cuts with a voice activity detector.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

from gsv2.audio.wave import resample
from gsv2.data.corpus.format import SAMPLE_RATE

WEIGHTS = Path(__file__).parent / "weights" / "resemblyzer.safetensors"
_RATE_HZ = 16_000
_WINDOW = 400
"""Samples of the Fourier transform: 25 ms."""
_HOP = 160
_NUM_MELS = 40
_DIM = 256
_NUM_LAYERS = 3
_FRAMES = 160
"""Frames of a part of an utterance: 1.6 s."""
_STEP_FRAMES = 77
"""Step from one part to the next: 1.3 parts a second, in whole frames as the package rounds."""
_MIN_COVERAGE = 0.75
"""Share of the last part that must be sound, if it is not the only one."""
_TARGET_DBFS = -30.0
"""Level that quieter waves are brought to."""
_SILENCE = 1e-5
"""Level below which a wave is not made louder still."""


class VoiceEncoder(nn.Module):
    """Speech -> vector of its voice."""

    name = "resemblyzer"
    identity = "resemblyzer 0.1.4, half precision"
    filters: Tensor

    def __init__(self, device: torch.device | None = None) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_NUM_MELS, _DIM, _NUM_LAYERS, batch_first=True)
        self.linear = nn.Linear(_DIM, _DIM)
        self.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
        filters = melscale_fbanks(
            _WINDOW // 2 + 1,
            0.0,
            _RATE_HZ / 2,
            _NUM_MELS,
            _RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("filters", filters, persistent=False)  # [201, 40]
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)
        self.to(device or torch.device("cpu")).eval()

    @torch.inference_mode()
    def embed(self, wave: np.ndarray) -> np.ndarray:
        """See `gsv2.evaluation.judges.SpeakerEncoder`."""
        quiet = resample(wave, SAMPLE_RATE, _RATE_HZ)
        level = np.sqrt(np.mean(quiet.astype(np.float64) ** 2))
        gain = max(1.0, 10 ** (_TARGET_DBFS / 20) / max(level, _SILENCE))
        return self.embed_levelled(torch.from_numpy(quiet * np.float32(gain)))

    @torch.inference_mode()
    def embed_levelled(self, wave: Tensor) -> np.ndarray:
        """Return the vector [256] of a wave [N] at 16 kHz, as it is."""
        starts = _starts(len(wave))
        missing = starts[-1] + _FRAMES - len(wave) // _HOP
        padded = F.pad(wave, (0, max(0, missing) * _HOP)).to(self.filters.device)
        mel = self._mel(padded)
        parts = torch.stack([mel[start : start + _FRAMES] for start in starts])
        last = self.lstm(parts)[1][0][-1]  # [P, 256]
        vectors = F.normalize(F.relu(self.linear(last)), dim=1)
        return F.normalize(vectors.mean(dim=0), dim=0).cpu().numpy()

    def _mel(self, wave: Tensor) -> Tensor:
        """Return the mel energies [T, 40] of [N], not their logarithm."""
        spectrum = torch.stft(
            wave,
            _WINDOW,
            _HOP,
            window=self.get_buffer("window"),
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.abs().square().T @ self.filters


def _starts(num_samples: int) -> list[int]:
    """Return the first frame of each part."""
    num_frames = -(-(num_samples + 1) // _HOP)
    starts = list(range(0, max(1, num_frames - _FRAMES + _STEP_FRAMES + 1), _STEP_FRAMES))
    covered = (num_samples / _HOP - starts[-1]) / _FRAMES
    return starts[:-1] if covered < _MIN_COVERAGE and len(starts) > 1 else starts
