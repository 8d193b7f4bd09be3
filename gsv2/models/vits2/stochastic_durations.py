"""Stochastic duration predictor: a flow from noise to durations (VITS, 2106.06103, section 2.2.2).

A duration is a whole number: variational dequantization takes a part u of a frame from it, and a
second channel v gives the flow room. We differ in the couplings' networks, which are ConvNeXt
blocks in place of dilated depthwise convolutions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2.models.vits2.durations import (
    DurationConfig,
    DurationTerms,
    DurationTrunk,
    Tokens,
    clip_mean,
    conv_blocks,
)
from gsv2.nn.spline import apply_spline, num_parameters

_CHANNELS = 2
"""Channels of the flows: the duration and the one that gives room."""
_LEAST = 1e-5
"""Least duration whose logarithm is taken."""


class SplineCoupling(nn.Module):
    """Spline of one channel, whose shape the other and the text decide."""

    def __init__(self, config: DurationConfig) -> None:
        super().__init__()
        self.bound = config.bound
        self.input = nn.Linear(1, config.channels)
        self.blocks = conv_blocks(config)
        self.output = nn.Linear(config.channels, num_parameters(config.num_bins))
        nn.init.zeros_(self.output.weight)  # a new coupling is the identity
        nn.init.zeros_(self.output.bias)

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Map numbers.

        Args:
            x: [B, S, 2]; the second channel is changed.
            context: [B, S, channels] of the text.
            mask: [B, S].
            inverse: undo the map.

        Returns:
            [B, S, 2] and the log-determinant [B, S] of each token.
        """
        kept, changed = x.unbind(dim=-1)
        hidden = self.input(kept.unsqueeze(-1)) + context
        for block in self.blocks:
            hidden = block(hidden, mask)
        changed, log_det = apply_spline(changed, self.output(hidden), self.bound, inverse=inverse)
        return torch.stack([kept, changed], dim=-1), log_det


class SplineFlow(nn.Module):
    """Couplings of two channels, which change places between them."""

    def __init__(self, config: DurationConfig) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(_CHANNELS))
        self.log_scale = nn.Parameter(torch.zeros(_CHANNELS))
        self.couplings = nn.ModuleList(SplineCoupling(config) for _ in range(config.num_couplings))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the results [B, S, 2] and the log-determinants [B, S].

        Args:
            x: [B, S, 2].
            context: [B, S, channels] of the text.
            mask: [B, S].
        """
        x = self.shift + self.log_scale.exp() * x
        total = self.log_scale.sum().expand(mask.shape)
        for coupling in self.couplings:
            x, log_det = coupling(x, context, mask)
            x, total = x.flip(-1), total + log_det
        return x, total

    def inverse(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Undo `forward`; returns [B, S, 2]."""
        for coupling in reversed(self.couplings):
            x, _ = coupling(x.flip(-1), context, mask, inverse=True)
        return (x - self.shift) * (-self.log_scale).exp()


class StochasticDurations(nn.Module):
    """Durations that are drawn, and a bound of their likelihood."""

    def __init__(self, dim: int, style_dim: int, config: DurationConfig) -> None:
        super().__init__()
        self.trunk = DurationTrunk(dim, style_dim, config)
        self.duration_input = nn.Linear(1, config.channels)
        self.duration_blocks = conv_blocks(config)
        self.posterior = SplineFlow(config)
        self.flow = SplineFlow(config)

    def forward(self, tokens: Tokens, durations: Tensor, learnt: Tensor) -> DurationTerms:
        """Return the negative bound of the log-likelihood, in nats a token (equation 7).

        Args:
            tokens: tokens of the texts.
            durations: [B, S] frames.
            learnt: [B, S] bool, tokens that count.
        """
        durations = durations.clamp(min=1).float()
        context = self.trunk(tokens)
        taken, room, log_q = self._dequantize(durations, context, tokens.mask)
        log_rest = (durations - taken).clamp(min=_LEAST).log()
        z, log_det = self.flow(torch.stack([log_rest, room], dim=-1), context, tokens.mask)
        log_p = _log_normal(z) + log_det - log_rest
        return DurationTerms(clip_mean(log_q - log_p, learnt), None)

    def _dequantize(
        self, durations: Tensor, context: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw u and v of each token [B, S], and return the logarithm of their density."""
        known = self.duration_input(durations.log().unsqueeze(-1)) + context
        for block in self.duration_blocks:
            known = block(known, mask)
        noise = torch.randn(*mask.shape, _CHANNELS, device=mask.device)
        drawn, log_det = self.posterior(noise, known, mask)
        logit, room = drawn.unbind(dim=-1)
        log_slope = functional.logsigmoid(logit) + functional.logsigmoid(-logit)
        return logit.sigmoid(), room, _log_normal(noise) - log_det - log_slope

    def sample(self, tokens: Tokens, noise_scale: float) -> Tensor:
        """Return whole durations [B, S] in frames; at padding, 0.

        Args:
            tokens: tokens of the texts.
            noise_scale: factor on the noise that durations are drawn from.
        """
        context = self.trunk(tokens)
        noise = torch.randn(*tokens.mask.shape, _CHANNELS, device=tokens.mask.device)
        log_rest = self.flow.inverse(noise * noise_scale, context, tokens.mask)[..., 0]
        return log_rest.exp().ceil() * tokens.mask  # u, which lies in 0..1, comes back


def _log_normal(x: Tensor) -> Tensor:
    """Return the log-density [B, S] of x [B, S, 2] under a standard normal distribution."""
    return -0.5 * (x.square() + math.log(2 * math.pi)).sum(dim=-1)
