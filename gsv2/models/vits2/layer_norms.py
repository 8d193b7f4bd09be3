"""Normalisation of the weights of a discriminator's layers."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

LayerT = TypeVar("LayerT", bound=nn.Module)
WeightNorm = Literal["weight", "spectral"]
"""`weight`: norm and direction apart (arXiv 1602.07868), as in HiFi-GAN. `spectral`: largest
singular value 1 (arXiv 1802.05957), which bounds the discriminator's slope."""


def normalise(layer: LayerT, norm: WeightNorm) -> LayerT:
    """Return the layer with its weight normalised in every pass."""
    parametrize = weight_norm if norm == "weight" else spectral_norm
    parametrize(layer)  # in place
    return layer
