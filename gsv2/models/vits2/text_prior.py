"""Text prior of VITS (arXiv 2106.06103, section 2.1.2) and VITS2 (2307.16430, sections 2.1, 2.2).

A transformer reads the text, knows the speaker from a chosen block on, and gives each token a mean
and a standard deviation of the latent. In training a monotonic alignment search says which token a
frame belongs to; in speech a duration predictor does. A start and an end stand around the text,
for the silence before and after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gsv2.audio.full_precision import full_precision
from gsv2.models.vits2.durations import DeterministicDurations, DurationConfig, Tokens
from gsv2.models.vits2.monotonic_alignment import search_durations
from gsv2.models.vits2.stochastic_durations import StochasticDurations
from gsv2.models.vits2.text_tokens import ReadText, make_text_encoder
from gsv2.nn.masks import length_mask
from gsv2.nn.transformer import Transformer, TransformerConfig
from gsv2.text.encoders.config import TextVectorsConfig
from gsv2.text.encoders.interface import TextTokens

NUM_EDGES = 2
"""Tokens around a text: its start and its end."""
_LOG_STD_LIMIT = 6.0
"""The prior's log-std stays within this distance of 0, as that of codes does."""
_MAX_FRAMES = 100
"""Longest duration of a token in speech, in frames: an untrained predictor must not fill the
memory."""


@dataclass(frozen=True, kw_only=True)
class TextPriorConfig:
    """The text prior; its transformer is that of the content encoder."""

    encoder: ReadText = "bytes"
    """What a token is: a UTF-8 byte with a trained vector, or the frozen encoder's vector of a
    subword, which corpora hold as `texts`."""
    vectors: TextVectorsConfig = field(default_factory=TextVectorsConfig)
    """Frozen encoder of the vectors; where `encoder` is not `bytes`."""
    durations: DurationConfig = field(default_factory=DurationConfig)
    """Duration predictor."""


class AlignedText(NamedTuple):
    """A text along the frames of its recording, as training sees it."""

    mean: Tensor
    """[B, latent_channels, T] of the prior."""
    log_std: Tensor
    """[B, latent_channels, T] of the prior."""
    hidden: Tensor
    """[B, S, channels] of the text encoder."""
    durations: Tensor
    """[B, S] int64 frames of each token."""
    predicted: Tensor | None
    """[B, S] logarithms of predicted durations; None of a stochastic predictor."""
    learnt: Tensor
    """[B, S] bool: tokens of clips that have no fewer frames than tokens."""
    duration_loss: Tensor
    """[] float32."""


class SpokenText(NamedTuple):
    """A text along the frames that a predictor gives it."""

    mean: Tensor
    """[B, latent_channels, T] of the prior."""
    log_std: Tensor
    """[B, latent_channels, T] of the prior."""
    mask: Tensor
    """[B, T] bool."""
    durations: Tensor
    """[B, S] int64 frames of each token, start and end among them; 0 at padding."""


class _Encoded(NamedTuple):
    tokens: Tokens
    mean: Tensor
    """[B, S, latent_channels] float32."""
    log_std: Tensor
    """[B, S, latent_channels] float32."""


