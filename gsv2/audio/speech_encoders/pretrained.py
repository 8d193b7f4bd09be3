"""Pretrained speech encoders: what they share around their networks.

A batch is brought to 16 kHz, run, and checked; a clip whose features are not finite in half
precision is run again in fp32, and left without a valid frame if they still are not.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.audio.speech_encoders.resampling import (
    CORPUS_SAMPLE_RATE,
    FRAME_SAMPLES,
    SAMPLE_RATE,
    HalfRate,
)

logger = logging.getLogger(__name__)


class NetworkSizes(NamedTuple):
    """What a config.json says of a network."""

    num_layers: int
    num_features: int
    """Number of features of a frame."""


class SpeechNetwork(nn.Module, ABC):
    """Network from waves at 16 kHz to one of its hidden layers.

    Args of every implementation: the folder of its weights, and the layer, from 1 (None = last).
    """

    dim: int
    """Number of features of a frame."""

    @abstractmethod
    def __init__(self, folder: Path, layer: int | None) -> None:
        super().__init__()

    @staticmethod
    @abstractmethod
    def sizes(settings: Mapping[str, Any]) -> NetworkSizes:
        """Return what a config.json says.

        Raises:
            ValueError: it is one of another network.
        """

    @abstractmethod
    def forward(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """Return the hidden layer of a padded batch.

        Args:
            wave: [B, n] float32 at 16 kHz, zero beyond the lengths; n is at least one frame.
            lengths: [B] int64, in samples.

        Returns:
            [B, n // 320, dim]; of each clip, lengths // 320 frames that do not depend on the
            others. What lies beyond them is anything.
        """


class PretrainedEncoder(nn.Module):
    """A pretrained network as a speech encoder.

    Args:
        name: name of the encoder in the config.
        network: the network with its weights.
    """

    sample_rate = CORPUS_SAMPLE_RATE
    frame_rate_hz = SAMPLE_RATE // FRAME_SAMPLES

    def __init__(self, name: str, network: SpeechNetwork) -> None:
        super().__init__()
        self.name = name
        self.dim = network.dim
        self.network = network
        self.half_rate = HalfRate()

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """Stay in evaluation mode: the network is frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, wave: Tensor, lengths: Tensor) -> SpeechFeatures:
        """See `SpeechEncoder.__call__`."""
        slow, slow_lengths = self.half_rate(wave, lengths)
        num_frames = slow_lengths // FRAME_SAMPLES
        most = slow.shape[-1] // FRAME_SAMPLES
        mask = torch.arange(most, device=wave.device) < num_frames[:, None]  # [B, T]
        if not most:
            return SpeechFeatures(wave.new_zeros(len(wave), 0, self.dim), mask)
        features = self._masked(slow, slow_lengths, mask)
        refused = ~features.isfinite().flatten(1).all(dim=1)  # [B]
        if bool(refused.any()) and torch.is_autocast_enabled(wave.device.type):
            with torch.autocast(wave.device.type, enabled=False):
                again = self._masked(slow[refused], slow_lengths[refused], mask[refused])
            features[refused] = again
            refused = ~features.isfinite().flatten(1).all(dim=1)
        if bool(refused.any()):
            logger.warning(
                "%s: the features of %d clips are not finite, not in fp32 either",
                self.name,
                int(refused.sum()),
            )
            mask = mask & ~refused[:, None]
            features = features.masked_fill(~mask.unsqueeze(-1), 0.0)
        return SpeechFeatures(features, mask)

    def _masked(self, wave: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        """Return the features [B, T, dim] in fp32, zero at padding whatever lay there."""
        return self.network(wave, lengths).float().masked_fill(~mask.unsqueeze(-1), 0.0)
