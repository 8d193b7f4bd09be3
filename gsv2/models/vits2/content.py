"""Content encoder, the prior: what the codes say about the latent of each frame.

Stands where VITS2 (arXiv 2307.16430) has its text encoder; the codes already lie on the time
axis, so neither alignment nor durations are needed.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.content_text import ContentText
from gsv2.nn.transformer import Transformer
from gsv2.text.encoders.interface import TextTokens

_LOG_STD_LIMIT = 6.0
"""The prior's log-std stays within this distance of 0, so that the KL divergence is finite."""


class ContentEncoder(nn.Module):
    """Code vectors -> mean and log-std of the prior."""

    def __init__(self, config: VITS2Config) -> None:
        super().__init__()
        channels, latent_channels = config.channels, config.latent_channels
        self.repeats = config.frames_per_code
        self.input = nn.Linear(config.codes.dim, channels)
        self.transformer = Transformer(channels, config.content, config.style.dim)
        self.text: ContentText | None = None
        if config.content_text is not None:
            self.text = ContentText(config.content_text, channels, config.content.block)
        self.output = nn.Linear(channels, 2 * latent_channels)
        self.features: nn.Linear | None = None
        self.direct: nn.Linear | None = None
        if config.num_code_features:
            self.features = nn.Linear(config.num_code_features, channels)
            self.direct = nn.Linear(config.num_code_features, latent_channels)
            with torch.no_grad():
                self.output.weight[:latent_channels] = 0.0

    def forward(
        self,
        vectors: Tensor,
        mask: Tensor,
        style: Tensor,
        features: Tensor | None = None,
        text: TextTokens | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the prior of each frame.

        Args:
            vectors: [B, T_codes, codes.dim].
            features: [B, repeats * T_codes, num_features] of the codes, if it reads them; they
                have a linear path to the mean, to which the transformer adds nothing at first.
            mask: [B, T] of the frames; `T <= repeats * T_codes`.
            style: [B, style.dim].
            text: what the codes say, if the encoder reads it; None = nobody knows.

        Returns:
            Mean and log-std, each [B, latent_channels, T]; at padding, 0.
        """
        informed = None
        if self.text is not None and text is not None:
            informed = partial(self.text, mask=mask, text=text)
        T = mask.shape[1]
        x = self.input(vectors).repeat_interleave(self.repeats, dim=1)[:, :T]
        if self.features is not None:
            assert features is not None
            features = features[:, :T] * mask.unsqueeze(-1)
            x = x + self.features(features)
        x = self.output(self.transformer(x, mask, style, informed)) * mask.unsqueeze(-1)
        mean, log_std = x.float().transpose(1, 2).chunk(2, dim=1)
        if self.direct is not None:
            mean = mean + (self.direct(features) * mask.unsqueeze(-1)).float().transpose(1, 2)
        return mean, _LOG_STD_LIMIT * torch.tanh(log_std / _LOG_STD_LIMIT)
