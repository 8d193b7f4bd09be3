"""Posterior encoder: what the recording itself says about the latent of each frame.

VITS (arXiv 2106.06103, section 2.1.3). We feed it the logarithm of the linear spectrogram, which
spans two decades less than the magnitudes and trains in fewer steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsv2.nn.wavenet import WaveNet, WaveNetConfig

_LOG_STD_LIMIT = 6.0
"""The posterior's log-std stays within this distance of 0, as the prior's does."""
_INPUT_MEAN, _INPUT_STD = -5.5, 4.0
"""Mean and standard deviation of log magnitudes of speech at the corpus' loudness, rounded."""
_INITIAL_LOG_STD = -2.0
"""A new posterior is narrow, so that the decoder learns to heed the latent."""


class PosteriorEncoder(nn.Module):
    """Linear spectrogram -> mean and log-std of the posterior."""

    def __init__(
        self, num_bins: int, latent_channels: int, config: WaveNetConfig, style_dim: int
    ) -> None:
        super().__init__()
        self.input = nn.Conv1d(num_bins, config.channels, 1)
        self.wavenet = WaveNet(config, style_dim)
        self.output = nn.Conv1d(config.channels, 2 * latent_channels, 1)
        for layer in (self.input, self.output):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        assert self.output.bias is not None
        with torch.no_grad():
            self.output.bias[latent_channels:] += _INITIAL_LOG_STD

    def forward(self, magnitude: Tensor, mask: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior of each frame.

        Args:
            magnitude: [B, num_bins, T].
            mask: [B, T].
            style: [B, style_dim].

        Returns:
            Mean and log-std, each [B, latent_channels, T]; at padding, 0.
        """
        valid = mask.unsqueeze(1)
        log_magnitude = (magnitude.clamp(min=1e-5).log() - _INPUT_MEAN) / _INPUT_STD
        x = self.input(log_magnitude) * valid
        x = self.output(self.wavenet(x, mask, style)) * valid
        mean, log_std = x.float().chunk(2, dim=1)
        return mean, _LOG_STD_LIMIT * torch.tanh(log_std / _LOG_STD_LIMIT)
