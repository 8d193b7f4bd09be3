"""Interface of speech encoders: what each must take and return.

`logmel` is the embedded default: it has no weights, so that everything runs offline. The others
are pretrained networks (`gsv2.audio.speech_encoders.pretrained`). docs/add-an-encoder.md has the
steps to another one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class SpeechFeatures(NamedTuple):
    """Features of a padded batch."""

    features: Tensor
    """[B, T, dim] float32, zero at padding."""
    mask: Tensor
    """[B, T] bool, True = valid."""


class SpeechEncoder(Protocol):
    """A frozen map from wave to features; the features of a clip never depend on its batch."""

    name: str
    """Name in `SpeechEncoderConfig`."""
    dim: int
    """Number of features of a frame."""
    sample_rate: int
    """Rate of the wave that it takes, in Hz."""
    frame_rate_hz: int
    """Frames a second."""

    def __call__(self, wave: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Return the features of a padded batch.

        Args:
            wave: [B, 1, N] at `sample_rate`.
            lengths: [B] int64, in samples.

        Returns:
            T = N * frame_rate_hz // sample_rate frames, of which as many are valid as each
            length alone would have; none of a clip whose features are not finite.
        """
