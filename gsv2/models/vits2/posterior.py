"""Posterior encoder: what the recording itself says about the latent of each frame.

VITS (arXiv 2106.06103, section 2.1.3). We feed it logarithms, which span two decades less than
magnitudes and train in fewer steps: of the linear spectrogram, or of its mel bands. Bands have a
direct path to the mean, so that the first latent of a run is already a spectrum that a decoder can
follow. (170 CPU s of four English voices, mel distance of held-out clips through the posterior:
spectrogram .52, mel .40.)
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gsv2.audio.mel import MelSpectrogram
from gsv2.nn.wavenet import WaveNet, WaveNetConfig

_LOG_STD_LIMIT = 6.0
"""The posterior's log-std stays within this distance of 0, as the prior's does."""
PosteriorInput = Literal["spectrogram", "mel"]
"""What a posterior encoder reads."""
_INPUT_MEAN, _INPUT_STD = -5.5, 4.0
"""Mean and standard deviation of either's logarithms in speech at the corpus' loudness, rounded."""
_MAGNITUDE_FLOOR = 1e-5
"""Smallest magnitude before a logarithm."""
_INITIAL_LOG_STD = -2.0
"""A new posterior is narrow, so that the decoder learns to heed the latent."""


class PosteriorEncoder(nn.Module):
    """Log spectrogram or log-mel -> mean and log-std of the posterior.

    Args:
        num_bins: bins of the spectrogram, or mel bands.
        config: sizes of the WaveNet.
        style_dim: channels of the style.
        reads: `mel` adds a linear path from the bands to the mean, beside a WaveNet that adds
            nothing to it at first.
    """

    def __init__(
        self,
        num_bins: int,
        latent_channels: int,
        config: WaveNetConfig,
        style_dim: int,
        reads: PosteriorInput = "spectrogram",
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
        self.direct: nn.Conv1d | None = None
        if reads == "mel":
            self.direct = nn.Conv1d(num_bins, latent_channels, 1)
            nn.init.kaiming_normal_(self.direct.weight, nonlinearity="linear")
            with torch.no_grad():
                self.output.weight[:latent_channels] = 0.0

    def forward(self, spectrum: Tensor, mask: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior of each frame.

        Args:
            spectrum: [B, num_bins, T] natural logarithms of magnitudes.
            mask: [B, T].
            style: [B, style_dim].

        Returns:
            Mean and log-std, each [B, latent_channels, T]; at padding, 0.
        """
        valid = mask.unsqueeze(1)
        normalised = (spectrum - _INPUT_MEAN) / _INPUT_STD
        x = self.input(normalised) * valid
        x = self.output(self.wavenet(x, mask, style)) * valid
        mean, log_std = x.float().chunk(2, dim=1)
        if self.direct is not None:
            mean = mean + (self.direct(normalised) * valid).float()
        return mean, _LOG_STD_LIMIT * torch.tanh(log_std / _LOG_STD_LIMIT)


def posterior_spectrum(magnitude: Tensor, reads: PosteriorInput, mel: MelSpectrogram) -> Tensor:
    """Return what a posterior encoder reads of magnitudes [B, num_bins, T]."""
    if reads == "mel":
        return mel.from_spectrogram(magnitude)
    return magnitude.clamp(min=_MAGNITUDE_FLOOR).log()
