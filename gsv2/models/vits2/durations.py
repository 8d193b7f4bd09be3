"""Duration predictors: how many frames each token of a text lasts.

`deterministic` predicts logarithms, as the base of VITS' ablation does (arXiv 2106.06103, section
4.3); with `noise_channels` it draws them, taught by a duration discriminator (VITS2, arXiv
2307.16430, section 2.1). `stochastic` is VITS' flow (`stochastic_durations.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from gsv2.nn.framerate import ConvBlock


@dataclass(frozen=True, kw_only=True)
class DurationConfig:
    """A duration predictor."""

    kind: Literal["stochastic", "deterministic"] = "stochastic"
    """`stochastic`: a flow from noise to durations, whose likelihood is learnt. `deterministic`:
    logarithms of durations, whose squared error is learnt."""
    channels: int = 192
    """Channels of its convolution blocks."""
    num_blocks: int = 3
    """Number of convolution blocks, and of those of each coupling of the flow."""
    kernel_size: int = 5
    """Kernel size of the blocks, in tokens; odd."""
    num_couplings: int = 4
    """Couplings of each of the two flows, of a stochastic predictor."""
    num_bins: int = 10
    """Bins of the couplings' splines."""
    bound: float = 5.0
    """Splines are the identity beyond this number; durations enter as logarithms."""
    noise_channels: int = 0
    """Channels of Gaussian noise that a deterministic predictor reads beside the text, from which
    `model.duration_discriminator` makes it draw durations."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if self.kernel_size % 2 == 0:
            raise ValueError(f"durations: kernel_size must be odd, but is {self.kernel_size}")
        for name in ("channels", "num_blocks", "num_couplings"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"durations: {name} must be at least 1, but is {getattr(self, name)}"
                )
        if self.num_bins < 2:
            raise ValueError(f"durations: num_bins must be at least 2, but is {self.num_bins}")
        if not self.bound > 0:
            raise ValueError(f"durations: bound must be above 0, but is {self.bound}")
        if self.noise_channels and self.kind == "stochastic":
            raise ValueError(
                "durations: noise_channels must be 0 for kind=stochastic, which has noise of its "
                f"own, but is {self.noise_channels}"
            )


class DurationTerms(NamedTuple):
    """What training says of the durations of a batch."""

    loss: Tensor
    """[] float32: mean over a clip's tokens, then over clips."""
    log_durations: Tensor | None
    """[B, S] predicted logarithms of frames; None of a stochastic predictor, which draws none."""


class Tokens(NamedTuple):
    """Tokens of texts, as a duration predictor reads them."""

    hidden: Tensor
    """[B, S, dim] of the text encoder."""
    mask: Tensor
    """[B, S] bool."""
    style: Tensor
    """[B, style_dim]."""


class DurationTrunk(nn.Module):
    """Tokens and style -> features of each token; gradients end here, as VITS' do."""

    def __init__(self, dim: int, style_dim: int, config: DurationConfig) -> None:
        super().__init__()
        self.input = nn.Linear(dim, config.channels)
        self.style = nn.Linear(style_dim, config.channels)
        self.blocks = conv_blocks(config)

    def forward(self, tokens: Tokens, added: Tensor | None = None) -> Tensor:
        """Return features.

        Args:
            tokens: what is read.
            added: [B, S, channels] to add to it.

        Returns:
            [B, S, channels]; at padding, 0.
        """
        x = self.input(tokens.hidden.detach()) + self.style(tokens.style.detach()).unsqueeze(1)
        x = x if added is None else x + added
        for block in self.blocks:
            x = block(x, tokens.mask)
        return x


class DeterministicDurations(nn.Module):
    """Logarithms of durations, from a text and perhaps from noise."""

    def __init__(self, dim: int, style_dim: int, config: DurationConfig) -> None:
        super().__init__()
        self.trunk = DurationTrunk(dim, style_dim, config)
        self.output = nn.Linear(config.channels, 1)
        self.noise: nn.Linear | None = None
        if config.noise_channels:
            self.noise = nn.Linear(config.noise_channels, config.channels, bias=False)

    def forward(self, tokens: Tokens, durations: Tensor, learnt: Tensor) -> DurationTerms:
        """Return the loss of durations.

        Args:
            tokens: tokens of the texts.
            durations: [B, S] frames.
            learnt: [B, S] bool, tokens that count.
        """
        predicted = self._predict(tokens, 1.0)
        target = durations.clamp(min=1).float().log()
        return DurationTerms(clip_mean((predicted - target).square(), learnt), predicted)

    def sample(self, tokens: Tokens, noise_scale: float) -> Tensor:
        """Return the durations [B, S] in frames, not rounded; at padding, 0.

        Args:
            tokens: tokens of the texts.
            noise_scale: factor on the noise, of which a predictor without it has none.
        """
        return self._predict(tokens, noise_scale).exp() * tokens.mask

    def _predict(self, tokens: Tokens, noise_scale: float) -> Tensor:
        """Return logarithms of durations [B, S] float32."""
        added = None
        if self.noise is not None:
            shape = (*tokens.mask.shape, self.noise.in_features)
            noise = torch.randn(shape, device=tokens.mask.device)
            added = self.noise(noise * noise_scale)
        return self.output(self.trunk(tokens, added)).squeeze(-1).float()


def conv_blocks(config: DurationConfig) -> nn.ModuleList:
    """Return the blocks of a trunk or of a coupling."""
    return nn.ModuleList(
        ConvBlock(config.channels, config.kernel_size) for _ in range(config.num_blocks)
    )


def clip_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over each clip's valid tokens, then over clips; clips without one give 0.

    Args:
        values: [B, S].
        mask: [B, S] bool.
    """
    kept = torch.where(mask, values, torch.zeros_like(values))
    return (kept.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()
