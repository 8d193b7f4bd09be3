"""Mean and standard deviation of a speech encoder's features, over a sample of a corpus.

They are sums that several processes add up, so that a mean over a hundred hours fits in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gsv2.files import atomic_file

_HEADER = "gsv2_feature_statistics"


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Statistics of features, and what they are of."""

    mean: Tensor
    """[D] float32."""
    std: Tensor
    """[D] float32."""
    num_frames: int
    encoder: Mapping[str, Any]
    """Identity of the speech encoder, see `SpeechEncoderConfig.identity`."""

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        header = {"num_frames": self.num_frames, "encoder": dict(self.encoder)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, SafetensorError) as aside:
            tensors = {"mean": self.mean, "std": self.std}
            save_file(tensors, aside, metadata={_HEADER: json.dumps(header)})

    @classmethod
    def load(cls, path: Path, encoder: Mapping[str, Any]) -> FeatureStatistics:
        """Read a file of `save`.

        Args:
            encoder: identity of the speech encoder that it must be of.

        Raises:
            ValueError: no such file, a damaged one, or one of another encoder; names the file.
        """
        if not path.is_file():
            raise ValueError(
                f"feature_stats {path} does not exist; make it: gsv2 corpus feature-stats"
            )
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})[_HEADER])
                mean, std = file.get_tensor("mean"), file.get_tensor("std")
            found, num_frames = dict(header["encoder"]), int(header["num_frames"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"feature_stats {path} is damaged: {error}") from error
        if found != dict(encoder):
            raise ValueError(
                f"feature_stats {path} must be of the speech encoder {dict(encoder)}, "
                f"but is of {found}"
            )
        return cls(mean=mean, std=std, num_frames=num_frames, encoder=found)


class FeatureSums:
    """Sums of features and of their squares, in fp64.

    Args:
        dim: number of features.
    """

    def __init__(self, dim: int) -> None:
        self._sums = torch.zeros(2, dim, dtype=torch.float64)
        self.num_frames = 0

    def add(self, features: Tensor, mask: Tensor) -> None:
        """Add the valid frames of [B, T, D], [B, T] bool."""
        frames = features[mask].double()
        self._sums += torch.stack([frames.sum(dim=0), frames.square().sum(dim=0)]).cpu()
        self.num_frames += len(frames)

    def packed(self) -> Tensor:
        """Return all sums as one tensor [2 D + 1] float64, which processes add up."""
        count = torch.tensor([self.num_frames], dtype=torch.float64)
        return torch.cat([self._sums.flatten(), count])

    @staticmethod
    def statistics(packed: Tensor, encoder: Mapping[str, Any]) -> FeatureStatistics:
        """Return the statistics that sums [2 D + 1] amount to.

        Raises:
            ValueError: fewer than two frames.
        """
        num_frames = int(packed[-1])
        if num_frames < 2:
            raise ValueError(f"statistics need at least 2 frames, but there are {num_frames}")
        total, squares = packed[:-1].view(2, -1)
        mean = total / num_frames
        variance = (squares - total * mean).clamp(min=0) / (num_frames - 1)
        return FeatureStatistics(
            mean=mean.float(), std=variance.sqrt().float(), num_frames=num_frames, encoder=encoder
        )
