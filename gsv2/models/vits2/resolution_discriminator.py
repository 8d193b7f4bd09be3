"""Discriminator of magnitude spectrograms (UnivNet, arXiv 2106.07889, section 2.2).

One for each resolution: what is blurred in one of them shows in another. A wave is judged where
mel losses are blind, in the fine structure of harmonics and noise.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.mel import MelConfig, Spectrogram
from gsv2.models.vits2.layer_norms import WeightNorm, normalise

_SLOPE = 0.1
"""Slope of the leaky rectifiers below 0."""
_KERNEL = (3, 9)
"""Kernel size of the wide layers, in frames and bins."""
_STRIDES = (1, 2, 2, 2)
"""Strides of the wide layers, in bins; a last layer sees 3 x 3."""


class DiscriminatorOutput(NamedTuple):
    """Logits and features of one discriminator, of waves or of spectra."""

    logits: Tensor
    """[B * period, 1, T], or [B, 1, T, F] of spectra: 1 for recordings, 0 for generated waves."""
    features: list[Tensor]
    """[B * period, C, T] or [B, C, T, F] of each layer, the logits included."""


class ResolutionDiscriminator(nn.Module):
    """Judges a wave by its magnitudes at one resolution."""

    def __init__(self, config: MelConfig, channels: int, norm: WeightNorm = "weight") -> None:
        """Build it.

        Args:
            config: spectrogram that is judged; its mel bands are not used.
            channels: number of channels of every layer.
            norm: normalisation of their weights.
        """
        super().__init__()
        self.spectrogram = Spectrogram(config)
        padding = (_KERNEL[0] // 2, _KERNEL[1] // 2)
        layers, width = [], 1
        for stride in _STRIDES:
            layers.append(nn.Conv2d(width, channels, _KERNEL, (1, stride), padding))
            width = channels
        layers.append(nn.Conv2d(width, channels, 3, padding=1))
        self.layers = nn.ModuleList(normalise(layer, norm) for layer in layers)
        self.output = normalise(nn.Conv2d(channels, 1, 3, padding=1), norm)

    def forward(self, wave: Tensor) -> DiscriminatorOutput:
        """Judge waves.

        Args:
            wave: [B, 1, N].

        Returns:
            Logits and features of [B] spectrograms, frames before bins.
        """
        x = self.spectrogram(wave).transpose(1, 2).unsqueeze(1)  # [B, 1, T, bins]
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        logits = self.output(x)
        return DiscriminatorOutput(logits, [*features, logits])
