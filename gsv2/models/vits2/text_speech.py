"""Speech of a waveform model whose prior reads text, with durations predicted or recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.models.vits2.model import VITS2
from gsv2.nn.masks import length_mask
from gsv2.text.encoders.interface import TextTokens


@dataclass(frozen=True, kw_only=True)
class TextSpeechOptions:
    """How a text is spoken."""

    noise_scale: float = 0.0
    """Factor on the prior's standard deviation; 0 = its mean."""
    duration_noise_scale: float = 0.0
    """Factor on the noise that durations are drawn from."""
    rate: float = 1.0
    """Above 1 = faster."""


class TextSpeech(NamedTuple):
    """Spoken texts."""

    wave: Tensor
    """[B, 1, N] float32 in -1..1; at padding, 0."""
    durations: Tensor
    """[B, S] int64 frames of each token, start and end among them; 0 at padding."""


@torch.no_grad()
def speak_text(
    model: VITS2,
    text: TextTokens,
    style: Tensor,
    options: TextSpeechOptions,
    median_hz: Tensor | None = None,
) -> TextSpeech:
    """Speak texts; noise comes from torch's default generator.

    Args:
        model: one with a prior of text.
        text: ids or vectors of the tokens of B texts.
        style: [B, style.dim] or [1, style.dim].
        options: how they are spoken.
        median_hz: [B] median pitch of the voice, for a harmonic source; 0 = not known.
    """
    assert model.text_prior is not None, "the config has a text prior"
    style = style.expand(len(text.lengths), -1)
    prior = model.text_prior.speak(text, style, options.duration_noise_scale, options.rate)
    noise = torch.randn_like(prior.mean) * prior.log_std.exp()
    z_p = prior.mean + noise * options.noise_scale
    return TextSpeech(model.decode_prior(z_p, prior.mask, style, median_hz), prior.durations)


@torch.no_grad()
def speak_aligned(
    model: VITS2, text: TextTokens, magnitude: Tensor, lengths: Tensor, style: Tensor
) -> Tensor:
    """Speak the prior's mean of texts, each token as long as in its recording.

    Args:
        model: one with a prior of text.
        text: ids or vectors of the tokens of B texts.
        magnitude: [B, num_bins, T] linear spectrogram of the recordings.
        lengths: [B] int64, in frames.
        style: [B, style.dim].

    Returns:
        [B, 1, T * hop_length] float32 in -1..1; at padding, 0.
    """
    assert model.text_prior is not None, "the config has a text prior"
    mask = length_mask(lengths, magnitude.shape[-1])
    mean, _ = model.posterior(magnitude, mask, style)
    z_p = model.flow(mean * mask.unsqueeze(1), mask, style)
    aligned = model.text_prior.align(text, z_p, mask, style, 0.0)
    return model.decode_prior(aligned.mean, mask, style)


@torch.no_grad()
def spoken_frames(model: VITS2, text: TextTokens, style: Tensor) -> Tensor:
    """Return how many frames [B] texts take at rate 1, without noise; see `speak_text`."""
    assert model.text_prior is not None, "the config has a text prior"
    return model.text_prior.speak(text, style, 0.0, 1.0).durations.sum(dim=1)
