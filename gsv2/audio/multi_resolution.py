"""Magnitude spectrograms of one wave at several resolutions of time and frequency."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from gsv2.audio.mel import MelConfig, Spectrogram


@dataclass(frozen=True, kw_only=True)
class ResolutionsConfig:
    """Short-time Fourier transforms, one a place of the three lists; empty lists = none."""

    n_fft: tuple[int, ...] = ()
    """Lengths of the transforms, in samples."""
    hop_length: tuple[int, ...] = ()
    """Samples from one frame to the next."""
    win_length: tuple[int, ...] = ()
    """Lengths of the Hann windows, in samples."""

    def __post_init__(self) -> None:
        """Check that the lists belong together."""
        lengths = (self.n_fft, self.hop_length, self.win_length)
        if len({len(values) for values in lengths}) > 1:
            raise ValueError(
                "resolutions: n_fft, hop_length and win_length must be equally many, but are "
                f"{', '.join(str([*values]) for values in lengths)}"
            )
        for n_fft, hop, win in zip(*lengths, strict=True):
            if not 0 < hop <= win <= n_fft:
                raise ValueError(
                    "resolutions: 0 < hop_length <= win_length <= n_fft must hold, but they are "
                    f"{hop}, {win}, {n_fft}"
                )

    def __len__(self) -> int:
        """Return the number of resolutions."""
        return len(self.n_fft)

    def split(self) -> list[MelConfig]:
        """Return the spectrogram of each resolution."""
        return [
            MelConfig(n_fft=n_fft, hop_length=hop, win_length=win)
            for n_fft, hop, win in zip(self.n_fft, self.hop_length, self.win_length, strict=True)
        ]


class MultiResolutionSpectrogram(nn.Module):
    """Magnitude spectrograms of a wave, one a resolution."""

    def __init__(self, config: ResolutionsConfig) -> None:
        super().__init__()
        self.spectrograms = nn.ModuleList(Spectrogram(part) for part in config.split())

    def forward(self, wave: Tensor) -> list[Tensor]:
        """Return magnitudes; differentiable.

        Args:
            wave: [B, 1, N].

        Returns:
            For each resolution [B, n_fft / 2 + 1, N // hop_length] float32.
        """
        return [spectrogram(wave) for spectrogram in self.spectrograms]
