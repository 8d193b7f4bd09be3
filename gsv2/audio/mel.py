"""Magnitude and log-mel spectrograms, always in fp32.

A wave of N samples has exactly N // hop_length frames. It is padded with zeros, not by
reflection, so that the frames of a clip do not depend on what follows it in a padded batch, and
so that a clip may be shorter than the window. Mel filters are Slaney's (Auditory Toolbox, 1998):
linear below 1 kHz, logarithmic above, of equal area.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

from gsv2.audio.full_precision import full_precision

_POWER_FLOOR = 1e-9
"""Added to the power before the root, whose gradient at 0 is infinite."""
_MEL_FLOOR = 1e-5
"""Smallest mel magnitude before the logarithm."""


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """A log-mel spectrogram."""

    sample_rate: int = 32_000
    """Rate of the wave, in Hz."""
    n_fft: int = 2048
    """Length of the Fourier transform, in samples; it has n_fft / 2 + 1 bins."""
    win_length: int = 2048
    """Length of the Hann window in samples; at most n_fft, in whose middle it lies."""
    hop_length: int = 640
    """Samples from one frame to the next."""
    num_mels: int = 128
    """Number of mel bands."""
    f_min: float = 0.0
    """Lower edge of the lowest filter, in Hz."""
    f_max: float | None = None
    """Upper edge of the highest filter, in Hz; None = half the sample rate."""

    def __post_init__(self) -> None:
        """Check lengths and edges."""
        if not 0 < self.hop_length <= self.win_length <= self.n_fft:
            raise ValueError(
                "mel: 0 < hop_length <= win_length <= n_fft must hold, but they are "
                f"{self.hop_length}, {self.win_length}, {self.n_fft}"
            )
        if not 0 <= self.f_min < self.upper_edge_hz <= self.sample_rate / 2:
            raise ValueError(
                f"mel: 0 <= f_min < f_max <= {self.sample_rate / 2} must hold, but they are "
                f"{self.f_min} and {self.f_max}"
            )

    @property
    def num_bins(self) -> int:
        """Bins of the linear spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def upper_edge_hz(self) -> float:
        """Upper edge of the highest filter, in Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max


class Spectrogram(nn.Module):
    """Linear magnitude spectrogram."""

    window: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Return magnitudes; differentiable.

        Args:
            wave: [B, 1, N].

        Returns:
            [B, n_fft / 2 + 1, N // hop_length] float32.

        Raises:
            ValueError: the wave is shorter than one hop.
        """
        config = self.config
        if wave.shape[-1] < config.hop_length:
            raise ValueError(
                f"a wave must have at least hop_length ({config.hop_length}) samples, "
                f"but has {wave.shape[-1]}"
            )
        context = config.n_fft - config.hop_length
        with full_precision(wave.device):
            padded = functional.pad(wave.float().squeeze(1), (context // 2, context - context // 2))
            spectrum = torch.stft(
                padded,
                config.n_fft,
                hop_length=config.hop_length,
                win_length=config.win_length,
                window=self.window,
                center=False,
                return_complex=True,
            )
            power = torch.view_as_real(spectrum).square().sum(dim=-1)
            return (power + _POWER_FLOOR).sqrt()


class MelSpectrogram(nn.Module):
    """Natural logarithm of the mel magnitudes."""

    filters: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.spectrogram = Spectrogram(config)
        self.register_buffer("filters", mel_filters(config), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Return the log-mel spectrogram of a wave.

        Args:
            wave: [B, 1, N].

        Returns:
            [B, num_mels, N // hop_length] float32.
        """
        return self.from_spectrogram(self.spectrogram(wave))

    def from_spectrogram(self, magnitude: Tensor) -> Tensor:
        """Return the log-mel spectrogram of a linear one.

        Args:
            magnitude: [B, n_fft / 2 + 1, T], as `Spectrogram` makes it.

        Returns:
            [B, num_mels, T] float32.
        """
        with full_precision(magnitude.device):
            mel = torch.matmul(self.filters, magnitude.float())
            return mel.clamp(min=_MEL_FLOOR).log()


def mel_filters(config: MelConfig) -> Tensor:
    """Return Slaney's triangular filters.

    Returns:
        [num_mels, n_fft / 2 + 1] float32.
    """
    with torch.device("cpu"):  # torchaudio looks at the values, which a meta device has not
        filters = melscale_fbanks(
            config.num_bins,
            config.f_min,
            config.upper_edge_hz,
            config.num_mels,
            config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )  # [n_fft / 2 + 1, num_mels]
    return filters.T.contiguous().to(torch.get_default_device())