class TextPrior(nn.Module):
    """Texts -> mean and log-std of each frame.

    Args:
        config: kinds of tokens and of durations.
        channels: width.
        content: transformer.
        latent_channels: channels of the latent.
        style_dim: dimension of the style.
    """

    def __init__(
        self,
        config: TextPriorConfig,
        channels: int,
        content: TransformerConfig,
        latent_channels: int,
        style_dim: int,
    ) -> None:
        super().__init__()
        self.text_encoder = make_text_encoder(config.encoder, config.vectors, channels)
        self.edges = nn.Parameter(torch.randn(NUM_EDGES, channels))
        self.transformer = Transformer(channels, content, style_dim)
        self.output = nn.Linear(channels, 2 * latent_channels)
        self.durations: StochasticDurations | DeterministicDurations
        if config.durations.kind == "stochastic":
            self.durations = StochasticDurations(channels, style_dim, config.durations)
        else:
            self.durations = DeterministicDurations(channels, style_dim, config.durations)

    def align(
        self, text: TextTokens, z_p: Tensor, mask: Tensor, style: Tensor, noise_scale: float
    ) -> AlignedText:
        """Align texts with recordings.

        Args:
            text: ids or vectors of the tokens.
            z_p: [B, latent_channels, T] posterior sample in the prior's space.
            mask: [B, T].
            style: [B, style_dim].
            noise_scale: noise on the scores of the search, in their standard deviations (VITS2,
                section 2.2); 0 = none. From torch's default generator.
        """
        encoded = self._encode(text, style)
        num_tokens, num_frames = encoded.tokens.mask.sum(dim=1), mask.sum(dim=1)
        scores = _log_likelihood(z_p, encoded)
        if noise_scale:
            scores = scores + _noise(scores, encoded.tokens.mask, mask) * noise_scale
        durations = search_durations(scores, num_tokens, num_frames)
        learnt = encoded.tokens.mask & (num_tokens <= num_frames).unsqueeze(1)
        loss, predicted = self.durations(encoded.tokens, durations, learnt)
        mean, log_std = _spread(encoded, durations, mask)
        hidden = encoded.tokens.hidden
        return AlignedText(mean, log_std, hidden, durations, predicted, learnt, loss)

    def speak(self, text: TextTokens, style: Tensor, noise_scale: float, rate: float) -> SpokenText:
        """Give texts a length.

        Args:
            text: ids or vectors of the tokens.
            style: [B, style_dim].
            noise_scale: factor on the noise of durations, from torch's default generator.
            rate: above 1 = faster; each token keeps a frame.
        """
        encoded = self._encode(text, style)
        frames = self.durations.sample(encoded.tokens, noise_scale).clamp(max=_MAX_FRAMES) / rate
        frames = frames.clamp(min=1) * encoded.tokens.mask  # else a token is not said at all
        # Their sums are rounded, not they: the whole is as long as it should be.
        ends = (frames.double().cumsum(dim=1) + 0.5).floor().long()
        durations = ends.diff(dim=1, prepend=torch.zeros_like(ends[:, :1]))
        mask = length_mask(ends[:, -1], int(ends[:, -1].max()))
        mean, log_std = _spread(encoded, durations, mask)
        return SpokenText(mean, log_std, mask, durations)

    def _encode(self, text: TextTokens, style: Tensor) -> _Encoded:
        """Read texts."""
        vectors = self.text_encoder(text.ids)  # [B, S - NUM_EDGES, channels]
        start, end = self.edges.to(vectors.dtype)
        B, S = len(vectors), vectors.shape[1] + NUM_EDGES
        place = torch.arange(S, device=vectors.device)
        lengths = text.lengths.to(vectors.device)
        is_end = place == (lengths + 1).unsqueeze(1)  # [B, S]
        padded = torch.cat([start.expand(B, 1, -1), vectors, end.expand(B, 1, -1)], dim=1)
        x = torch.where(is_end.unsqueeze(-1), end, padded)
        mask = length_mask(lengths + NUM_EDGES, S)
        hidden = self.transformer(x, mask, style)
        mean, log_std = self.output(hidden).float().chunk(2, dim=-1)
        log_std = _LOG_STD_LIMIT * torch.tanh(log_std / _LOG_STD_LIMIT)
        return _Encoded(Tokens(hidden, mask, style), mean, log_std)


@torch.no_grad()
def _log_likelihood(z_p: Tensor, encoded: _Encoded) -> Tensor:
    """Return the log-likelihood [B, T, S] of each frame under each token, in fp32."""
    with full_precision(z_p.device):
        z = z_p.float().transpose(1, 2)  # [B, T, C]
        precision = (-2 * encoded.log_std).exp()  # [B, S, C]
        of_token = -encoded.log_std - 0.5 * (
            math.log(2 * math.pi) + encoded.mean.square() * precision
        )
        of_both = z @ (encoded.mean * precision).mT - 0.5 * z.square() @ precision.mT
        return of_token.sum(dim=-1).unsqueeze(1) + of_both


def _noise(scores: Tensor, token_mask: Tensor, frame_mask: Tensor) -> Tensor:
    """Return noise [B, T, S] of the standard deviation of each clip's valid scores."""
    valid = frame_mask.unsqueeze(2) & token_mask.unsqueeze(1)
    count = valid.sum(dim=(1, 2), keepdim=True)
    mean = (scores * valid).sum(dim=(1, 2), keepdim=True) / count
    variance = ((scores - mean).square() * valid).sum(dim=(1, 2), keepdim=True) / count
    return torch.randn_like(scores) * variance.sqrt()


def _spread(encoded: _Encoded, durations: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Give each frame the mean and the log-std of its token, each [B, latent_channels, T]."""
    B, T = mask.shape
    frames = torch.arange(T, device=mask.device).expand(B, T).contiguous()
    token = torch.searchsorted(durations.cumsum(dim=1), frames, right=True)
    token = token.clamp(max=durations.shape[1] - 1).unsqueeze(-1)  # [B, T, 1]
    mean, log_std = (
        (values.gather(1, token.expand(-1, -1, values.shape[-1])) * mask.unsqueeze(-1)).mT
        for values in (encoded.mean, encoded.log_std)
    )
    return mean, log_std
