"""Inputs and results of one training pass of the waveform model."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gsv2.models.vits2.harmonic_source import PitchContour
from gsv2.models.vits2.text_prior import AlignedText
from gsv2.text.encoders.interface import TextTokens


class TrainedSegments(NamedTuple):
    """One segment of each recording, which the generator decodes in training."""

    starts: Tensor
    """[B] int64, first frame of each."""
    num_frames: int
    """Frames of each."""
    pitch: Tensor | None = None
    """[B, num_frames] in Hz, 0 where there is none, for a harmonic source."""


class LiveCodes(NamedTuple):
    """Codes of a quantizer that trains beside the waveform model."""

    vectors: Tensor
    """[B, T_codes, codes.dim] code vectors as the quantizer has them now."""
    text: TextTokens | None = None
    """What they say, where the content encoder reads it."""


class CodesWithText(NamedTuple):
    """Codes with the text that they say, where the content encoder reads it."""

    codes: Tensor
    """[B, K, T_codes] int64, -1 at padding."""
    text: TextTokens
    """Ids or vectors of the tokens."""


class TextToAlign(NamedTuple):
    """Texts whose alignment with their recordings is sought."""

    tokens: TextTokens
    """Ids or vectors of the tokens."""
    noise: float
    """Noise on the scores of the search, see `TextPrior.align`."""


class Decoded(NamedTuple):
    """Results of one training pass."""

    wave: Tensor
    """[B, 1, num_frames * hop_length] float32: the decoded segments."""
    z_p: Tensor
    """[B, latent_channels, T]: posterior sample in the prior's space."""
    m_p: Tensor
    """[B, latent_channels, T]: the prior's mean."""
    logs_p: Tensor
    """[B, latent_channels, T]: the prior's log-std."""
    logs_q: Tensor
    """[B, latent_channels, T]: the posterior's log-std."""
    mask: Tensor
    """[B, T]."""
    contour: PitchContour | None
    """Pitch that the generator says of the segments; None without a harmonic source."""
    aligned: AlignedText | None = None
    """The texts along their recordings; None with a prior of codes."""
