"""Waveform discriminators of HiFi-GAN (arXiv 2010.05646, section 2.3): one scale, many periods.

As in VITS there is one scale, the raw one. A period discriminator sees every p-th sample: we fold
the period into the batch and convolve in one dimension, which equals HiFi-GAN's (k, 1)
convolutions in two. Those of spectra, `resolution_discriminator.py`, join on request.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional

from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.models.vits2.layer_norms import WeightNorm, normalise
from gsv2.models.vits2.resolution_discriminator import DiscriminatorOutput, ResolutionDiscriminator

_SLOPE = 0.1
"""Slope of the leaky rectifiers below 0."""
_POOLING = 4
"""Stride of the strided layers of the scale discriminator."""
_STRIDE = 3
"""Stride of the strided layers of a period discriminator."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The set of discriminators."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    """Periods in samples, each judged by a discriminator of its own."""
    period_channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    """Channels of the layers of a period discriminator; all but the last have a stride of 3."""
    period_kernel: int = 5
    """Kernel size of its layers, in periods."""
    scale_channels: tuple[int, ...] = (16, 64, 256, 1024, 1024, 1024)
    """Channels of the layers of the scale discriminator; the first and the last have a stride of 1,
    the others of 4."""
    scale_kernel: int = 41
    """Kernel size of its strided layers, in samples of their input."""
    scale_group_width: int = 4
    """Input channels of one group of its strided layers."""
    resolutions: ResolutionsConfig = field(default_factory=ResolutionsConfig)
    """Spectrograms that are judged, each by a discriminator of its own; none by default."""
    resolution_channels: int = 32
    """Channels of every layer of the discriminators of spectrograms."""
    norm: WeightNorm = "weight"
    """Normalisation of the layers' weights: `weight` as in HiFi-GAN, or `spectral`, which bounds
    their slope."""

    def __post_init__(self) -> None:
        """Check the groups."""
        if self.resolution_channels < 1:
            raise ValueError(
                "discriminator: resolution_channels must be at least 1, "
                f"but is {self.resolution_channels}"
            )
        if any(c % self.scale_group_width for c in self.scale_channels[:-1]):
            raise ValueError(
                "discriminator: scale_group_width must divide scale_channels "
                f"{list(self.scale_channels)}, but is {self.scale_group_width}"
            )


class ConvStack(nn.Module):
    """Convolutions with leaky rectifiers, then one logit a position."""

    def __init__(self, layers: list[nn.Conv1d], norm: WeightNorm) -> None:
        super().__init__()
        self.layers = nn.ModuleList(normalise(layer, norm) for layer in layers)
        self.output = normalise(nn.Conv1d(layers[-1].out_channels, 1, 3, padding=1), norm)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Judge a batch.

        Args:
            x: [B, 1, N].

        Returns:
            Logits and features, in time order.
        """
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        logits = self.output(x)
        return DiscriminatorOutput(logits, [*features, logits])


class PeriodDiscriminator(nn.Module):
    """Judges each phase of a wave at one period."""

    def __init__(self, period: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.period = period
        last = len(config.period_channels) - 1
        layers, width = [], 1
        for index, channels in enumerate(config.period_channels):
            stride = 1 if index == last else _STRIDE
            kernel = config.period_kernel
            layers.append(nn.Conv1d(width, channels, kernel, stride, padding=kernel // 2))
            width = channels
        self.stack = ConvStack(layers, config.norm)

    def forward(self, wave: Tensor) -> DiscriminatorOutput:
        """Judge waves.

        Args:
            wave: [B, 1, N].

        Returns:
            Logits and features of [B * period] phases, those of one wave adjacent.
        """
        padded = functional.pad(wave, (0, -wave.shape[-1] % self.period), mode="reflect")
        phases = padded.view(len(wave), -1, self.period).transpose(1, 2)  # [B, period, N / period]
        return self.stack(phases.reshape(len(wave) * self.period, 1, -1))


class ScaleDiscriminator(nn.Module):
    """Judges a wave at its own rate, with ever wider context."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        first, *strided, last = config.scale_channels
        layers, width = [nn.Conv1d(1, first, 15, padding=7)], first
        for channels in strided:
            layers.append(
                nn.Conv1d(
                    width,
                    channels,
                    config.scale_kernel,
                    _POOLING,
                    padding=config.scale_kernel // 2,
                    groups=width // config.scale_group_width,
                )
            )
            width = channels
        layers.append(nn.Conv1d(width, last, 5, padding=2))
        self.stack = ConvStack(layers, config.norm)

    def forward(self, wave: Tensor) -> DiscriminatorOutput:
        """Judge waves.

        Args:
            wave: [B, 1, N].

        Returns:
            Logits and features of [B] waves.
        """
        return self.stack(wave)


class MultiDiscriminator(nn.Module):
    """One scale, every period and every resolution."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.discriminators = nn.ModuleList([ScaleDiscriminator(config)])
        self.discriminators.extend(PeriodDiscriminator(p, config) for p in config.periods)
        self.discriminators.extend(
            ResolutionDiscriminator(spectrogram, config.resolution_channels, config.norm)
            for spectrogram in config.resolutions.split()
        )

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Judge waves.

        Args:
            wave: [B, 1, N].

        Returns:
            Logits of each discriminator, and the features of each layer of each discriminator;
            the first dimension is B times the period, if it has one, those of one wave adjacent.
        """
        outputs = [discriminator(wave) for discriminator in self.discriminators]
        return [of.logits for of in outputs], [of.features for of in outputs]
