"""Log-mel spectrograms of one wave at several resolutions of time and frequency."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from gsv2.audio.mel import MelConfig, MelSpectrogram

_OVERLAP = 4
"""Frames that see a sample."""


@dataclass(frozen=True, kw_only=True)
class MelResolutionsConfig:
    """Log-mel spectrograms, one a place of the two lists; empty lists = none."""

    win_length: tuple[int, ...] = ()
    """Lengths of windows and transforms, in samples; a hop is a quarter of it."""
    num_mels: tuple[int, ...] = ()
    """Numbers of mel bands."""

    def __post_init__(self) -> None:
        """Check that the lists belong together."""
        if len(self.win_length) != len(self.num_mels):
            raise ValueError(
                "mel resolutions: win_length and num_mels must be equally many, but are "
                f"{[*self.win_length]} and {[*self.num_mels]}"
            )
        for length, bands in zip(self.win_length, self.num_mels, strict=True):
            if length < _OVERLAP or length % _OVERLAP or not 0 < bands <= length // 2:
                raise ValueError(
                    f"mel resolutions: win_length must be a multiple of {_OVERLAP} with at least "
                    f"two samples a mel band, but is {length} for {bands} bands"
                )

    def __len__(self) -> int:
        """Return the number of resolutions."""
        return len(self.win_length)

    def split(self, sample_rate: int) -> list[MelConfig]:
        """Return the spectrogram of each resolution.

        Args:
            sample_rate: rate of the wave, in Hz.
        """
        return [
            MelConfig(
                sample_rate=sample_rate,
                n_fft=length,
                win_length=length,
                hop_length=length // _OVERLAP,
                num_mels=bands,
            )
            for length, bands in zip(self.win_length, self.num_mels, strict=True)
        ]


class MultiResolutionMel(nn.Module):
    """Log-mel spectrograms of a wave, one a resolution."""

    def __init__(self, configs: list[MelConfig]) -> None:
        super().__init__()
        self.spectrograms = nn.ModuleList(MelSpectrogram(config) for config in configs)

    def forward(self, wave: Tensor) -> list[Tensor]:
        """Return log-mels; differentiable.

        Args:
            wave: [B, 1, N].

        Returns:
            For each resolution [B, num_mels, N // hop_length] float32.
        """
        return [spectrogram(wave) for spectrogram in self.spectrograms]
