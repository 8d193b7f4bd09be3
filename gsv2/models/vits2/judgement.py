"""What a discriminator says of a batch of waves."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Judgement(NamedTuple):
    """Logits and features of one discriminator."""

    logits: Tensor
    """[B * period, 1, T], or [B, 1, T, F] of spectra: 1 for recordings, 0 for generated waves."""
    features: list[Tensor]
    """[B * period, C, T] or [B, C, T, F] of each layer, the logits included."""
